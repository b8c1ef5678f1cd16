"""A loopback IBM Quantum service: IAM, backends, jobs and sessions as qiskit-ibm-runtime and the
QRMI compute-service client speak to them; jobs run on Aer with the noise of IBM's fake devices."""

import base64
import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs

from quanopy.testing.vendors.base import Vendor
from quanopy.testing.vendors.faults import Fault
from quanopy.testing.vendors.ibm_devices import Machine
from quanopy.testing.vendors.ibm_jobs import (
    about_list,
    iso,
    matches,
    plain_result,
    seconds_of,
    shown_job,
    time_of,
)
from quanopy.testing.vendors.jobs import ENDED, State, VendorJob
from quanopy.testing.vendors.messages import Rejected, Reply, Request, Route, route

CRN = "crn:v1:bluemix:public:quantum-computing:us-east:a/loopback:quanopy::"
_PROGRAMS = ("sampler", "estimator")
_PAGE = 200
_TOKEN_S = 3600
_PLAIN = {"Content-Type": "text/plain"}


class IbmService(Vendor):
    """The service. Both routes with and without ``/api/v1`` before them are served."""

    name = "ibm"
    secret = "loopback-ibm-api-key"

    def __init__(
        self,
        *,
        port: int = 0,
        runners: int = 1,
        machines: Sequence[str] = ("nairobi", "fez"),
        most_shots: int | None = None,
    ) -> None:
        """``most_shots`` of a pub is what its machines take, by default as those of IBM's do."""
        super().__init__(port=port, runners=runners)
        made = (Machine(fake, self.now(), most_shots=most_shots) for fake in machines)
        self._machines = {machine.name: machine for machine in made}
        self._sessions: dict[str, dict[str, Any]] = {}
        self._tokens: set[str] = set()

    def routes(self) -> list[Route]:
        """IAM and the service."""

        def one(method: str, path: str, about: Any, handle: Any) -> Route:
            return route(method, rf"(?:/api/v1)?{path}", about, lambda r: self._known(r, handle))

        job, backend = r"/jobs/(?P<id>[^/]+)", r"/backends/(?P<name>[^/]+)"
        session = r"/sessions/(?P<id>[^/]+)"
        return [
            route("POST", "/identity/token", "login", self._login),
            one("GET", "/backends", "resources", self._list_backends),
            one("GET", f"{backend}/configuration", "target", self._configuration),
            one("GET", f"{backend}/properties", "calibration", self._properties),
            one("GET", f"{backend}/status", "resources", self._status),
            one("GET", "/instances/usage", "usage", self._usage),
            one("POST", "/jobs", "start", self._start),
            one("GET", "/jobs", about_list, self._list),
            one("GET", job, "poll", self._job),
            one("DELETE", job, "delete", self._delete),
            one("GET", f"{job}/results", "result", self._results),
            one("GET", f"{job}/metrics", "metrics", self._metrics),
            one("GET", f"{job}/logs", "logs", self._logs),
            one("POST", f"{job}/cancel", "stop", self._cancel),
            one("POST", "/sessions", "session", self._open_session),
            one("GET", session, "session", self._session),
            one("PATCH", session, "session", self._change_session),
            one("DELETE", f"{session}/close", "session", self._close_session),
        ]

    def refuse(self, status: int, message: str) -> Reply:
        """An error as the service gives it."""
        return Reply(status=status, body={"errors": [{"code": 1000 + status, "message": message}]})

    def recalibrate(self) -> None:
        """Every machine is calibrated now."""
        for machine in self._machines.values():
            machine.recalibrate(self.now())

    def environment(self) -> Mapping[str, str]:
        """For the provider, for the vendor's own client (which is to ask no search of all
        instances), and for QRMI."""
        return {
            **super().environment(),
            "IAM_URL": self.url,
            "QISKIT_FUNCTIONS_EXPERIMENTAL": "1",
            **{
                f"{name}_QRMI_IBM_QCS_{key}": value
                for name in self._machines
                for key, value in (
                    ("ENDPOINT", f"{self.url}/api/v1"),
                    ("IAM_ENDPOINT", self.url),
                    ("IAM_APIKEY", self.secret),
                    ("SERVICE_CRN", CRN),
                )
            },
        }

    def options(self) -> Mapping[str, Any]:
        """Options of the provider."""
        return {
            **super().options(),
            "url": f"{self.url}/api/v1",
            "iam_url": self.url,
            "instance": CRN,
        }

    def secrets(self) -> list[str]:
        """The key, and every token that was given for it."""
        with self.lock:
            return [self.secret, *self._tokens]

    def run(self, job: VendorJob) -> str:
        """Run the pubs; the result is text, as the service sends it."""
        params = job.payload["params"]
        options = params.get("options") or {}
        machine = self._machines[job.payload["backend"]]
        if job.payload["program_id"] == "sampler":
            found = machine.sample(params["pubs"], options.get("default_shots") or 4096)
        else:
            precision = options.get("default_precision") or 0.015625
            found = machine.estimate(params["pubs"], precision)
        if params.get("support_qiskit", True):
            from qiskit_ibm_runtime import RuntimeEncoder

            return json.dumps(found, cls=RuntimeEncoder)
        return json.dumps(plain_result(found))

    def session(self, id: str) -> dict[str, Any]:
        """A batch or session as it is now."""
        return self._sessions[id]

    # -- who asks -----------------------------------------------------------------------------
    def _login(self, request: Request) -> Reply:
        told = parse_qs(request.body.decode())
        if told.get("apikey") != [self.secret]:
            wrong = {"errorCode": "BXNIM0415E", "errorMessage": "Provided API key is unknown."}
            return Reply(status=400, body=wrong)
        now = int(self.now().timestamp())
        claims = {"iat": now, "exp": now + _TOKEN_S, "jti": secrets.token_hex(8)}
        token = f"{_part({'alg': 'HS256'})}.{_part(claims)}.{secrets.token_urlsafe(24)}"
        with self.lock:
            self._tokens.add(token)
        return Reply(
            body={
                "access_token": token,
                "refresh_token": "not_supported",
                "token_type": "Bearer",
                "expires_in": _TOKEN_S,
                "expiration": now + _TOKEN_S,
                "scope": "ibm openid",
            }
        )

    def _known(self, request: Request, handle: Any) -> Reply:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        good = key in self._tokens if scheme.lower() == "bearer" else key == self.secret
        if not good or not request.headers.get("service-crn", "").startswith("crn:"):
            return self.refuse(401, "the credential is not valid for this instance")
        try:
            reply: Reply = handle(request)
        except KeyError as error:
            return self.refuse(404, f"not found: {error}")
        except Rejected as error:
            return self.refuse(400, str(error))
        return reply

    # -- machines -----------------------------------------------------------------------------
    def _waiting(self, name: str) -> int:
        with self.lock:
            jobs = list(self.jobs.values())
        return sum(j.payload["backend"] == name and j.state not in ENDED for j in jobs)

    def _list_backends(self, request: Request) -> Reply:
        found = [m.listed(self._waiting(m.name)) for m in self._machines.values()]
        return Reply(body={"devices": found})

    def _configuration(self, request: Request) -> Reply:
        return Reply(body=self._machines[request.names["name"]].configuration)

    def _properties(self, request: Request) -> Reply:
        machine = self._machines[request.names["name"]]
        before = request.query.get("updated_before")
        return Reply(body=machine.properties(time_of(before) if before else None))

    def _status(self, request: Request) -> Reply:
        machine = self._machines[request.names["name"]]
        return Reply(body=machine.status(self._waiting(machine.name)))

    def _usage(self, request: Request) -> Reply:
        with self.lock:
            ended = [j for j in self.jobs.values() if j.started_at and j.ended_at]
        used = sum(seconds_of(job) for job in ended)
        return Reply(body={"instance_id": CRN, "usage_consumed_seconds": used, "plan_id": "open"})

    # -- jobs ---------------------------------------------------------------------------------
    def _start(self, request: Request) -> Reply:
        if request.fault is Fault.REJECT:
            raise Rejected("the program is not valid for this machine")
        told = request.json()
        pubs = told["params"].get("pubs") if isinstance(told.get("params"), dict) else None
        if told.get("program_id") not in _PROGRAMS or not isinstance(pubs, list) or not pubs:
            raise Rejected("a sampler or an estimator needs pubs")
        machine = self._machines[told["backend"]]
        session = told.get("session_id")
        if session is not None and not self._sessions[session]["accepting_jobs"]:
            raise Rejected(f"session {session} takes no more jobs")
        tags = told.get("tags") or []
        key = next((tag for tag in tags if tag.startswith("exec_")), None)
        job = self.accept(f"d{secrets.token_hex(10)}", told, key=key)
        return Reply(body={"id": job.id, "backend": machine.name})

    def _find(self, request: Request) -> VendorJob:
        job = self.find(request.names["id"])
        if job is not None and request.fault is Fault.VANISHED:
            job.forgotten = True
        if job is None or job.forgotten:
            raise KeyError(request.names["id"])
        return job

    def _job(self, request: Request) -> Reply:
        job = self._find(request)
        shown = shown_job(job, unseen=request.fault is Fault.UNSEEN)
        whole = request.query.get("exclude_params") != "true"
        return Reply(body={**shown, "params": job.payload["params"]} if whole else shown)

    def _list(self, request: Request) -> Reply:
        limit = min(int(request.query.get("limit", _PAGE)), _PAGE)
        offset = int(request.query.get("offset", 0))
        with self.lock:
            jobs = [job for job in self.jobs.values() if not job.forgotten]
        if request.query.get("sort", "DESC").upper() != "ASC":
            jobs.reverse()
        found = [job for job in jobs if matches(job, request)]
        page = found[offset : offset + limit]
        if request.fault is Fault.VANISHED:
            for job in page:
                job.forgotten = True
            page = []
        shown = [shown_job(job, unseen=request.fault is Fault.UNSEEN) for job in page]
        return Reply(body={"jobs": shown, "count": len(found), "limit": limit, "offset": offset})

    def _delete(self, request: Request) -> Reply:
        self._find(request).forgotten = True
        return Reply(status=204, body=b"")

    def _results(self, request: Request) -> Reply:
        job = self._find(request)
        if job.state is State.DONE:
            return Reply(body=str(job.result).encode(), headers=_PLAIN)
        if job.state in ENDED:
            return Reply(body=(job.error or "").encode(), headers=_PLAIN)
        return Reply(status=204, body=b"")

    def _metrics(self, request: Request) -> Reply:
        job = self._find(request)
        used = seconds_of(job)
        ended = job.state in ENDED
        return Reply(
            body={
                "timestamps": {
                    "created": iso(job.created_at),
                    "running": iso(job.started_at),
                    "finished": iso(job.ended_at),
                },
                "bss": {"seconds": used},
                "usage": {
                    "quantum_seconds": used,
                    "seconds": used,
                    "qpu_charge_time_seconds": used,
                    "status": "final" if ended else "pending",
                },
            }
        )

    def _logs(self, request: Request) -> Reply:
        job = self._find(request)
        lines = [f"{iso(job.created_at)} accepted", f"{iso(job.started_at)} begun"]
        return Reply(body="\n".join([*lines, job.error or ""]).encode(), headers=_PLAIN)

    def _cancel(self, request: Request) -> Reply:
        job = self._find(request)
        if job.state in ENDED:
            return self.refuse(409, f"job {job.id} has ended")
        self.cancel(job)
        return Reply(status=204, body=b"")

    # -- sessions -----------------------------------------------------------------------------
    def _open_session(self, request: Request) -> Reply:
        told = request.json()
        name = secrets.token_hex(12)
        self._sessions[name] = {
            "id": name,
            "backend_name": self._machines[told["backend"]].name,
            "mode": told.get("mode", "dedicated"),
            "max_ttl": told.get("max_ttl", 28800),
            "state": "open",
            "accepting_jobs": True,
            "started_at": iso(self.now()),
        }
        return Reply(body=self._sessions[name])

    def _session(self, request: Request) -> Reply:
        return Reply(body=self._sessions[request.names["id"]])

    def _change_session(self, request: Request) -> Reply:
        session = self._sessions[request.names["id"]]
        if request.json().get("accepting_jobs") is False:
            session |= {"accepting_jobs": False, "state": "closed"}
        return Reply(status=204, body=b"")

    def _close_session(self, request: Request) -> Reply:
        session = self._sessions[request.names["id"]]
        session |= {"accepting_jobs": False, "state": "closed"}
        with self.lock:
            jobs = [j for j in self.jobs.values() if j.payload.get("session_id") == session["id"]]
        for job in jobs:
            self.cancel(job)
        return Reply(status=204, body=b"")


def _part(claims: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
