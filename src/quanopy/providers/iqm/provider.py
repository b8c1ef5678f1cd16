"""The IQM provider: machines as resources, works as jobs of many circuits."""

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from quanopy.codecs.results import encode_result
from quanopy.domain.calibration import Snapshot
from quanopy.domain.errors import (
    Invalid,
    NotFound,
    NotReady,
    ProviderError,
    QuanopyError,
    Rejected,
    TaskFailed,
    Transient,
)
from quanopy.domain.jobs import JobKind
from quanopy.domain.programs import CIRCUITS, IQM, Program, digest_of
from quanopy.domain.resources import Capabilities, Limits, Resource, Target
from quanopy.domain.states import ExecutionState, ResourceState
from quanopy.ports.providers import Foreign, Order, Outcome, RemoteCapabilities, Report, Work
from quanopy.providers.iqm.client import IqmClient, encoded, job_path
from quanopy.providers.iqm.jobs import (
    BEGUN,
    ENDED,
    STATES,
    calibration_of,
    reached,
    report,
    shots_of,
    texts,
    why,
)
from quanopy.providers.iqm.machines import Architecture, architecture_of, snapshot_of, target_of
from quanopy.providers.iqm.programs import batch_of, definition_of, native_results, results_from
from quanopy.providers.kept import Kept
from quanopy.providers.keys import key_in
from quanopy.providers.secrets import Secret
from quanopy.providers.several import Several

_LONGEST = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class _Condition:
    """A machine as it is calibrated now."""

    architecture: Architecture
    target: Target
    snapshot: Snapshot


class IqmProvider:
    """Exposes the quantum computers of one IQM Server."""

    def __init__(
        self,
        *,
        name: str,
        url: str,
        token: Secret,
        account: str,
        chosen: Sequence[str],
        max_shots: int | None,
        max_circuits: int | None,
        timeout_s: float,
    ) -> None:
        self.name = name
        self.capabilities = RemoteCapabilities(request_timeout_s=timeout_s, one_by_one=True)
        self._account = f"{url.rstrip('/')} {account or token.reference}"
        self._url = url
        self._chosen = tuple(chosen)
        self._limits = (max_shots, max_circuits)
        self._client = IqmClient(name, url, token, timeout_s=timeout_s)
        self._several = Several(f"{name}-requests")
        self._machines = Kept(self._found)
        self._lock = threading.Lock()
        self._conditions: dict[str, Kept[_Condition]] = {}

    def __repr__(self) -> str:
        return f"IqmProvider({self.name!r}, {self._url!r})"

    # -- what it exposes ----------------------------------------------------------------------
    def resources(self) -> Sequence[Resource]:
        """A resource a quantum computer; those last known where IQM does not answer."""
        said = self._machines.said()
        aliases = said.answer if said.answer is not None else self._by_name(self._chosen)
        return [self._resource(name, said.problem) for name in aliases]

    def _resource(self, name: str, silence: QuanopyError | None) -> Resource:
        said = self._kept(name).said()
        problem = silence or said.problem
        qubits = None if said.answer is None else len(said.answer.architecture.qubits)
        shots, circuits = self._limits
        return Resource(
            name=name,
            provider=self.name,
            description=f"IQM's {name}",
            state=ResourceState.ONLINE if problem is None else ResourceState.OFFLINE,
            reason=None if problem is None else problem.message[:_LONGEST],
            capabilities=Capabilities(
                limits=Limits(qubits=qubits, shots=shots, evaluations=circuits),
                simulator=False,
                default_level=2,
                technology="superconducting",
                formats=(*CIRCUITS, IQM),
                coalesce=False,
            ),
        )

    def target(self, resource: str) -> Target:
        """What is calibrated on it; of the calibration that was seen last."""
        return self._condition(resource).target

    def calibration(self, resource: str) -> Snapshot | None:
        """Its default calibration set, with the quality metrics measured of it."""
        self._alias(resource)
        return self._kept(resource).now().snapshot

    def check(self, work: Work) -> None:
        """Native programs have to be batches of circuits; others were compiled for it."""
        if work.native == IQM:
            definition_of(work)
        elif work.native is not None:
            raise Invalid(f"IQM's machines do not run {work.native} programs")

    def fingerprint(self) -> str:
        """Of the server and the account's name; without one, of where its token is found."""
        return digest_of(self._account.encode())

    # -- the way of an execution --------------------------------------------------------------
    def start(self, orders: Sequence[Order]) -> list[str | ProviderError]:
        """A job an order; IQM takes no key, so what was not answered may have been accepted."""
        return self._several.start(orders, self._submit)

    def _submit(self, order: Order) -> str:
        (work,) = order.works
        batch = batch_of(work, order.key, self._condition(order.resource).architecture)
        try:
            return self._client.submit(self._alias(order.resource), encoded(batch))
        except NotFound as error:
            raise Rejected(error.message, hint=error.hint) from None

    def poll(self, ids: Sequence[str]) -> dict[str, Report]:
        """A request a job: IQM's API lists none."""
        return self._several.poll(ids, lambda one: report(self._job(one)))

    def result(self, id: str, works: Callable[[], Sequence[Work]] | None) -> list[Outcome]:
        """Every shot as it was measured, or the errors that IQM gives."""
        job = self._job(id)
        state = STATES.get(job["status"])
        if state in (ExecutionState.FAILED, ExecutionState.CANCELLED):
            return [self._outcome(job, error=TaskFailed(why(job)))]
        if state is not ExecutionState.COMPLETED:
            raise NotReady(f"job {id} is {job['status'][:40]}")
        measured = self._client.ask(f"{job_path(id)}/artifacts/measurements")
        if works is None:
            return [self._outcome(job, native_results(measured, self.name))]
        return [self._outcome(job, results_from(work, measured, self.name)) for work in works()]

    def _outcome(
        self,
        job: Mapping[str, Any],
        pubs: Sequence[dict[str, Any]] = (),
        *,
        error: QuanopyError | None = None,
    ) -> Outcome:
        began, ended = reached(job, *BEGUN), reached(job, *ENDED)
        seconds = (ended - began).total_seconds() if began and ended else 0.0
        return Outcome(
            result=None if error is not None else encode_result(pubs),
            error=error,
            usage={
                "seconds": max(0.0, seconds),
                "shots": sum(shots_of(pub) for pub in pubs),
            },
            calibration=calibration_of(job),
            started_at=began,
            ended_at=ended,
        )

    def stop(self, ids: Sequence[str]) -> None:
        """Cancel; what has ended stays as it ended."""
        for answer in self._several.each(ids, self._cancel):
            if isinstance(answer, QuanopyError) and not isinstance(answer, NotFound | NotReady):
                raise answer

    def _cancel(self, id: str) -> None:
        job_path(id)
        self._client.cancel(id)

    def logs(self, id: str) -> str:
        """IQM's messages and errors of a job."""
        job = self._job(id)
        return "\n".join(texts(job, "messages") + texts(job, "errors"))

    def describe(self, id: str) -> Foreign:
        """Its machine, its state, and the circuits it was submitted with."""
        job = self._job(id)
        payload = self._client.ask(f"{job_path(id)}/payload")
        if not isinstance(payload, dict):
            raise Transient(f"{self.name} gave a payload that is none")
        shots = payload.get("shots")
        return Foreign(
            resource=self._machine_of(job, id),
            kind=JobKind.RUN,
            state=STATES.get(job["status"], ExecutionState.SUBMITTED),
            created_at=reached(job, "created"),
            program=Program(format=IQM, data=encoded(payload)),
            shots=shots if isinstance(shots, int) else None,
            key=_key_in(payload),
        )

    def find(self, keys: Sequence[str]) -> dict[str, str]:
        """Never asked: IQM's API has no search."""
        return {}

    def close(self) -> None:
        """Close the connections."""
        self._several.close()
        self._client.close()

    # -- what IQM says ------------------------------------------------------------------------
    def _found(self) -> Mapping[str, str]:
        """Aliases by the resources' names."""
        found = self._by_name(self._client.machines())
        if not self._chosen:
            return found
        missing = sorted(self._by_name(self._chosen).keys() - found.keys())
        if missing:
            raise NotFound(f"{self.name} has no quantum computer {', '.join(missing)}")
        return {name: found[name] for name in self._by_name(self._chosen)}

    def _by_name(self, aliases: Sequence[str]) -> Mapping[str, str]:
        return {_slug(alias): alias for alias in aliases}

    def _alias(self, resource: str) -> str:
        alias = self._machines.known().get(resource)
        if alias is None:
            raise NotFound(f"{self.name} has no resource {resource}")
        return alias

    def _condition(self, resource: str) -> _Condition:
        self._alias(resource)
        return self._kept(resource).known()

    def _kept(self, name: str) -> Kept[_Condition]:
        with self._lock:
            if name not in self._conditions:
                self._conditions[name] = Kept(lambda: self._measured(name))
            return self._conditions[name]

    def _measured(self, name: str) -> _Condition:
        """The default calibration set, whole: it may change between two requests."""
        sets = f"calibration-sets/{self._alias(name)}"
        newest = self._client.ask(f"{sets}/default/dynamic-quantum-architecture")
        architecture = architecture_of(newest, self.name)
        one = f"{sets}/{architecture.calibration}"
        documents = {
            "dynamic_quantum_architecture": newest,
            "calibration_set": self._client.ask(one),
            "quality_metrics": self._client.ask(f"{one}/metrics"),
        }
        snapshot = snapshot_of(
            name, architecture, documents, fetched_at=datetime.now(UTC), who=self.name
        )
        return _Condition(
            architecture=architecture,
            target=target_of(architecture, snapshot.metrics),
            snapshot=snapshot,
        )

    def _job(self, id: str) -> Mapping[str, Any]:
        job = self._client.ask(job_path(id))
        if not isinstance(job, dict) or not isinstance(job.get("status"), str):
            raise Transient(f"{self.name} gave a job that is none")
        return job

    def _machine_of(self, job: Mapping[str, Any], id: str) -> str:
        machines = self._machines.known()
        told = job.get("qc")
        alias = told.get("alias") if isinstance(told, dict) else None
        named = _slug(alias) if isinstance(alias, str) else None
        if named in machines:
            return str(named)
        if alias is None and len(machines) == 1:
            return next(iter(machines))
        raise NotFound(f"IQM does not say which resource job {id} is on")


def _slug(alias: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", alias.lower()).strip("-")


def _key_in(payload: Mapping[str, Any]) -> str | None:
    """Our key in the names of its circuits. A batch of IQM's own format is sent under the names
    that it came with: of what bears no key, nothing can be told."""
    circuits = payload.get("circuits")
    rows = circuits if isinstance(circuits, list) else []
    names = [str(row.get("name")).partition("/")[0] for row in rows if isinstance(row, dict)]
    return key_in(names) or None
