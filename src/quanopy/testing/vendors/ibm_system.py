"""A loopback IBM Quantum System API, as QRMI's client of it speaks: jobs whose input and results
are objects in a bucket of the user's own, which is here too. Jobs run as those of the service do.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from quanopy.testing.vendors.aws_signatures import is_signed
from quanopy.testing.vendors.faults import Fault
from quanopy.testing.vendors.ibm import CRN, IbmService
from quanopy.testing.vendors.jobs import ENDED, State, VendorJob
from quanopy.testing.vendors.messages import Reply, Request, Route, route

BUCKET = "loopback-system"
REGION = "us-east-1"
KEY_ID = "AKIAQUANOPYSYSTEM000"
_STATUS = {
    State.QUEUED: "Running",
    State.RUNNING: "Running",
    State.DONE: "Completed",
    State.FAILED: "Failed",
    State.CANCELLED: "Cancelled",
}
"""The API knows no queue."""


class IbmSystem(IbmService):
    """A machine as those of the service, on its own premises."""

    name = "ibm-system"
    provider = "qrmi"
    storage_secret = "loopback/system+storage+secret+00000000"

    def __init__(
        self, *, port: int = 0, runners: int = 1, machines: Sequence[str] = ("lagos",)
    ) -> None:
        self._objects: dict[str, bytes] = {}
        super().__init__(port=port, runners=runners, machines=machines)

    def routes(self) -> list[Route]:
        """IAM, the API, and the bucket."""

        def one(method: str, path: str, about: str, handle: Any) -> Route:
            return route(method, f"/v1{path}", about, lambda r: self._known(r, handle))

        job, backend = r"/jobs/(?P<id>[^/]+)", r"/backends/(?P<name>[^/]+)"
        kept = rf"/{BUCKET}/(?P<key>.+)"
        return [
            route("POST", "/identity/token", "login", self._login),
            one("GET", "/backends", "resources", self._backends),
            one("GET", backend, "resources", self._backend),
            one("GET", f"{backend}/configuration", "target", self._configuration),
            one("GET", f"{backend}/properties", "calibration", self._properties),
            one("POST", "/jobs", "start", self._run_job),
            one("GET", job, "poll", self._details),
            one("DELETE", job, "delete", self._delete),
            one("POST", f"{job}/cancel", "stop", self._cancel),
            route("PUT", kept, "upload", self._put),
            route("GET", kept, "download", self._get),
        ]

    def refuse(self, status: int, message: str) -> Reply:
        """An error as the API gives it."""
        error = {"code": str(1000 + status), "message": message, "more_info": self.url}
        return Reply(
            status=status,
            body={"status_code": status, "title": message, "trace": "loopback", "errors": [error]},
        )

    def environment(self) -> Mapping[str, str]:
        """For the provider, and for QRMI."""
        return {
            self._variable: self.secret,
            self._storage_variable: self.storage_secret,
            **{
                f"{name}_{key}": value
                for name in self._machines
                for key, value in self.variables().items()
            },
        }

    def options(self) -> Mapping[str, Any]:
        """Its machines, as QRMI's provider has them."""
        table = {
            "type": "ibm-quantum-system",
            **self.variables(),
            "QRMI_IBM_QS_IAM_APIKEY": f"env:{self._variable}",
            "QRMI_IBM_QS_AWS_SECRET_ACCESS_KEY": f"env:{self._storage_variable}",
        }
        return {"machines": dict.fromkeys(self._machines, table)}

    @property
    def _storage_variable(self) -> str:
        return self._variable.replace("_KEY", "_STORAGE_KEY")

    def variables(self) -> Mapping[str, str]:
        """Of a machine, without its name before them."""
        return {
            "QRMI_IBM_QS_ENDPOINT": self.url,
            "QRMI_IBM_QS_IAM_ENDPOINT": self.url,
            "QRMI_IBM_QS_IAM_APIKEY": self.secret,
            "QRMI_IBM_QS_SERVICE_CRN": CRN,
            "QRMI_IBM_QS_AWS_ACCESS_KEY_ID": KEY_ID,
            "QRMI_IBM_QS_AWS_SECRET_ACCESS_KEY": self.storage_secret,
            "QRMI_IBM_QS_S3_ENDPOINT": self.url,
            "QRMI_IBM_QS_S3_BUCKET": BUCKET,
            "QRMI_IBM_QS_S3_REGION": REGION,
            "QRMI_JOB_TIMEOUT_SECONDS": "300",
        }

    def secrets(self) -> list[str]:
        """The service's, and the bucket's."""
        return [*super().secrets(), self.storage_secret]

    def run(self, job: VendorJob) -> str:
        """Run what the input holds, and put the result where it is wanted."""
        storage = job.payload["storage"]
        params = json.loads(self._objects[_key(storage["input"])])
        asked = VendorJob(
            id=job.id, key=None, payload={**job.payload, "params": params}, created_at=self.now()
        )
        found = super().run(asked)
        self._objects[_key(storage["results"])] = found.encode()
        self._objects[_key(storage["logs"])] = b"run on loopback"
        return found

    # -- the API ------------------------------------------------------------------------------
    def _backends(self, request: Request) -> Reply:
        return Reply(body={"backends": [self._said(name) for name in self._machines]})

    def _backend(self, request: Request) -> Reply:
        return Reply(body=self._said(self._machines[request.names["name"]].name))

    def _said(self, name: str) -> dict[str, Any]:
        return {"name": name, "status": "online", "locked": False, "version": "2.0.0"}

    def _run_job(self, request: Request) -> Reply:
        told = request.json()
        if request.fault is Fault.REJECT or told["program_id"] not in ("sampler", "estimator"):
            return self.refuse(400, "the program is not valid for this machine")
        if _key(told["storage"]["input"]) not in self._objects:
            return self.refuse(400, "the input cannot be read")
        machine = self._machines[told["backend"]]
        if self.find(told["id"]) is not None:
            return self.refuse(409, "there is a job of this id")
        self.accept(told["id"], {**told, "backend": machine.name})
        return Reply(status=204, body=b"")

    def _details(self, request: Request) -> Reply:
        job = self._find(request)
        told = job.payload
        failed = {"reason_code": 1517, "reason_message": job.error} if job.error else {}
        return Reply(
            body={
                "id": job.id,
                "backend": told["backend"],
                "program_id": told["program_id"],
                "status": "Recalibrating" if request.fault is Fault.UNSEEN else _STATUS[job.state],
                "created_time": _iso(job.created_at),
                "end_time": _iso(job.ended_at),
                "storage": told["storage"],
                "timeout_secs": told["timeout_secs"],
                **failed,
            }
        )

    def _delete(self, request: Request) -> Reply:
        job = self._find(request)
        if job.state not in ENDED:
            return self.refuse(409, "a job that runs cannot be deleted")
        job.forgotten = True
        return Reply(status=204, body=b"")

    # -- the bucket ---------------------------------------------------------------------------
    def _put(self, request: Request) -> Reply:
        if not is_signed(request, self.storage_secret, self.url):
            return Reply(status=403, body=b"<Error><Code>AccessDenied</Code></Error>")
        self._objects[request.names["key"]] = request.body
        return Reply(body=b"", headers={"ETag": '"loopback"'})

    def _get(self, request: Request) -> Reply:
        if not is_signed(request, self.storage_secret, self.url):
            return Reply(status=403, body=b"<Error><Code>AccessDenied</Code></Error>")
        found = self._objects.get(request.names["key"])
        if found is None:
            return Reply(status=404, body=b"<Error><Code>NoSuchKey</Code></Error>")
        return Reply(body=found)


def _key(place: Mapping[str, str]) -> str:
    """The object that a signed address is of."""
    return urlsplit(place["presigned_url"]).path.removeprefix(f"/{BUCKET}/")


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat().replace("+00:00", "Z")
