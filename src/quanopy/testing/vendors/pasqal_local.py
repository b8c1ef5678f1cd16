"""A Pasqal machine on premises, on loopback: the warden before it, as QRMI calls it.

Each request is signed by munge; jobs run in a session, on Pulser's emulator with the noise that the
device publishes.
"""

import json
import uuid
from collections.abc import Sequence
from itertools import count
from typing import Any

from quanopy.testing.vendors.base import Vendor
from quanopy.testing.vendors.faults import Fault
from quanopy.testing.vendors.jobs import ENDED, State, VendorJob
from quanopy.testing.vendors.messages import Reply, Request, Route, route
from quanopy.testing.vendors.pasqal import DEVICE

_STATUSES = {
    State.QUEUED: "PENDING",
    State.RUNNING: "RUNNING",
    State.DONE: "DONE",
    State.FAILED: "ERROR",
    State.CANCELLED: "CANCELED",
}
_ID = r"(?P<id>[^/]+)"


class PasqalWarden(Vendor):
    """The warden of one machine. Its secret is what munge makes of nothing."""

    name = "pasqal-local"
    secret = "MUNGE:loopback-credential:"

    def __init__(self, *, port: int = 0, runners: int = 1) -> None:
        super().__init__(port=port, runners=runners)
        self.sessions: dict[str, Any] = {}
        """Those that are open: what was asked for."""
        self._calibrations = 0
        self._numbers = count(1)

    def routes(self) -> Sequence[Route]:
        """What QRMI 0.26 calls."""
        return [
            route("GET", "/accessible", "resources", self._accessible),
            route("GET", "/qpu/specs", "calibration", self._specs),
            route("POST", "/sessions", "session", self._open_session),
            route("DELETE", f"/sessions/{_ID}", "session", self._revoke),
            route("POST", "/jobs", "start", self._create),
            route("GET", f"/jobs/{_ID}", "poll", self._job),
            route("GET", f"/jobs/{_ID}/logs", "logs", self._logs),
            route("POST", f"/jobs/{_ID}/cancel", "stop", self._cancel),
        ]

    def recalibrate(self) -> None:
        """It reads atoms a little worse."""
        self._calibrations += 1

    def run(self, job: VendorJob) -> str:
        """The result, as the text that a job carries."""
        from quanopy.testing.vendors.pasqal_runs import run

        found = run(job.payload["sequence"], job.payload["shots"], self._calibrations)
        if "error" in found:
            raise ValueError(found["error"])
        return json.dumps({"counter": found["counter"]})

    # -- routes -------------------------------------------------------------------------------
    def _accessible(self, request: Request) -> Reply:
        return Reply(body={"is_accessible": True, "message": "at your service"})

    def _specs(self, request: Request) -> Reply:
        from quanopy.testing.vendors.pasqal_runs import device

        return self._refused(request) or Reply(body={"specs": device(DEVICE, self._calibrations)})

    def _open_session(self, request: Request) -> Reply:
        refused = self._refused(request)
        if refused is not None:
            return refused
        session = str(uuid.uuid4())
        self.sessions[session] = request.json()
        return Reply(body={"id": session})

    def _revoke(self, request: Request) -> Reply:
        refused = self._refused(request)
        if refused is not None:
            return refused
        if self.sessions.pop(request.names["id"], None) is None:
            return self.refuse(404, "no such session")
        return Reply(body={"id": request.names["id"]})

    def _create(self, request: Request) -> Reply:
        refused = self._refused(request)
        if refused is not None:
            return refused
        session = request.headers.get("x-warden-session")
        if session not in self.sessions:
            return self.refuse(403, "there is no such session")
        if request.fault is Fault.REJECT:
            return self.refuse(422, "this register has too many atoms")
        return self._told(self.accept(str(next(self._numbers)), request.json(), key=session))

    def _job(self, request: Request) -> Reply:
        return self._refused(request) or self._of(request, self._told)

    def _cancel(self, request: Request) -> Reply:
        return self._refused(request) or self._of(request, self._cancelled)

    def _logs(self, request: Request) -> Reply:
        return self._refused(request) or self._of(
            request, lambda job: Reply(body={"logs": job.error or "run on loopback"})
        )

    def _cancelled(self, job: VendorJob) -> Reply:
        if job.state in ENDED:
            return self.refuse(400, "the job has ended")
        self.cancel(job)
        return self._told(job)

    # -- what it knows ------------------------------------------------------------------------
    def _refused(self, request: Request) -> Reply | None:
        signed = request.headers.get("x-munge-cred") == self.secret
        return None if signed else self.refuse(401, "the request is not signed")

    def _of(self, request: Request, answer: Any) -> Reply:
        job = self.find(request.names["id"])
        if job is None:
            return self.refuse(404, "no such job")
        if request.fault is Fault.VANISHED:
            job.forgotten = True
            return self.refuse(404, "no such job")
        reply: Reply = answer(job)
        if request.fault is Fault.UNSEEN:
            return Reply(body={**reply.body, "status": "REARRANGING"})
        return reply

    def _told(self, job: VendorJob) -> Reply:
        return Reply(
            body={
                "id": int(job.id),
                "user_id": "loopback",
                "status": _STATUSES[job.state],
                "results": job.result,
            }
        )
