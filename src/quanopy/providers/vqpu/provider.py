"""The vQPU provider: one resource a virtual QPU, each spoken to by itself.

An execution's id here is the vQPU's name, the instance that took it, and its id there: so any
process finds it again, and a vQPU that was started anew is not asked for what its forebear had.
"""

import logging
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, TypeVar

from quanopy.domain.calibration import Snapshot
from quanopy.domain.errors import (
    Invalid,
    NotFound,
    NotReady,
    OutcomeUnknown,
    ProviderError,
    QuanopyError,
    Rejected,
    Transient,
    Unavailable,
)
from quanopy.domain.jobs import JobKind
from quanopy.domain.programs import digest_of
from quanopy.domain.resources import Registration, Resource, Target
from quanopy.domain.states import ExecutionState, ResourceState
from quanopy.ports.providers import Foreign, Order, Outcome, RemoteCapabilities, Report, Work
from quanopy.ports.registrations import Registrations
from quanopy.providers.secrets import Secret
from quanopy.providers.vqpu.answers import answers_of, foreign_outcome, lost, report_of
from quanopy.providers.vqpu.connection import Connection, connections
from quanopy.providers.vqpu.description import (
    Description,
    capabilities,
    described,
    moment,
    of_target,
    plain,
    snapshot,
)

T = TypeVar("T")

log = logging.getLogger(__name__)
_FRESH_S = 60.0
"""How long a vQPU's description is believed."""
_AGAIN_S = 5.0
"""How soon one that did not answer is asked for it again."""
_PATIENCE_S = 3.0
"""How long those that answer late are waited for where others are concerned."""
_BATCH = 100
_KEPT_WORKS = 2_000
_CIRCUITS = "/api/v1/circuits"
_ID = re.compile(r"([A-Za-z0-9._-]{1,100})/([A-Za-z0-9._-]{0,100})/([A-Za-z0-9._-]{1,100})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured:
    """A vQPU of the settings."""

    name: str
    url: str
    token: Secret
    qubits: int | None
    lanes: int | None


@dataclass(slots=True, kw_only=True, eq=False)
class _Vqpu:
    """A vQPU that is spoken to."""

    name: str
    connection: Connection
    instance: str = ""
    """Its registration's id; empty for one of the settings."""
    qubits: int | None = None
    lanes: int = 1
    registration: Registration | None = None
    description: Description | None = None
    error: QuanopyError | None = None
    """Why it was not to be had when it was last asked."""
    ask_at: float = 0.0
    lock: Lock = field(default_factory=Lock)


class VqpuProvider:
    """See :func:`quanopy.providers.vqpu.create`."""

    def __init__(
        self,
        *,
        name: str,
        configured: Sequence[Configured],
        registrations: Registrations | None,
        account: str,
        plain: bool,
        request_timeout_s: float,
        poll_interval_s: float,
    ) -> None:
        self.name = name
        self.capabilities = RemoteCapabilities(
            idempotent=not plain,
            request_timeout_s=request_timeout_s,
            poll_interval_s=poll_interval_s,
            batch=_BATCH,
        )
        self._plain = plain
        self._account = account
        self._timeout_s = request_timeout_s
        self._registrations = registrations
        self._pool = connections()
        self._asking = ThreadPoolExecutor(8, thread_name_prefix="vqpu-asking")
        self._threads = ThreadPoolExecutor(16, thread_name_prefix="vqpu")
        self._lock = Lock()
        self._fixed = {one.name: self._configured(one) for one in configured}
        self._registered: dict[str, _Vqpu] = {}
        self._places = sorted((one.name, one.url) for one in configured)
        self._works: OrderedDict[str, Sequence[Work]] = OrderedDict()
        """What was sent lately, by the id here."""
        self._last: OrderedDict[str, ExecutionState] = OrderedDict()
        """The state an execution was last seen in."""

    def __repr__(self) -> str:
        return f"VqpuProvider({self.name!r}, {self._places!r})"

    # -- what it exposes ----------------------------------------------------------------------
    def resources(self) -> Sequence[Resource]:
        """One a vQPU; its description is asked for about once a minute."""
        vqpus = list(self._all().values())
        due = [one for one in vqpus if one.ask_at <= time.monotonic() and not one.lock.locked()]
        wait([self._asking.submit(self._refresh, one) for one in due], _PATIENCE_S)
        return [self._resource(one) for one in vqpus]

    def target(self, resource: str) -> Target:
        """Its native gates and connections."""
        return self._described(self._find(resource)).target

    def calibration(self, resource: str) -> Snapshot | None:
        """Its noise model's parameters; ``None`` where it has no noise."""
        found = self._find(resource)
        if self._plain:
            return None
        found.ask_at = 0.0
        description = self._described(found)
        try:
            return snapshot(resource, description.calibration)
        except Invalid as error:
            raise Transient(f"{resource} gave no calibration: {error.message}") from error

    def check(self, work: Work) -> None:
        """Refuse circuits that cannot be said in the vQPU's instructions."""
        found = self._find(work.resource)
        if found.description is not None:
            self._circuits(work, found.description)

    def fingerprint(self) -> str:
        """Of the account, or of the addresses in the settings."""
        return digest_of(repr((self._account, self._places)).encode())

    # -- executions ---------------------------------------------------------------------------
    def start(self, orders: Sequence[Order]) -> list[str | ProviderError]:
        """A request an order, many at once."""
        answers = list(self._threads.map(self._start, orders))
        errors = [one for one in answers if isinstance(one, QuanopyError)]
        if len(orders) == 1 and errors and not isinstance(errors[0], ProviderError):
            raise errors[0]
        return [
            one if isinstance(one, str | ProviderError) else Rejected(str(one)) for one in answers
        ]

    def poll(self, ids: Sequence[str]) -> dict[str, Report]:
        """A request a vQPU (a plain one: an execution). Where one does not answer, what is there
        is said to be as it last was; raises where none does."""
        by_name: dict[str, list[str]] = {}
        for each in ids:
            if (match := _ID.fullmatch(each)) is not None:
                by_name.setdefault(match[1], []).append(each)
        groups = list(by_name.items())
        reports: dict[str, Report] = {}
        errors: list[QuanopyError] = []
        asked = {self._threads.submit(self._poll, *group): group for group in groups}
        # Whose answer is late must not keep others waiting.
        done, late = wait(asked, None if len(groups) == 1 else _PATIENCE_S)
        for one in done:
            found, error = one.result()
            reports |= found
            errors += [] if error is None else [error]
        for one in late:
            name, its_ids = asked[one]
            reports |= self._as_they_were(its_ids)
            errors.append(Transient(f"{name} has not answered yet"))
        if errors and len(errors) == len(groups):
            raise errors[0]
        with self._lock:
            for each, report in reports.items():
                if report.state is not None:
                    _keep(self._last, each, report.state)
        return reports

    def result(self, id: str, works: Callable[[], Sequence[Work]] | None) -> list[Outcome]:
        """Outcomes from counts, or from each shot's bits."""
        from quanopy.providers.vqpu.translation import outcome_of  # loads Qiskit

        vqpu, there = self._place(id)
        document = vqpu.connection.ask("GET", f"{_CIRCUITS}/{there}")
        answers, seconds = answers_of(vqpu.name, document)
        if works is None:
            return [foreign_outcome(vqpu.name, answers, seconds)]
        with self._lock:
            known = self._works.get(id)
        (work,) = known if known is not None else works()
        shots = float(sum(pub.shots or 0 for pub in work.pubs))
        outcome = outcome_of(work, answers, {"seconds": seconds, "shots": max(shots, 1.0)})
        return [
            Outcome(
                result=outcome.result,
                error=outcome.error,
                usage=outcome.usage,
                started_at=moment(document.get("started_at")),
                ended_at=moment(document.get("ended_at")),
            )
        ]

    def stop(self, ids: Sequence[str]) -> None:
        """Ask for an end; a plain vQPU cannot be asked, and goes on."""
        if self._plain:
            return
        by_vqpu: dict[_Vqpu, list[str]] = {}
        for each in ids:
            try:
                vqpu, there = self._place(each)
            except NotFound:
                continue
            by_vqpu.setdefault(vqpu, []).append(there)
        for vqpu, there_ids in by_vqpu.items():
            answer = vqpu.connection.ask("POST", f"{_CIRCUITS}/cancel", {"ids": there_ids})
            if answer != {}:
                raise Transient(f"{vqpu.name} answered a cancellation with what is none")

    def logs(self, id: str) -> str:
        """It keeps none."""
        return ""

    def describe(self, id: str) -> Foreign:
        """Its resource and state."""
        vqpu, there = self._place(id)
        if self._plain:
            report = self._ask_plain(vqpu, there)
            if report is None:
                raise NotFound(f"{vqpu.name} has no circuit {there}")
            return Foreign(
                resource=vqpu.name, kind=JobKind.RUN, state=report.state or ExecutionState.SUBMITTED
            )
        row = self._states(vqpu, [there]).get(there)
        if row is None:
            raise NotFound(f"{vqpu.name} has no circuit {there}")
        return Foreign(
            resource=vqpu.name,
            kind=JobKind.RUN,
            state=report_of(row).state or ExecutionState.SUBMITTED,
            created_at=moment(row.get("created_at")) if isinstance(row, dict) else None,
        )

    def find(self, keys: Sequence[str]) -> dict[str, str]:
        """Keys are sent again instead."""
        return {}

    def close(self) -> None:
        """Close the connections."""
        for threads in (self._threads, self._asking):
            threads.shutdown(wait=False, cancel_futures=True)
        self._pool.clear()

    # -- vQPUs --------------------------------------------------------------------------------
    def _configured(self, one: Configured) -> _Vqpu:
        return _Vqpu(
            name=one.name,
            connection=self._connection(one.name, one.url, one.token.reveal),
            qubits=one.qubits,
            lanes=one.lanes or 1,
        )

    def _connection(self, name: str, url: str, token: Callable[[], str]) -> Connection:
        return Connection(name, url, token, timeout_s=self._timeout_s, pool=self._pool)

    def _all(self, *, anew: bool = False) -> dict[str, _Vqpu]:
        """Those of the settings, then those registered that do not take a name of these."""
        if self._registrations is None:
            return self._fixed
        known = self._registrations.known(anew=anew)
        with self._lock:
            self._registered = {
                one.name: self._taken_over(one) for one in known if one.name not in self._fixed
            }
            return {**self._fixed, **self._registered}

    def _taken_over(self, one: Registration) -> _Vqpu:
        """What is known of a registered vQPU, while it is the same."""
        found = self._registered.get(one.name)
        if found is None or found.instance != one.id:
            registrations = self._registrations
            assert registrations is not None
            found = _Vqpu(
                name=one.name,
                connection=self._connection(one.name, one.url, lambda: registrations.token(one.id)),
                instance=one.id,
                lanes=one.lanes,
                # What it registered will do until it is first asked.
                description=of_target(
                    one.target,
                    lanes=one.lanes,
                    circuits=1,
                    shots=100_000,
                    description=one.description,
                ),
            )
        found.registration = one
        return found

    def _find(self, resource: str, instance: str | None = None) -> _Vqpu:
        """The vQPU of a name; what was heard of it is asked for anew before one (or this instance
        of it) is said not to be there."""
        found = self._all().get(resource)
        if found is None or instance not in (None, found.instance):
            found = self._all(anew=True).get(resource)
        if found is None:
            raise NotFound(f"{self.name} has no resource {resource!r}")
        return found

    def _place(self, id: str) -> tuple[_Vqpu, str]:
        """The vQPU of an execution, and its id there."""
        match = _ID.fullmatch(id)
        if match is None:
            raise NotFound(f"{self.name} has no execution {id[:100]!r}")
        found = self._find(match[1], match[2])
        if found.instance != match[2]:
            raise NotFound(f"{found.name} was started anew, and does not know {match[3]}")
        return found, match[3]

    def _resource(self, one: _Vqpu) -> Resource:
        registered = one.registration
        owner = registered.owner if registered is not None else None
        accounts = registered.accounts if registered is not None else None
        if one.description is None:
            return Resource(
                name=one.name,
                provider=self.name,
                state=ResourceState.OFFLINE,
                reason=_reason(one.error) or "it has not answered yet",
                capabilities=capabilities(one.qubits, None, 1, 100_000),
                owner=owner,
                accounts=accounts,
            )
        return one.description.resource(
            one.name, self.name, reason=_reason(one.error), owner=owner, accounts=accounts
        )

    def _described(self, one: _Vqpu) -> Description:
        self._refresh(one)
        if one.description is None:
            raise one.error or Unavailable(f"{one.name} has not answered")
        return one.description

    def _refresh(self, one: _Vqpu) -> None:
        """Ask for a vQPU's description where that is due. It never raises for what it answers."""
        with one.lock:
            if time.monotonic() < one.ask_at:
                return
            try:
                one.description = self._ask_description(one)
                one.error, one.ask_at = None, time.monotonic() + _FRESH_S
            except QuanopyError as error:
                if _reason(one.error) != _reason(error):
                    log.warning("%s: %s", one.name, error.message)
                one.error, one.ask_at = error, time.monotonic() + _AGAIN_S

    def _ask_description(self, one: _Vqpu) -> Description:
        if self._plain:
            native = one.connection.ask("GET", "/api/v1/native-gates")
            return plain(native, qubits=one.qubits or 1, lanes=one.lanes)
        return described(one.connection.ask("GET", "/api/v1/device"))

    # -- requests -----------------------------------------------------------------------------
    def _start(self, order: Order) -> str | QuanopyError:
        try:
            vqpu = self._find(order.resource)
            description = self._described(vqpu)
            (work,) = order.works
            body = self._body(work, description)
            answer = vqpu.connection.tell(_CIRCUITS, body, key=None if self._plain else order.key)
            there = answer.get("id") if isinstance(answer, dict) else None
            if not isinstance(there, str) or not re.fullmatch(r"[A-Za-z0-9._-]{1,100}", there):
                raise OutcomeUnknown(f"{vqpu.name} answered a submission with no id")
        except QuanopyError as error:
            return error
        made = f"{vqpu.name}/{vqpu.instance}/{there}"
        with self._lock:
            _keep(self._works, made, order.works)
        return made

    def _body(self, work: Work, description: Description) -> dict[str, Any]:
        circuits = self._circuits(work, description)
        settings: dict[str, Any] = {"results": "normal" if work.options.memory else "counts"}
        if work.options.seed is not None:
            settings["seed"] = work.options.seed
        if not self._plain:
            return {"command": "circuits", "settings": settings, "circuits": circuits}
        if len(circuits) != 1:
            raise Rejected(f"{len(circuits)} circuits, a plain vQPU takes one at a time")
        (only,) = circuits
        return {
            "command": "circuit",
            "settings": {"shots": only["shots"], "results": "normal"},
            "init": [],
            "circuit": only["circuit"],
            "measure": only["measure"],
        }

    def _circuits(self, work: Work, description: Description) -> list[dict[str, Any]]:
        from quanopy.providers.vqpu.translation import circuits_of  # loads Qiskit

        if len(work.pubs) > description.circuits:
            raise Rejected(f"{len(work.pubs)} pubs, at most {description.circuits} at once")
        return circuits_of(work, description.gates)

    def _poll(self, name: str, ids: Sequence[str]) -> tuple[dict[str, Report], QuanopyError | None]:
        """What one vQPU says of its executions; and, where it does not answer, why."""
        instances = {one: one.split("/")[1] for one in ids}
        known = self._all().get(name)
        if known is None or set(instances.values()) != {known.instance}:
            known = self._all(anew=True).get(name)
        if known is None:
            if self._registrations is None:
                return {}, None
            return dict.fromkeys(ids, lost(f"{name} has left the catalogue")), None
        current = [one for one in ids if instances[one] == known.instance]
        reports = dict.fromkeys(set(ids).difference(current), lost(f"{name} was started anew"))
        try:
            if current:
                reports |= self._ask_states(known, current)
        except QuanopyError as error:
            registered = known.registration
            if registered is not None and not registered.alive and isinstance(error, Unavailable):
                died = f"{name} died: nothing was heard of it since {registered.seen_at:%H:%M:%S}"
                return reports | dict.fromkeys(current, lost(died)), None
            return reports | self._as_they_were(current), error
        return reports, None

    def _as_they_were(self, ids: Sequence[str]) -> dict[str, Report]:
        with self._lock:
            return {one: Report(state=self._last.get(one, ExecutionState.SUBMITTED)) for one in ids}

    def _ask_states(self, vqpu: _Vqpu, ids: Sequence[str]) -> dict[str, Report]:
        theirs = {one.split("/")[2]: one for one in ids}
        if self._plain:
            told = ((one, self._ask_plain(vqpu, there)) for there, one in theirs.items())
            return {one: report for one, report in told if report is not None}
        rows = self._states(vqpu, list(theirs))
        return {theirs[there]: report_of(row) for there, row in rows.items() if there in theirs}

    def _states(self, vqpu: _Vqpu, theirs: Sequence[str]) -> dict[str, Any]:
        document = vqpu.connection.ask("POST", f"{_CIRCUITS}/status", {"ids": list(theirs)})
        rows = document.get("circuits") if isinstance(document, dict) else None
        if not isinstance(rows, dict):
            raise Transient(f"{vqpu.name} answered no states")
        return rows

    def _ask_plain(self, vqpu: _Vqpu, there: str) -> Report | None:
        try:
            document = vqpu.connection.ask("GET", f"{_CIRCUITS}/{there}")
        except NotReady:
            return Report(state=ExecutionState.RUNNING)
        except NotFound:
            return None
        done = isinstance(document, dict) and document.get("data") is not None
        return Report(state=ExecutionState.COMPLETED if done else ExecutionState.RUNNING)


def _keep(kept: OrderedDict[str, T], id: str, value: T) -> None:
    kept[id] = value
    kept.move_to_end(id)
    if len(kept) > _KEPT_WORKS:
        kept.popitem(last=False)


def _reason(error: QuanopyError | None) -> str | None:
    return None if error is None else error.message[:300]
