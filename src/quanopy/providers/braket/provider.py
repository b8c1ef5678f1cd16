"""The Braket provider: devices as resources, quantum tasks as executions."""

import json
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from typing import Any

from quanopy.codecs.results import encode_result
from quanopy.domain.calibration import Snapshot
from quanopy.domain.errors import (
    Denied,
    Invalid,
    NotFound,
    NotReady,
    OutcomeUnknown,
    ProviderError,
    QuanopyError,
    Rejected,
    ResourceMismatch,
    Transient,
    Unavailable,
)
from quanopy.domain.jobs import JobKind
from quanopy.domain.programs import BRAKET_AHS, BRAKET_IR, Program
from quanopy.domain.resources import Resource, Target
from quanopy.domain.states import ExecutionState
from quanopy.ports.providers import Foreign, Order, Outcome, RemoteCapabilities, Report, Work
from quanopy.providers.braket.devices import AHS, Device, device_of, now
from quanopy.providers.braket.polling import STATES, Polling
from quanopy.providers.braket.programs import check_native, sent_of
from quanopy.providers.braket.results import aware, document_of, name_of, pubs_of, usage_of
from quanopy.providers.braket.service import Access, Service, fingerprint_of
from quanopy.providers.keys import key_in

_REFRESH_S = 60.0
_SENDERS = 8
_LONGEST_TOKEN = 64
_MOST_DEVICES = 200


class BraketProvider:
    """The devices of one region, for one account."""

    def __init__(
        self,
        access: Access,
        *,
        name: str,
        account: str | None,
        bucket: str | None,
        prefix: str,
        makers: Sequence[str] | None,
        poll_interval_s: float,
    ) -> None:
        """See :func:`quanopy.providers.braket.create`."""
        self.name = name
        self.capabilities = RemoteCapabilities(
            idempotent=True, request_timeout_s=access.timeout_s, poll_interval_s=poll_interval_s
        )
        self._access = access
        self._account = account
        self._bucket = bucket
        self._prefix = prefix.strip("/")
        self._makers = None if makers is None else {maker.lower() for maker in makers}
        self._service = Service(access)
        self._polling = Polling(self._service)
        self._looking = threading.Lock()
        """Held while the devices are asked for."""
        self._lock = threading.Lock()
        self._devices: dict[str, Device] = {}
        self._seen_at: float | None = None
        self._reason: str | None = None
        self._senders = ThreadPoolExecutor(_SENDERS, thread_name_prefix=f"{name}-start")

    def __repr__(self) -> str:
        return f"BraketProvider({self.name!r}, {self._access.region!r})"

    # -- devices ------------------------------------------------------------------------------
    def resources(self) -> Sequence[Resource]:
        """The region's devices that run circuits or atoms, asked for once a minute. Where Braket
        does not answer, those known are offline; while it is being asked, they are as they were."""
        if self._looking.acquire(blocking=self._seen_at is None):
            try:
                if self._seen_at is None or time.monotonic() - self._seen_at > _REFRESH_S:
                    self._look()
            finally:
                self._looking.release()
        with self._lock:
            return [each.resource(self.name, reason=self._reason) for each in self._known()]

    def target(self, resource: str) -> Target:
        """What circuits are compiled for; ``ResourceMismatch`` for atoms."""
        return self._device(resource).target()

    def calibration(self, resource: str) -> Snapshot | None:
        """The machine's properties as they are now."""
        known = self._device(resource)
        fresh = device_of(self._service.ask("get_device", deviceArn=known.arn))
        with self._lock:
            self._devices[known.arn] = fresh
        return fresh.snapshot(now())

    def check(self, work: Work) -> None:
        """Refuse what is plainly no single program of Braket's."""
        if work.native is not None:
            if work.native not in (BRAKET_IR, BRAKET_AHS):
                raise ResourceMismatch(f"{work.native} does not run on Braket")
            check_native(work)

    def fingerprint(self) -> str:
        """The account's, and the region's."""
        return fingerprint_of(self._account_name(), self._access.region)

    # -- executions ---------------------------------------------------------------------------
    def start(self, orders: Sequence[Order]) -> list[str | ProviderError]:
        """One task an order, under a client token made of its key."""
        answers = list(self._senders.map(self._started, orders))
        denied = [one for one in answers if isinstance(one, Denied)]
        if len(denied) == len(answers) and denied:
            raise denied[0]
        # Of what was accepted beside it, no name may be lost.
        return [Rejected(str(one)) if isinstance(one, Denied) else one for one in answers]

    def poll(self, ids: Sequence[str]) -> dict[str, Report]:
        """Tasks' states, a hundred a request where they were created one after another."""
        return self._polling.reports(ids)

    def result(self, id: str, works: Callable[[], Sequence[Work]] | None) -> list[Outcome]:
        """The document that Braket put into the bucket, and what it means."""
        task = self._task(id)
        state = STATES.get(str(task.get("status")))
        if state is not ExecutionState.COMPLETED:
            raise NotReady(f"{id} is {task.get('status')}: {task.get('failureReason', '')}"[:300])
        bucket, directory = str(task.get("outputS3Bucket")), str(task.get("outputS3Directory"))

        def fetch(path: str) -> Any:
            if path.startswith("/") or ".." in path:
                raise Rejected(f"the result names a document elsewhere: {path[:200]}")
            return json.loads(self._service.read(bucket, f"{directory}/{path}"))

        document = document_of(self._service.read(bucket, f"{directory}/results.json"))
        (work,) = works() if works is not None else (None,)
        device = self._device_at(str(task.get("deviceArn")))
        shots = task.get("shots")
        return [
            Outcome(
                result=encode_result(pubs_of(document, work, device, fetch)),
                usage=usage_of(document, shots if isinstance(shots, int) else 0),
                ended_at=aware(task.get("endedAt")),
            )
        ]

    def stop(self, ids: Sequence[str]) -> None:
        """Cancel tasks; those that have ended, or are not there, are left alone."""
        for arn in filter(_is_arn, ids):
            try:
                said = self._service.ask("cancel_quantum_task", quantumTaskArn=arn)
            except (NotReady, NotFound):  # a conflict: it has ended
                continue
            if "cancellationStatus" not in said:
                raise Transient("braket answered a cancellation with what is none")

    def logs(self, id: str) -> str:
        """Why a task failed; Braket keeps nothing else."""
        return str(self._task(id).get("failureReason") or "")

    def describe(self, id: str) -> Foreign:
        """A task of anybody's in this account, with its program once it has completed."""
        task = self._task(id)
        device = self._device_at(str(task.get("deviceArn")))
        state = STATES.get(str(task.get("status")))
        shots = task.get("shots")
        return Foreign(
            resource=device.name,
            kind=JobKind.RUN,
            state=state or ExecutionState.SUBMITTED,
            created_at=aware(task.get("createdAt")),
            program=self._program(task) if state is ExecutionState.COMPLETED else None,
            shots=shots if isinstance(shots, int) else None,
            key=key_in(str(task.get("outputS3Directory")).split("/")),
        )

    def find(self, keys: Sequence[str]) -> dict[str, str]:
        """Braket cannot be searched by client tokens."""
        return {}

    def close(self) -> None:
        """Close the connections; idempotent."""
        self._senders.shutdown(wait=False)
        self._service.close()

    # -- parts --------------------------------------------------------------------------------
    def _look(self) -> None:
        """Ask for the devices; for one thread at a time."""
        try:
            found, reason = self._asked_for(), None
        except (ProviderError, Denied, NotFound) as error:
            if self._seen_at is None:
                raise
            found, reason = self._devices, str(error)
        with self._lock:
            # What was fetched of one meanwhile is younger.
            latest = {arn: self._devices.get(arn, one) for arn, one in found.items()}
            self._devices = {a: replace(one, status=found[a].status) for a, one in latest.items()}
            self._reason = reason
        self._seen_at = time.monotonic()

    def _asked_for(self) -> dict[str, Device]:
        """The devices as they stand; what is known of them is not asked for again."""
        with self._lock:
            known = dict(self._devices)
        found = {}
        for row in self._search():
            arn, status = str(row.get("deviceArn")), str(row.get("deviceStatus"))
            if arn not in known:
                known[arn] = device_of(self._service.ask("get_device", deviceArn=arn))
            found[arn] = replace(known[arn], status=status)
        return found

    def _search(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        token: dict[str, str] = {}
        while len(rows) < _MOST_DEVICES:
            said = self._service.ask("search_devices", filters=[], maxResults=100, **token)
            found = said.get("devices")
            if not isinstance(found, list):
                raise Transient("braket answered what is no list of devices")
            rows += [row for row in found if self._is_wanted(row)]
            if not said.get("nextToken"):
                break
            token = {"nextToken": str(said["nextToken"])}
        return rows

    def _is_wanted(self, row: dict[str, Any]) -> bool:
        maker = str(row.get("providerName")).lower()
        return row.get("deviceStatus") != "RETIRED" and (
            self._makers is None or maker in self._makers
        )

    def _known(self) -> list[Device]:
        return [each for each in self._devices.values() if each.gates or each.analog]

    def _device(self, resource: str) -> Device:
        found = self._named(resource)
        if found is None:
            self.resources()
            found = self._named(resource)
        if found is None:
            raise NotFound(f"{self.name} has no device {resource}")
        return found

    def _named(self, resource: str) -> Device | None:
        with self._lock:
            return next((each for each in self._known() if each.name == resource), None)

    def _device_at(self, arn: str) -> Device:
        with self._lock:
            known = self._devices.get(arn)
        if known is None:
            known = device_of(self._service.ask("get_device", deviceArn=arn))
            with self._lock:
                self._devices.setdefault(arn, known)
        return known

    def _started(self, order: Order) -> str | ProviderError | Denied:
        try:
            return self._send(order)
        except (ProviderError, Denied) as error:
            return error
        except (Invalid, ResourceMismatch) as error:
            return Rejected(str(error))
        except NotFound as error:
            return Unavailable(str(error))
        except QuanopyError as error:
            return Rejected(str(error))

    def _send(self, order: Order) -> str:
        (work,) = order.works
        device = self._device(order.resource)
        sent = sent_of(work, device)
        said = self._service.send(
            "create_quantum_task",
            clientToken=token_of(order.key),
            deviceArn=device.arn,
            shots=sent.shots,
            outputS3Bucket=self._bucket_name(),
            outputS3KeyPrefix=f"{self._prefix}/{order.key}".lstrip("/"),
            action=sent.action,
        )
        arn = said.get("quantumTaskArn")
        if not isinstance(arn, str) or not _is_arn(arn):
            raise OutcomeUnknown("braket answered without the task's name")
        self._polling.created(arn, said)
        return arn

    def _task(self, id: str) -> dict[str, Any]:
        if not _is_arn(id):
            raise NotFound(f"{id[:200]!r} names no quantum task of Braket's")
        task = self._service.ask("get_quantum_task", quantumTaskArn=id)
        if not isinstance(task.get("status"), str):
            raise Transient("braket answered what is no quantum task")
        return task

    def _program(self, task: dict[str, Any]) -> Program | None:
        key = f"{task.get('outputS3Directory')}/results.json"
        try:
            document = document_of(self._service.read(str(task.get("outputS3Bucket")), key))
        except NotFound:
            return None
        more = document.get("additionalMetadata")
        action = more.get("action") if isinstance(more, dict) else None
        if not isinstance(action, dict):
            return None
        kind = BRAKET_AHS if name_of(action) == AHS else BRAKET_IR
        return Program(format=kind, data=json.dumps(action).encode())

    def _account_name(self) -> str:
        return self._account or self._access.account or "unknown"

    def _bucket_name(self) -> str:
        if self._bucket is not None:
            return self._bucket
        account = self._account or self._access.account
        if account is None:
            raise Invalid("no bucket for results", hint="Set the provider's bucket, or account.")
        return f"amazon-braket-{self._access.region}-{account}"


def token_of(key: str) -> str:
    """The client token of our key: the key itself, or its digest where it is too long."""
    return key if len(key) <= _LONGEST_TOKEN else sha256(key.encode()).hexdigest()


def _is_arn(id: str) -> bool:
    return id.startswith("arn:") and ":quantum-task/" in id and len(id) <= 256
