"""Providers: what speaks to one vendor or emulator and exposes its resources."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from quanopy.domain.calibration import Snapshot
from quanopy.domain.errors import QuanopyError
from quanopy.domain.jobs import MOST_SHOTS, JobKind, Options, Pub
from quanopy.domain.programs import Program
from quanopy.domain.resources import Resource, Target
from quanopy.domain.states import ExecutionState
from quanopy.domain.texts import is_showable

if TYPE_CHECKING:
    from typing_extensions import TypeIs

_MOST_SECONDS = 366 * 24 * 3600.0
_MOST_USED = MOST_SHOTS * 1e9
"""Of whatever kind: far more than anybody bills, and no sum of such amounts overflows."""
_MOST_KINDS = 16
_LONGEST_KIND = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One task, ready to run: compiled circuits and the pubs of its slice."""

    task_id: str
    resource: str
    kind: JobKind
    circuits: Sequence[bytes]
    """QPY of our own, one entry a program of the job; empty where no pub of the slice uses it.
    Where ``native`` is set: the programs as they were submitted."""
    pubs: Sequence[Pub]
    """The slice's pubs; ``program`` still indexes ``circuits``; shots and precision are set."""
    options: Options
    native: str | None = None
    """The format of all its programs, where they are not circuits but run as they stand."""
    first_pub: int = 0
    """Index within the job of the first of ``pubs``: seeds derive from the job's own indices."""
    shots_from: int = 0
    """How many shots of each pub other tasks of the job do before this one's."""
    estimate_s: float = 0.0
    noise: bytes | None = None
    """The numbers of the snapshot that ``options.noise`` names (:mod:`quanopy.codecs.calibrations`
    reads them); for a resource with the capability ``noise``. They came from a vendor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one work ended: a result (JSON of :mod:`quanopy.codecs.results`) or an error."""

    result: bytes | None = None
    """One line: results are kept together, a line each."""
    error: QuanopyError | None = None
    usage: Mapping[str, float] = field(default_factory=dict)
    """``seconds`` on the resource (a year at most), ``shots``, and what else is billed."""
    calibration: str | None = None
    """``vendor_id`` of the calibration it ran under, where the vendor says so with its result."""
    started_at: datetime | None = None
    """When it began on the resource, by the vendor's clock; aware."""
    ended_at: datetime | None = None
    """When it ended there, by the vendor's clock."""

    def __post_init__(self) -> None:
        if self.result is not None and b"\n" in self.result:
            raise ValueError("a result has a line break in it")
        if len(self.usage) > _MOST_KINDS:
            raise ValueError(f"usage of {len(self.usage)} kinds")
        for kind, amount in self.usage.items():
            if not (0 < len(kind) <= _LONGEST_KIND and is_showable(kind)):
                raise ValueError(f"usage of a kind {kind[:_LONGEST_KIND]!r}")
            if not 0 <= amount <= (_MOST_SECONDS if kind == "seconds" else _MOST_USED):
                raise ValueError(f"usage of {amount} {kind}")


class Running(Protocol):
    """A batch that a local provider has begun."""

    def wait(self) -> list[Outcome]:
        """Block until the batch has ended; one outcome a work, in order. Never raises for what
        a work did: a crash is that work's ``error``, and touches no other's result."""

    def cancel(self, task_ids: Sequence[str]) -> None:
        """Ask that these end soon with a ``TaskFailed``; the others of the batch complete."""


class Provider(Protocol):
    """What local and remote providers share."""

    name: str

    def resources(self) -> Sequence[Resource]:
        """What it exposes, cheaply: no network for emulators, no heavy import ever."""

    def target(self, resource: str) -> Target:
        """The machine description of a resource; its digest is stable until it changes.
        ``ResourceMismatch`` for one that compiles nothing (analog, photonic)."""

    def calibration(self, resource: str) -> Snapshot | None:
        """The calibration of a resource as its vendor gives it now; ``None`` where it publishes
        none. Asked again and again: ``target`` is then that of the same calibration."""

    def check(self, work: Work) -> None:
        """Refuse, with no network, what the resource would refuse: ``Invalid`` or
        ``ResourceMismatch``. Programs are a stranger's: what cannot be read safely here is left
        to the vendor."""

    def close(self) -> None:
        """Let go of everything; idempotent."""


class Targets(Protocol):
    """The machine descriptions of resources, from whichever providers are at hand."""

    def target(self, resource: str) -> Target:
        """The target of a resource; ``NotFound`` where no provider here serves it."""

    def at_hand(self, resource: str) -> Target | None:
        """The same where no vendor need be asked: of an emulator, or known from before."""


class LocalProvider(Provider, Protocol):
    """Emulators in processes of our own: nothing is billed, so work may be repeated."""

    processes: int
    """How many batches it runs at once; a worker prepares one more meanwhile."""

    def warm(self) -> None:
        """Work is on its way: start in the background what takes long to start. Never blocks;
        later calls do nothing."""

    def start(self, works: Sequence[Work]) -> Running:
        """Begin a batch for one resource."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteCapabilities:
    """What a remote provider's service promises; it decides what recovery may do."""

    idempotent: bool = False
    """The same key sent twice gives one execution."""
    searchable: bool = False
    """``find`` sees an execution by its key."""
    visibility_delay_s: float = 0.0
    """How long an accepted execution may stay invisible to ``find``."""
    request_timeout_s: float = 30.0
    poll_interval_s: float = 2.0
    """How often ``poll`` is worth asking; doubled, up to 16 times, while nothing changes."""
    batch: int = 100
    """How many executions one ``start``, ``poll`` or ``stop`` takes."""
    one_by_one: bool = False
    """``poll`` costs a request for each execution, for the service lists none: what has not
    changed for long is asked for about once a minute."""
    tasks_per_execution: int = 1
    """How many tasks may share an execution."""
    senders_each: int | None = None
    """How many calls one resource may have under way in a worker, where each is a server of its
    own: one that hangs then keeps no other waiting. ``None``: all go to the same service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One execution to start: ``key`` is Quanopy's own id of it, unique for ever."""

    key: str
    resource: str
    works: Sequence[Work]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What the provider says of an execution."""

    state: ExecutionState | None
    """``None``: a status never seen before; ``detail`` carries it."""
    detail: str = ""
    queue_position: int | None = None
    """How many are ahead of it, where the provider says so: what is near the front is asked for
    again soon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """What a vendor knows of a job that was not made here."""

    resource: str
    """Name of the resource here that it ran on."""
    kind: JobKind
    state: ExecutionState
    created_at: datetime | None = None
    program: Program | None = None
    """What was submitted, where the vendor gives it back."""
    shots: int | None = None
    key: str | None = None
    """Our key that it was sent with; empty: it bears none. ``None``: the vendor does not tell."""


class RemoteProvider(Provider, Protocol):
    """A vendor's service. Every call has a time-out and raises a classified ``ProviderError``."""

    capabilities: RemoteCapabilities

    def fingerprint(self) -> str:
        """Who is billed at the vendor, as a digest that tells two accounts apart and gives away
        neither account nor credential; no network. The same after a key was renewed, where the
        vendor's account has a name of its own (a CRN, a project)."""

    def start(self, orders: Sequence[Order]) -> Sequence[str | QuanopyError]:
        """Send these; for each the provider's id, or why not: once one may have been accepted,
        nothing is raised any more. ``OutcomeUnknown`` where the reply
        was lost: it may have been accepted."""

    def poll(self, ids: Sequence[str]) -> dict[str, Report]:
        """States by the provider's id; an id it does not know is left out."""

    def result(self, id: str, works: Callable[[], Sequence[Work]] | None) -> list[Outcome]:
        """One outcome a work of the order. ``NotReady`` when early; twice gives the same.

        ``works`` gives what was sent, for a provider that needs it to make sense of the answer
        (a fresh process knows nothing); it costs, so it is called only where it must be. ``None``:
        the job was not made here, and is one work.
        """

    def stop(self, ids: Sequence[str]) -> None:
        """Ask for an end; one that has ended already is no error."""

    def logs(self, id: str) -> str:
        """What the vendor logged of it; empty where it keeps none."""

    def describe(self, id: str) -> Foreign:
        """What is known of a job that may not have been made here; ``NotFound``."""

    def find(self, keys: Sequence[str]) -> dict[str, str]:
        """Provider's ids by our keys, where ``searchable``; a key not found is left out."""


def is_remote(provider: Provider) -> "TypeIs[RemoteProvider]":
    """Whether it speaks to a service elsewhere: those alone say what theirs promises."""
    return hasattr(provider, "capabilities")
