"""Pasqal's cloud on loopback: login, devices, batches and jobs as pasqal-cloud calls them, run on
Pulser's emulator with the noise that the device publishes."""

import gzip
import json
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

from quanopy.testing.vendors.base import Vendor
from quanopy.testing.vendors.faults import Fault
from quanopy.testing.vendors.jobs import ENDED, State, VendorJob
from quanopy.testing.vendors.messages import Reply, Request, Route, route

DEVICE, EMULATOR = "FRESNEL", "EMU_FREE"
_STATUSES = {
    State.QUEUED: "PENDING",
    State.RUNNING: "RUNNING",
    State.DONE: "DONE",
    State.FAILED: "ERROR",
    State.CANCELLED: "CANCELED",
}
_ID = r"(?P<id>[^/]+)"


class PasqalVendor(Vendor):
    """The cloud: one account, whose password is the secret."""

    name = "pasqal"
    user = "ada@loopback.example"
    project = "00000000-0000-4000-8000-000000000001"

    def __init__(self, *, port: int = 0, runners: int = 1) -> None:
        super().__init__(port=port, runners=runners)
        self._tokens: list[str] = []
        self._calibrations = 0
        self._signature = uuid.uuid4().hex

    def options(self) -> Mapping[str, Any]:
        """Its provider's options."""
        return {
            "project": self.project,
            "username": self.user,
            "password": f"env:{self._variable}",
            "url": self.url,
            "token_url": f"{self.url}/oauth/token",
        }

    def secrets(self) -> Sequence[str]:
        """The password, the tokens that were given for it, and what results are signed with."""
        with self.lock:
            return [self.secret, self._signature, *self._tokens]

    def token(self) -> str:
        """A token for clients that are given one and do not log in."""
        claims = {"exp": int(self.now().timestamp()) + 3600, "jti": uuid.uuid4().hex}
        parts = [json.dumps(part).encode() for part in ({"alg": "none"}, claims)]
        token = ".".join(
            [*(urlsafe_b64encode(part).decode().rstrip("=") for part in parts), "c2ln"]
        )
        with self.lock:
            self._tokens.append(token)
        return token

    def routes(self) -> Sequence[Route]:
        """What pasqal-cloud 0.24 and QRMI 0.26 call."""
        return [
            route("POST", "/oauth/token", "login", self._login),
            route("GET", "/api/v1/devices/specs", "calibration", self._devices),
            route("GET", "/api/v1/devices/public-specs", "calibration", self._public_devices),
            route("GET", f"/api/v1/devices/specs/{_ID}", "calibration", self._device),
            route("POST", "/api/v1/batches", "start", self._create),
            route("GET", "/api/v1/batches", "poll", self._list),
            route("GET", f"/api/v1/batches/{_ID}/status", "poll", self._batch),
            route("GET", f"/api/v2/batches/{_ID}", "poll", self._batch),
            route("PATCH", f"/api/v2/batches/{_ID}/cancel", "stop", self._cancel),
            route("GET", f"/api/v1/batches/{_ID}/full_results", "result", self._full),
            route("GET", "/api/v2/jobs", "jobs", self._jobs),
            route("GET", f"/api/v2/jobs/{_ID}", "poll", self._job),
            route("GET", f"/api/v1/jobs/{_ID}/results_link", "result", self._link),
            route("GET", f"/results/{_ID}", "download", self._download),
        ]

    def refuse(self, status: int, message: str) -> Reply:
        """As the cloud says it."""
        told = {"status": "fail", "code": status, "message": message, "data": {}}
        return Reply(status=status, body=told)

    def recalibrate(self) -> None:
        """Its device reads atoms a little worse."""
        with self.lock:
            self._calibrations += 1

    def run(self, job: VendorJob) -> Any:
        """Run a batch's jobs, one after another; each has a result or an error of its own."""
        from quanopy.testing.vendors.pasqal_runs import run

        with self.lock:
            calibrations = self._calibrations
        return {one["id"]: run(one["sequence"], one["runs"], calibrations) for one in _jobs_of(job)}

    def _match(self, request: Request) -> tuple[Route, dict[str, str]] | None:
        """As all vendors do it; a list by a tag is a search, and QRMI has a prefix of its own."""
        found = super()._match(replace(request, path=request.path.removeprefix("/core-fast")))
        if found is None or "tag" not in request.query:
            return found
        return replace(found[0], about="find"), found[1]

    # -- routes -------------------------------------------------------------------------------
    def _login(self, request: Request) -> Reply:
        told = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        if (told.get("username"), told.get("password")) != (self.user, self.secret):
            words = {"error": "invalid_grant", "error_description": "Wrong email or password."}
            return Reply(status=403, body=words)
        token = f"loopback-token-{uuid.uuid4().hex}"
        with self.lock:
            self._tokens.append(token)
        return Reply(body={"access_token": token, "expires_in": 3600, "token_type": "Bearer"})

    def _devices(self, request: Request) -> Reply:
        return self._admitted(request) or self._said(self._specs())

    def _public_devices(self, request: Request) -> Reply:
        specs = self._specs().items()
        return self._said([{"device_type": name, "specs": text} for name, text in specs])

    def _device(self, request: Request) -> Reply:
        specs = self._specs().get(request.names["id"])
        if specs is None:
            return self.refuse(404, "no such device")
        return self._admitted(request) or self._said(
            {"device_type": request.names["id"], "specs": specs}
        )

    def _specs(self) -> dict[str, str]:
        from quanopy.testing.vendors.pasqal_runs import device

        with self.lock:
            calibrations = self._calibrations
        return {
            DEVICE: device(DEVICE, calibrations),
            EMULATOR: device(EMULATOR, calibrations),
        }

    def _create(self, request: Request) -> Reply:
        refused = self._admitted(request)
        if refused is not None:
            return refused
        told = _told(request)
        if request.fault is Fault.REJECT:
            return self.refuse(422, "this register has too many atoms")
        if told.get("device_type") not in (DEVICE, EMULATOR):
            return self.refuse(400, "no such device")
        jobs = told.get("jobs")
        if not jobs or any(not (one.get("sequence") or told["sequence_builder"]) for one in jobs):
            return self.refuse(422, "a job has no sequence")
        for one in jobs:
            one["id"] = str(uuid.uuid4())
            one["sequence"] = one.get("sequence") or told["sequence_builder"]
        tags = told.get("tags") or []
        batch = self.accept(str(uuid.uuid4()), told, key=tags[0] if tags else None)
        return self._said(self._row(batch))

    def _list(self, request: Request) -> Reply:
        refused = self._admitted(request)
        if refused is not None:
            return refused
        ids = {value for name, value in request.queries if name == "id"}
        tag = request.query.get("tag")
        limit, offset = int(request.query.get("limit", 100)), int(request.query.get("offset", 0))
        with self.lock:
            batches = [one for one in self.jobs.values() if not one.forgotten]
        found = [
            one
            for one in reversed(batches)
            if (not ids or one.id in ids) and (tag is None or tag in (one.payload["tags"] or ()))
        ]
        if request.fault is Fault.VANISHED:
            for one in found:
                one.forgotten = True
            found = []
        page = found[offset : offset + limit]
        rows = [self._row(one, unseen=request.fault is Fault.UNSEEN) for one in page]
        counted = {"total": len(found), "start": offset, "end": offset + len(page)}
        return self._said(rows, pagination=counted)

    def _batch(self, request: Request) -> Reply:
        batch = self._found(request)
        if isinstance(batch, Reply):
            return batch
        if request.fault is Fault.VANISHED:
            batch.forgotten = True
            return self.refuse(404, "no such batch")
        return self._said(self._row(batch, unseen=request.fault is Fault.UNSEEN))

    def _cancel(self, request: Request) -> Reply:
        batch = self._found(request)
        if isinstance(batch, Reply):
            return batch
        if batch.state in ENDED:
            return self.refuse(400, "a batch that has ended cannot be cancelled")
        self.cancel(batch)
        return self._said(self._row(batch))

    def _jobs(self, request: Request) -> Reply:
        refused = self._admitted(request)
        if refused is not None:
            return refused
        batch = self.find(request.query.get("batch_id", ""))
        rows = [] if batch is None else [_job_row(batch, one) for one in _jobs_of(batch)]
        counted = {"total": len(rows), "start": 0, "end": len(rows)}
        return self._said(rows, pagination=counted)

    def _job(self, request: Request) -> Reply:
        refused = self._admitted(request)
        if refused is not None:
            return refused
        wanted = request.names["id"]
        with self.lock:
            batches = [one for one in self.jobs.values() if not one.forgotten]
        rows = [(batch, one) for batch in batches for one in _jobs_of(batch) if one["id"] == wanted]
        if not rows:
            return self.refuse(404, "no such job")
        return self._said(_job_row(*rows[0]))

    def _link(self, request: Request) -> Reply:
        refused = self._admitted(request)
        if refused is not None:
            return refused
        result = self._result(request.names["id"])
        link = f"{self.url}/results/{request.names['id']}?signature={self._signature}"
        return self._said({"results_link": link if result is not None else None})

    def _download(self, request: Request) -> Reply:
        if request.query.get("signature") != self._signature:
            return Reply(status=403, body=b"<Error/>")
        return Reply(body=self._result(request.names["id"]) or {})

    def _full(self, request: Request) -> Reply:
        batch = self._found(request)
        if isinstance(batch, Reply):
            return batch
        found = {one["id"]: self._result(one["id"]) for one in _jobs_of(batch)}
        return self._said({name: one for name, one in found.items() if one is not None})

    # -- what it knows ------------------------------------------------------------------------
    def _admitted(self, request: Request) -> Reply | None:
        with self.lock:
            known = [f"Bearer {token}" for token in self._tokens]
        if request.headers.get("authorization") in known:
            return None
        return self.refuse(401, "the token is not valid")

    def _found(self, request: Request) -> VendorJob | Reply:
        """The batch of a request, or why there is none."""
        refused = self._admitted(request)
        if refused is not None:
            return refused
        batch = self.find(request.names["id"])
        return self.refuse(404, "no such batch") if batch is None else batch

    def _result(self, job: str) -> Any:
        with self.lock:
            batches = [one for one in self.jobs.values() if one.state is State.DONE]
        found = next((one.result[job] for one in batches if job in one.result), None)
        return None if found is None or "error" in found else found

    def _row(self, batch: VendorJob, *, unseen: bool = False) -> dict[str, Any]:
        failed = batch.state is State.DONE and any("error" in r for r in batch.result.values())
        status = "ERROR" if failed else _STATUSES[batch.state]
        return {
            "id": batch.id,
            "status": "REARRANGING_ATOMS" if unseen else status,
            "open": False,
            "complete": True,
            "created_at": _written(batch.created_at),
            "updated_at": _written(batch.ended_at or batch.created_at),
            "start_datetime": _written(batch.started_at),
            "end_datetime": _written(batch.ended_at),
            "device_type": batch.payload["device_type"],
            "project_id": batch.payload.get("project_id"),
            "user_id": self.user,
            "priority": 10,
            "tags": batch.payload.get("tags"),
            "sequence_builder": batch.payload.get("sequence_builder"),
            "jobs_count": len(batch.payload["jobs"]),
            "job_ids": [one["id"] for one in batch.payload["jobs"]],
        }

    def _said(self, data: Any, **more: Any) -> Reply:
        return Reply(
            body={"status": "success", "code": 200, "message": "OK.", "data": data, **more}
        )


def _jobs_of(batch: VendorJob) -> list[dict[str, Any]]:
    jobs: list[dict[str, Any]] = batch.payload["jobs"]
    return jobs


def _job_row(batch: VendorJob, job: Mapping[str, Any]) -> dict[str, Any]:
    result = batch.result.get(job["id"], {}) if batch.state is State.DONE else {}
    error = result.get("error") or batch.error
    return {
        "id": job["id"],
        "batch_id": batch.id,
        "project_id": batch.payload.get("project_id"),
        "status": "ERROR" if "error" in result else _STATUSES[batch.state],
        "runs": job["runs"],
        "errors": [error] if error else None,
        "created_at": _written(batch.created_at),
        "updated_at": _written(batch.created_at),
        "start_timestamp": _written(batch.started_at),
        "end_timestamp": _written(batch.ended_at),
    }


def _written(at: Any) -> str | None:
    """As the cloud writes times: in UTC, and naming no zone."""
    return None if at is None else at.replace(tzinfo=None).isoformat()


def _told(request: Request) -> dict[str, Any]:
    zipped = request.headers.get("content-encoding") == "gzip"
    told: dict[str, Any] = json.loads(gzip.decompress(request.body) if zipped else request.body)
    return told
