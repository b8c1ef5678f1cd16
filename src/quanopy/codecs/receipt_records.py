"""What a receipt says of each job, event and snapshot: its documents as dataclasses."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from quanopy.codecs.plain import from_plain, to_plain
from quanopy.codecs.receipts import (
    CALIBRATION_FORMAT,
    GROUP_FORMAT,
    JOB_FORMAT,
    encode,
    encode_line,
)
from quanopy.domain.calibration import UNBOUND, Binding
from quanopy.domain.errors import Invalid
from quanopy.domain.groups import GroupPolicy, GroupState
from quanopy.domain.jobs import JobKind, OnFailure, Options, Problem, Pub, Slice
from quanopy.domain.programs import Footprint
from quanopy.domain.states import ExecutionState, JobState, TaskState


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramEntry:
    """A program, which lies under ``programs/``."""

    format: str
    digest: str
    circuits: str | None = None
    """Digest of the circuits read from it, which lie under ``circuits/``; none of a program that
    is no circuits, or had not been read."""
    footprint: Footprint | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RanEntry:
    """What a part ran of one of its job's programs, where that is not what was read from it."""

    program: int
    circuits: str
    """Digest of them, with layouts."""
    level: int | None = None
    """The optimisation level it was compiled at; none: it was read late, and not compiled."""
    seed: int | None = None
    """What the compiler's random numbers began with."""
    compiler: str | None = None
    read: str | None = None
    """Digest of them as they were read, where that was late: before they were compiled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartEntry:
    """A part of a job: its task as it stood."""

    id: str
    state: TaskState
    slice: Slice
    attempt: int
    estimate_s: float = 0.0
    solo: bool = False
    execution_id: str | None = None
    result: bool = False
    """Whether it gave one."""
    problem: Problem | None = None
    cancel_requested: bool = False
    queued_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    ran: tuple[RanEntry, ...] | None = None
    """``None``: it did not run, or before that was kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionEntry:
    """A request to a provider, as it stood."""

    id: str
    provider: str
    resource: str
    state: ExecutionState
    created_at: datetime
    provider_job_id: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    usage: Mapping[str, float] = field(default_factory=dict)
    problem: Problem | None = None
    target: str | None = None
    fingerprint: str | None = None
    adopted: bool = False
    calibration: Binding = UNBOUND


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEntry:
    """A job: ``job.json``."""

    id: str
    kind: JobKind
    name: str | None = None
    tags: tuple[str, ...] = ()
    account: str
    resource: str
    state: JobState
    priority: int = 0
    shots: int | None = None
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    problem: Problem | None = None
    cancel_requested: bool = False
    estimate_s: float = 0.0
    requires: Mapping[str, Any] | None = None
    """What it asked of a resource, where it named none."""
    chosen: Mapping[str, Any] | None = None
    """Why that, then."""
    after: tuple[str, ...] | None = None
    """Ids of the jobs that it came after."""
    on_failure: OnFailure | None = None
    """What was to become of it where one of them failed."""
    options: Options
    read: bool
    """Whether its programs had been read; else ``pubs`` are as they were given."""
    programs: tuple[ProgramEntry, ...]
    pubs: tuple[Pub, ...] | None = None
    evaluations: tuple[int, ...] = ()
    """Bound circuits of each pub."""
    parts: tuple[PartEntry, ...]
    executions: tuple[ExecutionEntry, ...]
    result: bool
    """Whether there is (some of) one."""
    calibrations_lost: tuple[str, ...] = ()
    """Snapshots that executions name and the broker did not have any more."""

    def encoded(self) -> bytes:
        """As ``job.json``."""
        return encode({"format": JOB_FORMAT, **to_plain(self)})

    @classmethod
    def decoded(cls, document: Mapping[str, Any], where: str) -> "JobEntry":
        """From ``job.json``; raises :class:`Invalid` for anything else."""
        _check_format(document, JOB_FORMAT, where)
        return from_plain(cls, document, where)

    @property
    def snapshots(self) -> frozenset[str]:
        """Every digest of a snapshot that its executions name."""
        return frozenset(
            digest for one in self.executions for digest in snapshots_of(one.calibration)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EventEntry:
    """A line of ``events.jsonl``."""

    at: datetime
    subject: str
    kind: str
    before: str | None = None
    after: str | None = None
    actor: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)

    def line(self) -> bytes:
        """As a line."""
        return encode_line(to_plain(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationEntry:
    """A snapshot: ``calibration.json``."""

    digest: str
    """Of ``raw.json``."""
    resource: str
    raw_format: str
    """What ``raw.json`` is."""
    metrics: int
    """How many numbers ``metrics.json`` has."""
    seen_from: datetime
    """When the broker saw it first."""
    calibrated_at: datetime | None = None
    """The vendor's time."""
    vendor_id: str | None = None

    def encoded(self) -> bytes:
        """As ``calibration.json``."""
        return encode({"format": CALIBRATION_FORMAT, **to_plain(self)})

    @classmethod
    def decoded(cls, document: Mapping[str, Any], where: str) -> "CalibrationEntry":
        """From ``calibration.json``; raises :class:`Invalid` for anything else."""
        _check_format(document, CALIBRATION_FORMAT, where)
        return from_plain(cls, document, where)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupEntry:
    """What the jobs are a group of: ``group.json``."""

    id: str
    name: str
    state: GroupState
    policy: GroupPolicy
    created_at: datetime
    reason: str | None = None
    resource: str | None = None
    size: int = 0
    positions: tuple[int, ...]
    """Of each job in the group, in the order of the manifest."""
    usage: Mapping[str, float] = field(default_factory=dict)
    failures: int = 0
    started_at: datetime | None = None
    ended_at: datetime | None = None

    def encoded(self) -> bytes:
        """As ``group.json``."""
        return encode({"format": GROUP_FORMAT, **to_plain(self)})

    @classmethod
    def decoded(cls, document: Mapping[str, Any], where: str) -> "GroupEntry":
        """From ``group.json``; raises :class:`Invalid` for anything else."""
        _check_format(document, GROUP_FORMAT, where)
        return from_plain(cls, document, where)


def snapshots_of(binding: Binding) -> frozenset[str]:
    """The digests that a binding names."""
    named = (binding.snapshot, binding.submitted, binding.started, binding.ended)
    return frozenset(digest for digest in named if digest is not None)


def _check_format(document: Mapping[str, Any], expected: str, where: str) -> None:
    if document.get("format") != expected:
        raise Invalid(f"its format is not {expected}", where=where)
