"""Groups: named, ordered jobs that run under one policy, which the broker keeps."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum

from quanopy.domain.errors import NotFound
from quanopy.domain.requirements import Bound


class GroupState(StrEnum):
    """Where a group is; only ``cancelled`` is final, for a group that is done may be added to."""

    OPEN = "open"
    """It takes jobs, and runs none yet."""
    RUNNING = "running"
    PAUSED = "paused"
    """It begins nothing more until it is resumed; what runs may finish."""
    DONE = "done"
    """All its jobs have ended, or a stop rule has ended it."""
    CANCELLED = "cancelled"


class GroupOrder(StrEnum):
    """What a group waits for before it begins the next of its jobs."""

    SEQUENTIAL = "sequential"
    """For one before it to end; ``gap_s`` counts from there."""
    PARALLEL = "parallel"
    """For nothing but a place; ``gap_s`` counts from the last beginning."""


class GroupAction(StrEnum):
    """What its owner asks of a group."""

    RUN = "run"
    """Begin, or go on after a pause."""
    PAUSE = "pause"
    CANCEL = "cancel"
    """End it: what waits is cancelled, and it is asked of what runs."""


class Closing(StrEnum):
    """What is left to do of a group that begins nothing more."""

    REST = "rest"
    """Cancel what has not begun; what runs may finish."""
    ALL = "all"
    """Cancel what runs, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRules:
    """When a group ends or pauses before all its jobs have run; ``None``: never for that reason.

    ``precision``, ``seconds``, ``cost`` and ``deadline`` end it: what runs may finish, the rest
    is cancelled. ``calibration`` and ``failures`` pause it, for somebody to look at.
    """

    precision: float | None = None
    """Largest standard error of the merged result: of each expectation value, or of the
    probability of each outcome."""
    seconds: float | None = None
    """Time used on resources, in seconds."""
    cost: float | None = None
    """What providers bill, in the currency of the resource's prices."""
    deadline: datetime | None = None
    """Nothing begins later."""
    calibration: Mapping[str, Bound] = field(default_factory=dict)
    """By metric what the median must be over all that the resource's calibration tells of it."""
    failures: int | None = None
    """So many jobs have failed since it began or was resumed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupPolicy:
    """How the jobs of a group are run."""

    order: GroupOrder = GroupOrder.PARALLEL
    max_in_flight: int | None = None
    """Jobs begun and not ended, at most; ``None``: one if they are sequential, else any number."""
    gap_s: float = 0.0
    """See :class:`GroupOrder`."""
    stop: StopRules = field(default_factory=StopRules)

    @property
    def places(self) -> int | None:
        """How many jobs may be in flight; ``None``: any number."""
        if self.max_in_flight is None and self.order is GroupOrder.SEQUENTIAL:
            return 1
        return self.max_in_flight

    def differences(self, other: "GroupPolicy") -> list[str]:
        """In what another policy is not this one, as sentences: ``gap is 600 s, not 60 s``."""
        return [
            f"{name} is {_said(mine)}, not {_said(theirs)}"
            for (name, mine), theirs in zip(self._said(), dict(other._said()).values(), strict=True)
            if mine != theirs
        ]

    def _said(self) -> list[tuple[str, object]]:
        gap = f"{self.gap_s:g} s" if self.gap_s else None
        rules = [(f"stop.{one.name}", getattr(self.stop, one.name)) for one in fields(self.stop)]
        return [
            ("order", self.order),
            ("max_in_flight", self.max_in_flight),
            ("gap", gap),
            *rules,
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A group as it stands in the catalogue."""

    id: str
    account: str
    name: str
    """Unique within the account."""
    state: GroupState
    policy: GroupPolicy
    created_at: datetime
    resource: str | None = None
    """What its jobs are meant for, to be checked by whoever attaches to it."""
    reason: str | None = None
    """Why it is paused, or ended before all its jobs had run."""
    size: int = 0
    """How many jobs it has been given."""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    next_at: datetime | None = None
    """When it is looked at next: a gap ends, or its deadline comes."""
    usage: Mapping[str, float] = field(default_factory=dict)
    """What its ended jobs used: ``seconds``, ``shots`` and what else providers bill."""
    completed: int = 0
    """Jobs that have completed, as far as their turns have been worked off."""
    failures: int = 0
    """Jobs that have failed since it began or was resumed."""
    changed_at: datetime | None = None
    """When it was revised or cancelled last: later each time, whatever the clock says."""

    @property
    def ended(self) -> bool:
        """Whether it is done or cancelled, and its last job has ended."""
        return self.ended_at is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a group is: its jobs by state."""

    blocked: int = 0
    """Not begun: they wait for the group's policy, or for other jobs."""
    queued: int = 0
    running: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    shots: int = 0
    """Of those that completed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A job that ended, or that is new and waits: something may have to begin."""

    seq: int
    job_id: str
    group_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What the stop rules of a group have come to."""

    reason: str
    pauses: bool = False
    """It pauses; else it ends."""


def _said(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_bounds(bound)}" for name, bound in value.items()) or "none"
    return "none" if value is None else str(value)


def _bounds(bound: Bound) -> str:
    least = [] if bound.least is None else [f"at least {bound.least:g}"]
    most = [] if bound.most is None else [f"at most {bound.most:g}"]
    return " and ".join(least + most)


def no_group(name: str) -> NotFound:
    """The error of a group that is not there, or not the caller's."""
    return NotFound(
        f"there is no group {name[:100]!r}",
        where="group",
        hint="List yours: `quanopy group list`, or GET /v1/groups.",
    )
