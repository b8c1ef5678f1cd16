"""The archive's records: what a pack says of jobs and executions, as JSON lines.

A ``pending`` pack holds ``programs/DIGEST``, ``circuits/DIGEST.qpy`` and ``jobs.jsonl`` with one
:class:`JobRecord` a line; a ``completed`` pack ``results.jsonl`` and ``endings.jsonl`` with one
:class:`EndRecord` a line; a remote execution about to be sent leaves ``executions.jsonl`` in a
``pending`` pack, what users ask of jobs later ``requests.jsonl``, and what becomes of groups
``groups.jsonl``; of groups that were imported ``told-groups.jsonl``. A ``calibrations`` pack holds
a snapshot: ``raw.json``, ``metrics.json`` and ``calibration.json``, a :class:`CalibrationRecord`.
Together they restore the catalogue.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from quanopy.codecs.packs import Span
from quanopy.domain.errors import Invalid
from quanopy.domain.groups import GroupPolicy
from quanopy.domain.imports import Imported
from quanopy.domain.jobs import JobKind, OnFailure, Options, Problem, Pub, Slice
from quanopy.domain.programs import Footprint
from quanopy.domain.requirements import Requirements
from quanopy.domain.states import ExecutionState, TaskState

JOBS = "jobs.jsonl"
RESULTS = "results.jsonl"
ENDINGS = "endings.jsonl"
EXECUTIONS = "executions.jsonl"
REQUESTS = "requests.jsonl"
GROUPS = "groups.jsonl"
EVENTS = "events.jsonl"
TOLD_GROUPS = "told-groups.jsonl"
CALIBRATION = "calibration.json"

Format = Annotated[str, Field(pattern=r"^quanopy\.[a-z]+/1$")]


class Record(BaseModel):
    """A line: unknown fields of later versions are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    def line(self) -> bytes:
        """The record as one line of JSON, with its newline."""
        return self.model_dump_json(exclude_none=True).encode() + b"\n"


class ProgramRecord(Record):
    """A program in the same pack, and the circuits read from it if it has been read."""

    format: str
    digest: str
    data: Span
    circuits: Span | None = None
    footprint: Footprint | None = None


class TaskRecord(Record):
    """A task as it was split off at submission."""

    id: str
    slice: Slice
    estimate_s: float = 0.0
    solo: bool = False


class RanRecord(Record):
    """What a task ran of one of its job's programs, where that is not what was read from it."""

    program: int
    data: Span
    """Its QPY."""
    key: str | None = None
    """The object that it lies in; none: this pack."""
    level: int | None = None
    """The optimisation level it was compiled at; none: it was read, but not compiled."""
    seed: int | None = None
    """What the compiler's random numbers began with."""
    read: Span | None = None
    """As it was read, late: before it was compiled, for no other record has that. In this pack."""


class ToldRecord(Record):
    """What a receipt tells of a job that another broker saw."""

    imported: Imported
    entry: dict[str, Any]
    """Its ``job.json``: :class:`~quanopy.codecs.receipt_records.JobEntry`."""
    results: dict[str, Span] = {}
    """By task, its array in ``results.jsonl`` in the same pack."""
    ran: dict[str, tuple[RanRecord, ...]] = {}
    """By task, what did not run as it was read."""
    events: Span | None = None
    """Its history: lines of ``events.jsonl`` in the same pack."""


class JobRecord(Record):
    """A job as it was submitted, and as it was understood."""

    format: Format = "quanopy.job/1"
    id: str
    account: str
    kind: JobKind
    resource: str
    created_at: datetime
    options: Options
    programs: tuple[ProgramRecord, ...]
    pubs: tuple[Pub, ...] | None = None
    """Normalised, or as given (or ``None``) where the programs have not been read yet."""
    read: bool = True
    evaluations: tuple[int, ...] = ()
    """Bound circuits of each pub; empty where the programs have not been read yet."""
    shots: int | None = None
    """What the job's row shows as its shots."""
    name: str | None = None
    tags: tuple[str, ...] = ()
    priority: int = 0
    idempotency_key: str | None = None
    request_digest: str = ""
    requires: Requirements | None = None
    """What it asked of a resource, where it named none: ``resource`` was chosen."""
    chosen: dict[str, Any] | None = None
    """Why that."""
    tasks: tuple[TaskRecord, ...] = ()
    group: str | None = None
    """Id of the group that it was put into, at its end; the next record is the next job."""
    after: tuple[str, ...] | None = None
    """Ids of the jobs that it comes after."""
    on_failure: OnFailure | None = None
    """What becomes of it if one of those does not complete."""
    told: ToldRecord | None = None
    """Set where it did not run here, but was imported."""


class TaskEndRecord(Record):
    """How a task ended; its result is a span of ``results.jsonl`` in the same pack."""

    id: str
    job_id: str
    slice: Slice
    state: TaskState
    result: Span | None = None
    problem: Problem | None = None
    started_at: datetime | None = None
    ran: tuple[RanRecord, ...] | None = None


class EndRecord(Record):
    """How an execution, or a task that never had one (``execution_id`` none), ended."""

    format: Format = "quanopy.end/1"
    ended_at: datetime
    tasks: tuple[TaskEndRecord, ...]
    execution_id: str | None = None
    resource: str | None = None
    provider: str | None = None
    account: str | None = None
    state: ExecutionState | None = None
    provider_job_id: str | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    usage: dict[str, float] = {}
    problem: Problem | None = None
    target: str | None = None
    fingerprint: str | None = None
    adopted: bool | None = None
    snapshots: dict[str, Any] = {}
    """What it ran under: a :class:`~quanopy.domain.calibration.Binding`, unless all of it is
    unknown."""


class SeenRecord(Record):
    """A snapshot that was there before another."""

    pack: str
    """In which it is kept."""
    seen_until: datetime
    """When it was seen last."""


class CalibrationRecord(Record):
    """A snapshot, seen at a resource for the first time, or again after another."""

    format: Format = "quanopy.calibration/1"
    resource: str
    digest: str
    """Of ``raw.json``."""
    raw_format: str
    fetched_at: datetime
    calibrated_at: datetime | None = None
    vendor_id: str | None = None
    metrics: int
    raw: Span
    normal: Span
    before: SeenRecord | None = None
    owner: str | None = None
    """Who had registered the resource then."""
    told: bool | None = None
    """A receipt tells of it: it was not seen here."""


class PartRecord(Record):
    """A task that an execution carries; a retried one is in no job's record."""

    id: str
    job_id: str
    slice: Slice
    estimate_s: float = 0.0
    ran: tuple[RanRecord, ...] | None = None


class ExecutionRecord(Record):
    """A remote execution that is about to be sent, or that was adopted."""

    format: Format = "quanopy.execution/1"
    id: str
    account: str
    resource: str
    provider: str
    created_at: datetime
    tasks: tuple[PartRecord, ...]
    """In the order of the execution's slots."""
    snapshots: dict[str, Any] = {}
    """Seen at submission and start."""
    target: str | None = None
    fingerprint: str | None = None
    provider_job_id: str | None = None
    """Known beforehand of one that was adopted."""
    adopted: bool | None = None


class TaskRanRecord(Record):
    """What an :class:`EndRecord` and an :class:`ExecutionRecord` both say of a task."""

    id: str
    ran: tuple[RanRecord, ...] | None = None


class ExecutionRanRecord(Record):
    """Either record, as far as it says what an execution ran."""

    tasks: tuple[TaskRanRecord, ...]


class Asked(StrEnum):
    """What a user asked of a task."""

    CANCEL = "cancel"
    """That it end: whatever it brings, it is cancelled."""
    RETRY = "retry"
    """That it run in the place of the failed or cancelled task of its slice."""


class RequestRecord(Record):
    """What a user asked of a task; one of a retry is in no job's record."""

    format: Format = "quanopy.request/1"
    asked: Asked
    id: str
    job_id: str
    slice: Slice
    at: datetime
    """The latest that was known then: when it ended, was begun, or was queued."""


class GroupFate(StrEnum):
    """What became of a group for good."""

    CANCELLED = "cancelled"
    REMOVED = "removed"
    """It is forgotten; its jobs are on their own."""


class GroupRecord(Record):
    """A group as it was made, revised, cancelled or removed: the latest says how it stands."""

    format: Format = "quanopy.group/1"
    id: str
    account: str
    name: str
    policy: GroupPolicy
    resource: str | None = None
    created_at: datetime
    at: datetime
    """When that was: later each time, whatever the clock said."""
    fate: GroupFate | None = None


class ToldGroupRecord(Record):
    """A group that was imported, whenever its jobs were."""

    format: Format = "quanopy.told/1"
    id: str
    account: str
    imported: Imported
    entry: dict[str, Any]
    """Its ``group.json``: :class:`~quanopy.codecs.receipt_records.GroupEntry`."""
    positions: dict[str, int]
    """Of the jobs that were imported, by id."""
    events: Span
    """Its own history: lines of ``group-events.jsonl`` in the same pack."""


_REQUIREMENTS = TypeAdapter(Requirements)


def requirements_of(document: Mapping[str, Any]) -> Requirements:
    """Requirements from the JSON of a record; raises :class:`Invalid` for anything else."""
    try:
        return _REQUIREMENTS.validate_python(dict(document))
    except ValidationError as error:
        raise Invalid(f"no requirements: {error.errors()[0]['msg']}", where="requires") from None
