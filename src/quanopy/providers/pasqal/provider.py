"""The provider of Pasqal's cloud: an execution is a batch, each of its pubs a job of it."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from quanopy.domain.calibration import Snapshot
from quanopy.domain.errors import (
    NotFound,
    NotReady,
    ProviderError,
    QuanopyError,
    Rejected,
    ResourceMismatch,
)
from quanopy.domain.jobs import JobKind
from quanopy.domain.programs import PULSER, Program
from quanopy.domain.resources import Resource, Target
from quanopy.domain.states import FINAL_EXECUTION_STATES, ExecutionState, ResourceState
from quanopy.ports.providers import Foreign, Order, Outcome, RemoteCapabilities, Report, Work
from quanopy.providers.kept import Kept
from quanopy.providers.keys import key_in
from quanopy.providers.pasqal.access import Access
from quanopy.providers.pasqal.devices import Device, devices_of, resource_of, snapshot_of
from quanopy.providers.pasqal.programs import check_work, sequence_in
from quanopy.providers.pasqal.results import STATES, outcome_of, rows, said_of, time_of
from quanopy.providers.several import Several

if TYPE_CHECKING:
    from quanopy.providers.pasqal.cloud import Cloud

WHO = "Pasqal's cloud"
_PAGE = 100


class PasqalProvider:
    """Devices of one project. A batch is tagged with our key, so that one that was lost is found;
    sent twice it would be two."""

    def __init__(self, *, name: str, access: Access) -> None:
        """See :func:`quanopy.providers.pasqal.create`."""
        self.name = name
        self.capabilities = RemoteCapabilities(
            searchable=True,
            visibility_delay_s=10.0,
            request_timeout_s=access.timeout_s,
            poll_interval_s=2.0,
            batch=_PAGE,
            tasks_per_execution=4,
        )
        self._access = access
        self._devices = Kept(self._ask_devices)
        self._several = Several(f"{name}-ask")
        self._lock = threading.Lock()
        self._client: Cloud | None = None

    def __repr__(self) -> str:
        return f"PasqalProvider({self.name!r}, project={self._access.project!r})"

    # -- what it exposes ----------------------------------------------------------------------
    def resources(self) -> Sequence[Resource]:
        """Devices that the project may use; while the cloud is silent those it named last."""
        said = self._devices.said()
        found = [resource_of(one, provider=self.name) for one in (said.answer or {}).values()]
        if said.problem is None:
            return found
        why = str(said.problem)
        return [replace(one, state=ResourceState.OFFLINE, reason=why) for one in found]

    def target(self, resource: str) -> Target:
        """Nothing is compiled for atoms."""
        self._device(resource)
        raise ResourceMismatch(f"{resource} runs Pulser sequences as they stand")

    def calibration(self, resource: str) -> Snapshot | None:
        """What the device says of itself now."""
        return snapshot_of(_of(self._devices.now(), resource, self.name))

    def check(self, work: Work) -> None:
        """Shape, atoms and runs, by what the device last said of itself."""
        device = (self._devices.latest or {}).get(work.resource)
        check_work(
            work,
            atoms=None if device is None else device.atoms,
            runs=None if device is None else device.runs,
        )

    def fingerprint(self) -> str:
        """Of the project, which is who pays."""
        return self._access.fingerprint

    # -- executions ---------------------------------------------------------------------------
    def start(self, orders: Sequence[Order]) -> list[str | ProviderError]:
        """A batch each."""
        return self._several.start(orders, self._send)

    def poll(self, ids: Sequence[str]) -> dict[str, Report]:
        """One question for a hundred batches."""
        found: dict[str, Report] = {}
        known = [one for one in ids if _is_id(one)]
        for some in (known[i : i + _PAGE] for i in range(0, len(known), _PAGE)):
            batches = self._batches(id=some)
            found |= {one["id"]: self._report(one) for one in batches if one["id"] in some}
        return found

    def result(self, id: str, works: Callable[[], Sequence[Work]] | None) -> list[Outcome]:
        """What each job counted, work by work."""
        batch = self._batch(id)
        if STATES.get(batch["status"]) not in FINAL_EXECUTION_STATES:
            raise NotReady(f"batch {id} has not ended")
        jobs = self._jobs(id)
        done = [job["id"] for job in jobs if STATES.get(job["status"]) is ExecutionState.COMPLETED]
        results = dict(zip(done, self._several.each(done, self._counted), strict=True))
        for result in results.values():
            if isinstance(result, QuanopyError):
                raise result
        shares = [len(jobs)] if works is None or len(jobs) == 1 else _shares(works(), jobs)
        return [outcome_of(share, results) for share in _shared(jobs, shares)]

    def stop(self, ids: Sequence[str]) -> None:
        """Ask each to end."""
        known = [one for one in ids if _is_id(one)]
        for answer in self._several.each(known, self._stop):
            if isinstance(answer, QuanopyError) and not isinstance(answer, NotFound):
                raise answer

    def logs(self, id: str) -> str:
        """The errors of its jobs."""
        return said_of(self._jobs(id)) if _is_id(id) else ""

    def describe(self, id: str) -> Foreign:
        """What the cloud knows of a batch."""
        batch = self._batch(id)
        jobs = self._jobs(id)
        sequence = batch.get("sequence_builder")
        device = str(batch.get("device_type"))
        names = {one.name: name for name, one in self._devices.known().items()}
        if device not in names:
            raise ResourceMismatch(f"batch {id} ran on {device[:100]!r}, which is no resource here")
        runs = {job.get("runs") for job in jobs}
        shots = runs.pop() if len(runs) == 1 else None
        return Foreign(
            resource=names[device],
            kind=JobKind.RUN,
            state=STATES.get(batch["status"], ExecutionState.SUBMITTED),
            created_at=time_of(batch.get("created_at")),
            program=Program(format=PULSER, data=sequence.encode())
            if isinstance(sequence, str) and sequence
            else None,
            shots=shots if isinstance(shots, int) else None,
            key=key_in(batch.get("tags")),
        )

    def find(self, keys: Sequence[str]) -> dict[str, str]:
        """Batches by their tags, one question a key; of several the first that was made."""
        found = {}
        for key, batches in zip(keys, self._several.each(keys, self._tagged), strict=True):
            if isinstance(batches, QuanopyError):
                raise batches
            if batches:
                found[key] = min(batches, key=lambda one: str(one.get("created_at")))["id"]
        return found

    def close(self) -> None:
        """Close the connections; idempotent."""
        self._several.close()
        if self._client is not None:
            self._client.session.close()

    # -- one at a time ------------------------------------------------------------------------
    def _send(self, order: Order) -> str:
        from quanopy.providers.sessions import sending

        request = _request(order, self._device(order.resource))
        cloud = self._cloud()
        with sending(WHO):
            batch = cloud.send_batch(request)
            if not _is_id(batch["id"]):
                raise ValueError("a batch without an id")
        return str(batch["id"])

    def _stop(self, id: str) -> None:
        from quanopy.providers.sessions import asking

        try:
            with asking(WHO):
                self._cloud().cancel_batch(id)
        except (Rejected, NotReady):
            if STATES.get(self._batch(id)["status"]) not in FINAL_EXECUTION_STATES:
                raise

    def _report(self, batch: Mapping[str, Any]) -> Report:
        status = batch["status"][:100]
        state = STATES.get(status)
        if state is not ExecutionState.FAILED:
            return Report(state=state, detail=status)
        jobs = self._jobs(batch["id"])
        if any(job["status"] == "DONE" for job in jobs):
            return Report(state=ExecutionState.COMPLETED, detail=status)
        return Report(state=state, detail=said_of(jobs) or status)

    def _counted(self, job: str) -> Any:
        from quanopy.providers.sessions import asking

        with asking(WHO):
            found = self._cloud().get_job_results(job)
        if found is None:
            raise NotReady(f"the result of job {job} is not there yet")
        return found

    # -- questions ----------------------------------------------------------------------------
    def _batch(self, id: str) -> dict[str, Any]:
        from quanopy.providers.sessions import asking

        if not _is_id(id):
            raise NotFound(f"{self.name} has no batch {id[:100]!r}")
        with asking(WHO):
            return rows([self._cloud().get_batch(id)], "id", "status")[0]

    def _jobs(self, id: str) -> list[dict[str, Any]]:
        from quanopy.providers.sessions import asking

        with asking(WHO):
            return rows(self._cloud().batch_jobs(id), "id", "status")

    def _tagged(self, key: str) -> list[dict[str, Any]]:
        return self._batches(tag=key)

    def _batches(self, **filters: Any) -> list[dict[str, Any]]:
        from pasqal_cloud.utils.filters import BatchFilters, PaginationParams

        from quanopy.providers.sessions import asking

        with asking(WHO):
            page = PaginationParams(offset=0, limit=_PAGE)
            return rows(
                self._cloud().get_batches(BatchFilters(**filters), page)["data"], "id", "status"
            )

    def _ask_devices(self) -> dict[str, Device]:
        from quanopy.providers.sessions import asking

        with asking(WHO):
            return devices_of(self._cloud().get_device_specs_dict())

    def _device(self, resource: str) -> Device:
        return _of(self._devices.known(), resource, self.name)

    def _cloud(self) -> "Cloud":
        with self._lock:
            if self._client is None:
                from quanopy.providers.pasqal.cloud import connected

                self._client = connected(self._access)
            return self._client


def _of(devices: Mapping[str, Device], resource: str, provider: str) -> Device:
    if resource not in devices:
        raise NotFound(f"{provider} has no resource {resource!r}")
    return devices[resource]


def _is_id(id: Any) -> bool:
    """Whether it can be a batch's: the client takes nothing else."""
    try:
        return isinstance(id, str) and str(UUID(id)) == id
    except ValueError:
        return False


def _request(order: Order, device: Device) -> dict[str, Any]:
    """A batch; a sequence that all jobs share is sent once."""
    pubs = [(work, pub) for work in order.works for pub in work.pubs]
    texts = [sequence_in(work, pub.program) for work, pub in pubs]
    shared = texts[0] if len(set(texts)) == 1 else None
    own = [{} if shared is not None else {"sequence": text} for text in texts]
    return {
        "sequence_builder": shared,
        "webhook": None,
        "jobs": [{"runs": pub.shots or 1, **one} for (_, pub), one in zip(pubs, own, strict=True)],
        "open": False,
        "device_type": device.name,
        "tags": [order.key],
    }


def _shares(works: Sequence[Work], jobs: Sequence[object]) -> list[int]:
    shares = [len(work.pubs) for work in works]
    if sum(shares) != len(jobs):
        raise Rejected(f"{WHO} has {len(jobs)} jobs in the batch, {sum(shares)} were sent")
    return shares


def _shared(
    jobs: Sequence[dict[str, Any]], shares: Sequence[int]
) -> Iterator[Sequence[dict[str, Any]]]:
    first = 0
    for share in shares:
        yield jobs[first : first + share]
        first += share
