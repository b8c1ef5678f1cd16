"""Quandela's cloud on loopback: its routes as Perceval's client calls them, jobs on Perceval.

Platforms are a simulator and a chip with losses; both run with the noise of the performance that
they publish. Nothing here needs Perceval before a job runs.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote_plus
from uuid import uuid4

from quanopy.testing.vendors.base import Vendor
from quanopy.testing.vendors.faults import Fault
from quanopy.testing.vendors.jobs import State, VendorJob
from quanopy.testing.vendors.messages import Reply, Request, Route, route

SIMULATOR, CHIP = "sim:loopback", "qpu:loopback"
_STATUSES = {
    State.QUEUED: "waiting",
    State.RUNNING: "running",
    State.DONE: "completed",
    State.FAILED: "error",
    State.CANCELLED: "canceled",
}
_JOB = r"(?P<id>[^/]+)"
_PLATFORM = r"(?P<platform>[^/]+)"


class PercevalVendor(Vendor):
    """The cloud; its chip loses photons, so that fewer samples than shots come back."""

    name = "perceval"

    def __init__(self, *, port: int = 0, runners: int = 1) -> None:
        super().__init__(port=port, runners=runners)
        self._performance = {
            SIMULATOR: {"HOM (%)": 92.0, "g2 (%)": 1.5, "Transmittance (%)": 100.0},
            CHIP: {
                "HOM (%)": 91.2,
                "g2 (%)": 2.1,
                "Transmittance (%)": 45.0,
                "Clock (MHz)": 80.0,
            },
        }

    def options(self) -> Mapping[str, Any]:
        """Its provider's options, for the simulator."""
        return {**super().options(), "platforms": [SIMULATOR]}

    def routes(self) -> Sequence[Route]:
        """What Perceval 1.3 calls."""
        return [
            route("GET", f"/api/platforms/{_PLATFORM}/processor", "calibration", self._details),
            route("GET", f"/api/platform/{_PLATFORM}", "calibration", self._details),
            route("POST", "/api/job", "start", self._create),
            route("GET", f"/api/job/status/{_JOB}", "poll", self._status),
            route("GET", f"/api/job/result/{_JOB}", "result", self._result),
            route("POST", f"/api/job/cancel/{_JOB}", "stop", self._cancel),
            route("POST", f"/api/job/rerun/{_JOB}", "start", self._rerun),
            route("GET", "/api/jobs/availability", "poll", self._availability),
        ]

    def refuse(self, status: int, message: str) -> Reply:
        """As the cloud says it."""
        return Reply(status=status, body={"error": message})

    def recalibrate(self) -> None:
        """Its photons are a little less alike, and the chip loses a little more of them."""
        with self.lock:
            for performance in self._performance.values():
                performance["HOM (%)"] -= 1.0
            self._performance[CHIP]["Transmittance (%)"] *= 0.99

    def run(self, job: VendorJob) -> Any:
        """Run the experiment with the noise of the platform it is for."""
        from quanopy.testing.vendors.perceval_runs import run

        with self.lock:
            performance = dict(self._performance[job.payload["platform_name"]])
        return run(job.payload["payload"], performance)

    # -- routes -------------------------------------------------------------------------------
    def _details(self, request: Request) -> Reply:
        if not self._admits(request):
            return self.refuse(401, "Unauthorized")
        platform = unquote_plus(request.names["platform"])
        with self.lock:
            performance = dict(self._performance.get(platform, {}))
        if not performance:
            return self.refuse(404, "Platform not found")
        simulator = platform == SIMULATOR
        specs = {
            "available_commands": ["probs", "sample_count", "samples"],
            "constraints": {"max_mode_count": 24, "max_photon_count": 12, "min_photon_count": 1},
            "description": f"{'Simulator' if simulator else 'Chip'} on loopback",
            "parameters": {},
        } | ({} if simulator else {"architecture": None})
        body = {
            "id": str(uuid4()),
            "name": platform,
            "perfs": performance,
            "specs": specs,
            "status": "available",
            "type": "simulator" if simulator else "physical",
        }
        return Reply(body=body)

    def _create(self, request: Request) -> Reply:
        if not self._admits(request):
            return self.refuse(401, "Unauthorized")
        told = request.json()
        if request.fault is Fault.REJECT:
            return self.refuse(400, "this experiment asks for too many photons")
        if told.get("platform_name") not in self._performance:
            return self.refuse(404, "Platform not found")
        if not isinstance(told.get("payload"), dict) or "command" not in told["payload"]:
            return self.refuse(400, "a payload with a command is needed")
        job = self.accept(str(uuid4()), told, key=told.get("job_name"))
        return Reply(body={"job_id": job.id})

    def _status(self, request: Request) -> Reply:
        job = self._job(request)
        if isinstance(job, Reply):
            return job
        started = job.started_at.timestamp() if job.started_at is not None else None
        ended = job.ended_at.timestamp() if job.ended_at is not None else None
        known = "recalibrating" if request.fault is Fault.UNSEEN else _STATUSES[job.state]
        body = {
            "status": known,
            "status_message": job.error,
            "progress": 1.0 if job.state is State.DONE else 0.0,
            "progress_message": "",
            "creation_datetime": job.created_at.timestamp(),
            "start_time": started,
            "duration": int(ended - started) if started and ended else None,
        }
        return Reply(body=body)

    def _result(self, request: Request) -> Reply:
        job = self._job(request)
        if isinstance(job, Reply):
            return job
        done = job.state is State.DONE
        body = {"job_id": job.id, "results": json.dumps(job.result) if done else None}
        return Reply(body=body)

    def _cancel(self, request: Request) -> Reply:
        job = self._job(request)
        if isinstance(job, Reply):
            return job
        if job.state not in (State.QUEUED, State.RUNNING):
            return self.refuse(400, "the job has ended")
        self.cancel(job)
        return Reply(body=b"")

    def _rerun(self, request: Request) -> Reply:
        job = self._job(request)
        if isinstance(job, Reply):
            return job
        if job.state not in (State.FAILED, State.CANCELLED):
            return self.refuse(400, "the job has not failed")
        return Reply(body={"job_id": self.accept(str(uuid4()), job.payload, key=job.key).id})

    def _availability(self, request: Request) -> Reply:
        with self.lock:
            waiting = sum(job.state is State.QUEUED for job in self.jobs.values())
        return Reply(body={"max_jobs_in_queue": 100, "num_jobs_in_queue": waiting})

    def _job(self, request: Request) -> VendorJob | Reply:
        if not self._admits(request):
            return self.refuse(401, "Unauthorized")
        job = self.find(request.names["id"])
        if job is not None and request.fault is Fault.VANISHED:
            job.forgotten, job = True, None
        return self.refuse(404, "Job not found") if job is None else job

    def _admits(self, request: Request) -> bool:
        return request.headers.get("authorization") == f"Bearer {self.secret}"
