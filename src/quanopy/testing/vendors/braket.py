"""Amazon Braket, and the little of S3 that results are read from, on loopback.

Jobs run on Braket's own local simulators: OpenQASM programs and program sets on the state vector
(the simulator) or the density matrix (the machine, with the noise that Braket's local emulator
makes of its calibration), AHS programs on the Rydberg simulator, which knows no noise. Requests
must be signed, and a client token sent twice gives one task. What differs: a token with another
request is refused as invalid (the vendor's API names no error for it), and a page of a search
is of newest tasks first.
"""

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from quanopy.testing.vendors.aws_signatures import is_signed, key_of
from quanopy.testing.vendors.base import Vendor
from quanopy.testing.vendors.braket_devices import AQUILA, REGION, SV1, capabilities, summaries
from quanopy.testing.vendors.braket_runs import simulated, simulators
from quanopy.testing.vendors.faults import Fault
from quanopy.testing.vendors.jobs import State, VendorJob
from quanopy.testing.vendors.messages import Reply, Request, Route, route

ACCOUNT = "123456789012"
BUCKET = f"amazon-braket-{REGION}-{ACCOUNT}"
KEY_ID = "AKIAQUANOPYLOOPBACK2"

_STATES = {
    State.QUEUED: "QUEUED",
    State.RUNNING: "RUNNING",
    State.DONE: "COMPLETED",
    State.FAILED: "FAILED",
    State.CANCELLED: "CANCELLED",
}
_ERRORS = {
    401: "UnrecognizedClientException",
    402: "ServiceQuotaExceededException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    409: "ConflictException",
    424: "DeviceOfflineException",
    429: "ThrottlingException",
    503: "ServiceUnavailableException",
}
_FILTERS = ("quantumTaskArn", "deviceArn", "status", "createdAt")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """What was asked for."""

    sent: dict[str, Any]
    directory: str


class BraketVendor(Vendor):
    """The service and the bucket, on one port."""

    name = "braket"
    secret = "loopback/braket+secret+access+key+00000"

    def __init__(self, *, port: int = 0, runners: int = 1) -> None:
        super().__init__(port=port, runners=runners)
        self._edition = 0
        self._born = self.now()
        self._tokens: dict[str, str] = {}
        self._programs = threading.Lock()
        simulators()

    def routes(self) -> Sequence[Route]:
        """Braket's, then S3's."""
        task = r"/quantum-task/(?P<arn>[^/]+)"
        return [
            self._signed("POST", "/devices", "target", self._search_devices),
            self._signed("GET", r"/device/(?P<arn>[^/]+)", "calibration", self._device),
            self._signed("POST", "/quantum-task", "start", self._create),
            self._signed("GET", task, "status", self._task),
            self._signed("PUT", f"{task}/cancel", "stop", self._cancel),
            self._signed("POST", "/quantum-tasks", "poll", self._search),
            self._signed("GET", rf"/{BUCKET}/(?P<key>.+)", "result", self._object),
        ]

    def recalibrate(self) -> None:
        """All machines are calibrated anew."""
        self._edition += 1

    def refuse(self, status: int, message: str) -> Reply:
        """As Braket says it; S3's client takes the status alone."""
        name = _ERRORS.get(status, "InternalServiceException")
        headers = {"x-amzn-ErrorType": name}
        return Reply(status=status, body={"message": message}, headers=headers)

    def run(self, job: VendorJob) -> Any:
        """The document that is put into the bucket."""
        task: _Task = job.payload
        action = json.loads(task.sent["action"])
        arn = task.sent["deviceArn"]
        with self._programs:
            document = simulated(action, arn, task.sent["shots"], self._edition)
        metadata = document["taskMetadata"]
        metadata |= {"id": job.id, "deviceId": arn, "status": "COMPLETED"}
        return json.dumps(document).encode()

    def environment(self) -> Mapping[str, str]:
        """The key, and its id."""
        return {self._variable: self.secret, f"{self._variable}_ID": KEY_ID}

    def options(self) -> Mapping[str, Any]:
        """Of the provider ``braket``, or ``quera``."""
        return {
            "region": REGION,
            "access_key_id": f"env:{self._variable}_ID",
            "secret_access_key": f"env:{self._variable}",
            "account": ACCOUNT,
            "bucket": BUCKET,
            "endpoint_url": self.url,
            "s3_endpoint_url": self.url,
        }

    # -- devices ------------------------------------------------------------------------------
    def _search_devices(self, request: Request) -> Reply:
        return Reply(body={"devices": summaries(), "nextToken": None})

    def _device(self, request: Request) -> Reply:
        for summary in summaries():
            if summary["deviceArn"] == request.names["arn"]:
                document = capabilities(
                    summary["deviceArn"], edition=self._edition, started_at=self._born
                )
                said = {
                    "deviceCapabilities": json.dumps(document),
                    "deviceQueueInfo": [{"queue": "QUANTUM_TASKS_QUEUE", "queueSize": "0"}],
                }
                return Reply(body=summary | said)
        return self.refuse(404, f"Device {request.names['arn']} not found.")

    # -- tasks --------------------------------------------------------------------------------
    def _create(self, request: Request) -> Reply:
        sent = request.json()
        if request.fault is Fault.REJECT:
            return self._invalid("The program was told to be refused.")
        if sent.get("deviceArn") not in {each["deviceArn"] for each in summaries()}:
            return self._invalid(f"Unknown device {sent.get('deviceArn')}")
        with self.lock:
            known = self._tokens.get(sent["clientToken"])
            if known is not None:
                same = self.jobs[known].payload.sent == sent
                return (
                    Reply(status=201, body={"quantumTaskArn": known})
                    if same
                    else self._invalid("The client token was used for another request.")
                )
            problem = _problem(sent)
            if problem:
                return self._invalid(problem)
            number = str(uuid4())
            arn = f"arn:aws:braket:{REGION}:{ACCOUNT}:quantum-task/{number}"
            self._tokens[sent["clientToken"]] = arn
            directory = f"{sent['outputS3KeyPrefix']}/{number}"
            self.accept(arn, _Task(sent=sent, directory=directory), key=sent["clientToken"])
        return Reply(status=201, body={"quantumTaskArn": arn})

    def _task(self, request: Request) -> Reply:
        job = self.find(request.names["arn"])
        if job is None:
            return self.refuse(404, f"Quantum task {request.names['arn']} not found.")
        reason = {"failureReason": job.error} if job.error else {}
        body = _summary(job) | {"deviceParameters": "{}", "queueInfo": _queue_info(job)}
        return Reply(body=body | reason)

    def _cancel(self, request: Request) -> Reply:
        job = self.find(request.names["arn"])
        if job is None:
            return self.refuse(404, f"Quantum task {request.names['arn']} not found.")
        if job.state in (State.DONE, State.FAILED):
            return self.refuse(409, f"Quantum task is {_STATES[job.state]} and cannot be cancelled")
        self.cancel(job)
        return Reply(body={"quantumTaskArn": job.id, "cancellationStatus": "CANCELLED"})

    def _search(self, request: Request) -> Reply:
        asked = request.json()
        filters = asked.get("filters") or []
        for one in filters:
            if one.get("name") not in _FILTERS or not 1 <= len(one.get("values", ())) <= 10:
                return self._invalid(f"Filter {one.get('name')} is not supported")
        with self.lock:
            jobs = [job for job in self.jobs.values() if not job.forgotten]
        found = [job for job in jobs if all(_passes(job, one) for one in filters)]
        if request.fault is Fault.VANISHED:
            for job in found:
                job.forgotten = True
            found = []
        found.sort(key=lambda job: job.created_at, reverse=True)
        start, size = int(asked.get("nextToken") or 0), asked.get("maxResults", 100)
        rows = [_summary(job) for job in found[start : start + size]]
        if request.fault is Fault.UNSEEN:
            rows = [row | {"status": "PONDERING"} for row in rows]
        more = str(start + size) if start + size < len(found) else None
        return Reply(body={"quantumTasks": rows, "nextToken": more})

    # -- the bucket ---------------------------------------------------------------------------
    def _object(self, request: Request) -> Reply:
        with self.lock:
            for job in self.jobs.values():
                if request.names["key"] == f"{job.payload.directory}/results.json" and job.result:
                    return Reply(body=job.result)
        text = b"<Error><Code>NoSuchKey</Code><Message>The key does not exist.</Message></Error>"
        return Reply(status=404, body=text, headers={"Content-Type": "application/xml"})

    # -- signatures ---------------------------------------------------------------------------
    def _signed(self, method: str, pattern: str, about: str, handle: Any) -> Route:
        def checked(request: Request) -> Reply:
            if key_of(request) is None or not is_signed(request, self.secret, self.url):
                headers = {"x-amzn-ErrorType": "InvalidSignatureException"}
                message = "The request signature we calculated does not match."
                return Reply(status=403, body={"message": message}, headers=headers)
            reply: Reply = handle(request)
            return reply

        return route(method, pattern, about, checked)

    def _invalid(self, message: str) -> Reply:
        headers = {"x-amzn-ErrorType": "ValidationException"}
        return Reply(status=400, body={"message": message}, headers=headers)


def _summary(job: VendorJob) -> dict[str, Any]:
    sent = job.payload.sent
    ended = {"endedAt": _time(job.ended_at)} if job.ended_at else {}
    return {
        "quantumTaskArn": job.id,
        "status": _STATES[job.state],
        "deviceArn": sent["deviceArn"],
        "shots": sent["shots"],
        "outputS3Bucket": sent["outputS3Bucket"],
        "outputS3Directory": job.payload.directory,
        "createdAt": _time(job.created_at),
        "tags": sent.get("tags") or {},
        **ended,
    }


def _time(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _passes(job: VendorJob, one: dict[str, Any]) -> bool:
    values = one["values"]
    mine = _summary(job)[one["name"]]
    match one["operator"]:
        case "EQUAL":
            return mine in values
        case "BETWEEN":
            return bool(datetime.fromisoformat(values[0]) <= _at(mine) <= _at(values[1]))
        case "GTE":
            return bool(_at(mine) >= _at(values[0]))
        case "GT":
            return bool(_at(mine) > _at(values[0]))
        case "LTE":
            return bool(_at(mine) <= _at(values[0]))
        case _:
            return bool(_at(mine) < _at(values[0]))


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _problem(sent: dict[str, Any]) -> str | None:
    """Why the service would refuse this at once."""
    if sent["outputS3Bucket"] != BUCKET:
        return f"The bucket {sent['outputS3Bucket']} does not exist"
    try:
        action = json.loads(sent["action"])
        name = action["braketSchemaHeader"]["name"]
    except (ValueError, KeyError, TypeError):
        return "The action is no JSON with a braketSchemaHeader"
    allowed = (
        ("braket.ir.ahs.program",)
        if sent["deviceArn"] == AQUILA
        else ("braket.ir.openqasm.program", "braket.ir.openqasm.program_set")
    )
    if name not in allowed or (sent["deviceArn"] == SV1 and name.endswith("program_set")):
        return f"The device does not take {name}"
    if "stdgates.inc" in json.dumps(action):
        return "include statements are not supported"
    return None


def _queue_info(job: VendorJob) -> dict[str, str]:
    place = {"queue": "QUANTUM_TASKS_QUEUE", "queuePriority": "Normal"}
    if job.state is State.QUEUED:
        return place | {"position": "1"}
    said = f"Task is in {_STATES[job.state]} status. AmazonBraket does not show queue position."
    return place | {"position": "None", "message": said}
