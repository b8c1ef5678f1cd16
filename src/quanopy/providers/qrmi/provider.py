"""The QRMI provider: its resources as ours, its calls in processes that can be ended."""

import json
import logging
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from threading import Lock

from quanopy.codecs.results import PubResult, encode_result
from quanopy.domain.calibration import Snapshot
from quanopy.domain.errors import (
    Invalid,
    NotFound,
    NotReady,
    OutcomeUnknown,
    ProviderError,
    QuanopyError,
    Rejected,
    ResourceMismatch,
    TaskFailed,
    Transient,
)
from quanopy.domain.programs import CIRCUITS, digest_of
from quanopy.domain.resources import Capabilities, Limits, Resource, Target
from quanopy.domain.states import ExecutionState, ResourceState
from quanopy.ports.providers import Foreign, Order, Outcome, RemoteCapabilities, Report, Work
from quanopy.providers.kept import Kept
from quanopy.providers.qrmi import child
from quanopy.providers.qrmi.child import Ask
from quanopy.providers.qrmi.known import Known
from quanopy.providers.qrmi.machines import TYPES, Machine
from quanopy.providers.qrmi.vendors import VENDORS, Described, parsed
from quanopy.providers.several import Several
from quanopy.sandbox.confinement import Confinement
from quanopy.sandbox.pool import ChildFailed, Children

log = logging.getLogger(__name__)

_STATES = {
    "Queued": ExecutionState.SUBMITTED,
    "Running": ExecutionState.RUNNING,
    "Completed": ExecutionState.COMPLETED,
    "Failed": ExecutionState.FAILED,
    "Cancelled": ExecutionState.CANCELLED,
}
_ENDED = (ExecutionState.COMPLETED, ExecutionState.FAILED, ExecutionState.CANCELLED)
_SESSIONS = ("ibm-quantum-compute-service", "qiskit-runtime-service", "pasqal-local")
"""Types whose ``acquire`` does something at the vendor's."""
_NEEDED = ("pasqal-local",)
"""Types that run nothing that was not acquired."""
_DELETED = ("ibm-quantum-system",)
"""Types of which QRMI deletes a task that it stops, with all there is of it."""
_REMEMBERED = 10_000
_BATCH = 20
_LONGEST = 500
_MEMORY = 4 * 1024**3


class QrmiProvider:
    """Exposes resources of QRMI."""

    def __init__(
        self,
        *,
        name: str,
        machines: Sequence[Machine],
        account: str,
        acquire: bool,
        processes: int,
        timeout_s: float,
    ) -> None:
        self.name = name
        self.capabilities = RemoteCapabilities(
            request_timeout_s=timeout_s, batch=_BATCH, one_by_one=True
        )
        self._account = account
        self._acquire = acquire
        self._timeout_s = timeout_s
        confinement = Confinement(memory_bytes=_MEMORY, warm_up=child.warm_up)
        self._children = Children(processes, confinement, child.ask, name=name)
        self._several = Several(f"{name}-requests", width=processes)
        self._configured = list(machines)
        self._known = Known(machines, lambda one: self._asked(one, Ask(call="list")))
        self._described: dict[str, Kept[Described]] = {}
        self._deleted: deque[str] = deque(maxlen=_REMEMBERED)
        self._lock = Lock()

    def __repr__(self) -> str:
        return f"QrmiProvider({self.name!r}, {sorted(one.backend for one in self._configured)})"

    # -- what it exposes ----------------------------------------------------------------------
    def resources(self) -> Sequence[Resource]:
        """Those of the settings, and of accounts; one whose vendor does not answer is offline."""
        return self._several_of(self._resource, list(self._known.all()))

    def _resource(self, name: str) -> Resource:
        machine, said = self._machine(name), self._kept(name).said()
        vendor = VENDORS[machine.type]
        return Resource(
            name=name,
            provider=self.name,
            description=f"{machine.backend}, {machine.type} through QRMI",
            state=ResourceState.ONLINE if said.problem is None else ResourceState.OFFLINE,
            reason=None if said.problem is None else said.problem.message[:_LONGEST],
            capabilities=Capabilities(
                kinds=vendor.kinds,
                limits=Limits(
                    qubits=None if said.answer is None else said.answer.qubits,
                    pubs=None if set(CIRCUITS) & set(vendor.formats) else 1,
                ),
                simulator=False,
                default_level=2,
                technology=vendor.technology,
                formats=vendor.formats,
                coalesce=False,
            ),
        )

    def target(self, resource: str) -> Target:
        """From the machine's description that was fetched last."""
        found = self._description(resource).target
        if found is None:
            raise ResourceMismatch(f"nothing is compiled for {resource}")
        return found

    def calibration(self, resource: str) -> Snapshot | None:
        """What the machine's description says of it now."""
        return self._kept(resource).now().snapshot

    def check(self, work: Work) -> None:
        """The format has to be one of the type's."""
        formats = VENDORS[self._machine(work.resource).type].formats
        if work.native is not None and work.native not in formats:
            raise Invalid(f"{work.resource} does not run {work.native} programs")

    def fingerprint(self) -> str:
        """Of the account's name, and of where the credentials are found."""
        places = sorted(
            f"{one.backend} {name}={value}"
            for one in self._configured
            for name, value in one.variables.items()
        )
        return digest_of("\n".join([self._account or "", *places]).encode())

    # -- the way of an execution --------------------------------------------------------------
    def start(self, orders: Sequence[Order]) -> list[str | ProviderError]:
        """A task an order; QRMI takes no key."""
        return self._several.start(orders, self._start)

    def _start(self, order: Order) -> str:
        (work,) = order.works
        machine, name = self._machine(order.resource), order.resource
        kind, payload = VENDORS[machine.type].payload(
            work, order.key, lambda: self._description(name)
        )
        token = self._acquired(name, machine)
        try:
            task = self._call(name, Ask(call="start", kind=kind, payload=payload, session=token))
        except OutcomeUnknown:
            raise
        except QuanopyError as error:
            self._release(name, token)
            if isinstance(error, NotFound):
                raise Rejected(error.message) from None
            raise
        if not task:
            raise OutcomeUnknown(f"{name} took a task and gave no id of it")
        return ":".join((name, task, token) if token else (name, task))

    def _acquired(self, name: str, machine: Machine) -> str:
        wanted = self._acquire and machine.type in _SESSIONS
        if not wanted and machine.type not in _NEEDED:
            return ""
        return self._call(name, Ask(call="acquire"))

    def _release(self, name: str, token: str) -> None:
        """Give back what was acquired; where that fails, it ends by itself."""
        if not token:
            return
        try:
            self._call(name, Ask(call="release", id=token))
        except QuanopyError as error:
            log.warning("%s: a session was not released: %s", name, error)

    def poll(self, ids: Sequence[str]) -> dict[str, Report]:
        """QRMI has no list: a call a task, several at once."""
        return self._several.poll(ids, self._report)

    def _report(self, id: str) -> Report:
        name, task, token = self._parts(id)
        try:
            said = self._call(name, Ask(call="status", id=task))
        except NotFound:
            if id not in self._deleted:
                raise
            said = "Cancelled"
        state = _STATES.get(said)
        if state in _ENDED:
            self._release(name, token)
        return Report(state=state, detail=said[:_LONGEST])

    def result(self, id: str, works: Callable[[], Sequence[Work]] | None) -> list[Outcome]:
        """The vendor's document, read without trusting it. QRMI gives one of a task that has not
        ended, too: so its status is asked for before."""
        name, task, _ = self._parts(id)
        said = self._call(name, Ask(call="status", id=task))
        state = _STATES.get(said)
        if state in (ExecutionState.FAILED, ExecutionState.CANCELLED):
            return [Outcome(error=TaskFailed(self._why(name, task, said)))]
        if state is not ExecutionState.COMPLETED:
            raise NotReady(f"task {task} is {said[:40]}")
        text = self._call(name, Ask(call="result", id=task))
        if works is None:
            raise Rejected("QRMI does not tell what a task was made of, so its result says nothing")
        (work,) = works()
        pubs = self._read(name, work, text)
        shots = sum(int(pub.get("shots", 0)) * max(1, len(pub.get("counts", ()))) for pub in pubs)
        return [Outcome(result=encode_result(pubs), usage={"seconds": 0.0, "shots": shots})]

    def _read(self, name: str, work: Work, text: str) -> Sequence[PubResult]:
        try:
            return VENDORS[self._machine(name).type].results(work, text)
        except ProviderError:
            raise
        except (QuanopyError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise Transient(f"{name} gave a result that is none: {type(error).__name__}") from None

    def _why(self, name: str, task: str, said: str) -> str:
        if said == "Cancelled":
            return "cancelled"
        try:
            return self._call(name, Ask(call="logs", id=task))[-_LONGEST:] or "failed"
        except QuanopyError:
            return "failed, and QRMI has no log of it"

    def stop(self, ids: Sequence[str]) -> None:
        """Cancel; what has ended stays as it ended."""
        for answer in self._several.each(ids, self._stopped):
            if isinstance(answer, QuanopyError) and not isinstance(answer, NotFound | NotReady):
                raise answer

    def _stopped(self, id: str) -> None:
        name, task, _ = self._parts(id)
        if self._machine(name).type in _DELETED:
            if self._report(id).state in _ENDED:
                return
            self._deleted.append(id)
        try:
            self._call(name, Ask(call="stop", id=task))
        except Rejected:
            if self._report(id).state not in _ENDED:
                raise

    def logs(self, id: str) -> str:
        """As QRMI gives them."""
        name, task, _ = self._parts(id)
        return self._call(name, Ask(call="logs", id=task))

    def describe(self, id: str) -> Foreign:
        """Its resource and its state; ids are ``RESOURCE:TASK``."""
        name, task, _ = self._parts(id)
        state = _STATES.get(self._call(name, Ask(call="status", id=task)))
        kind = VENDORS[self._machine(name).type].kinds[0]
        return Foreign(resource=name, kind=kind, state=state or ExecutionState.SUBMITTED)

    def find(self, keys: Sequence[str]) -> dict[str, str]:
        """Never asked: QRMI has no search."""
        return {}

    def close(self) -> None:
        """End the processes; idempotent."""
        self._several.close()
        self._children.close()

    # -- calls --------------------------------------------------------------------------------
    def _call(self, name: str, one: Ask) -> str:
        return self._asked(self._machine(name), one)

    def _asked(self, machine: Machine, one: Ask) -> str:
        told = child.Described(
            backend=machine.backend,
            type=TYPES[machine.type],
            variables=json.dumps(machine.revealed(), sort_keys=True),
        )
        try:
            (answer,) = self._children.submit(
                child.ask, told, [one], timeout_s=self._timeout_s
            ).result()
        except ChildFailed as error:
            unknown = OutcomeUnknown if one.call == "start" else Transient
            raise unknown(f"{machine.backend} did not answer: {type(error).__name__}") from None
        if answer.error is not None:
            raise answer.error
        return answer.text

    def _kept(self, name: str) -> Kept[Described]:
        machine = self._machine(name)
        with self._lock:
            return self._described.setdefault(name, Kept(partial(self._fetched, name, machine)))

    def _fetched(self, name: str, machine: Machine) -> Described:
        told = self._asked(machine, Ask(call="target"))
        try:
            return VENDORS[machine.type].described(name, parsed(told, name))
        except ProviderError:
            raise
        except (QuanopyError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise Transient(
                f"{name} gave a description that is none: {type(error).__name__}"
            ) from None

    def _description(self, name: str) -> Described:
        return self._kept(name).known()

    def _machine(self, name: str) -> Machine:
        found = self._known.one(name)
        if found is None:
            raise NotFound(f"{self.name} has no resource {name}")
        return found

    def _parts(self, id: str) -> tuple[str, str, str]:
        name, _, rest = id.partition(":")
        task, _, token = rest.partition(":")
        if not task or self._known.one(name) is None:
            raise NotFound(f"{self.name} has no task {id[:80]!r}: its ids are RESOURCE:TASK")
        return name, task, token

    def _several_of(
        self, action: Callable[[str], Resource], names: Sequence[str]
    ) -> list[Resource]:
        return [one for one in self._several.each(names, action) if isinstance(one, Resource)]
