"""Jobs as they cross the wire."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from quanopy.domain.calibration import CalibrationLabel
from quanopy.domain.imports import ImportStep
from quanopy.domain.jobs import JobKind, OnFailure
from quanopy.domain.states import ExecutionState, JobState, TaskState
from quanopy.domain.waits import Awaited
from quanopy.wire.fields import WHOLE, Answer, Duration, Line, Natural, Precision, Shots, Strict
from quanopy.wire.matching import RequirementsIn

MAX_NAME = 200


def _tag(text: str) -> str:
    if not text or "," in text or any(character.isspace() for character in text):
        raise ValueError("a tag has one character or more, and no blanks or commas")
    return text


Tag = Annotated[
    Line,
    Field(max_length=100, json_schema_extra={"minLength": 1, "pattern": r"^[^\s,]+$"}),
    AfterValidator(_tag),
]


class ProgramIn(Strict):
    """A program: its format, and either ``text`` or base64 ``data``."""

    format: str = Field(max_length=40, examples=["openqasm3", "openqasm2", "qpy", "qrmi-payload"])
    text: str | None = None
    data: str | None = Field(default=None, description="Base64 of the bytes.")


class PubIn(Strict):
    """A primitive unified block; see the user guide for shapes and broadcasting."""

    program: Natural = 0
    circuit: Natural = 0
    parameters: Any = Field(
        default=None,
        description="Nested lists of shape (..., num_parameters), a mapping of parameter name to "
        'nested lists, or {"npy": base64}.',
    )
    observables: Any = Field(
        default=None,
        description="A Pauli label, a mapping of labels to real coefficients, or nested lists.",
        examples=["ZZ", {"ZZ": 0.5, "XI": -1.0}],
    )
    shots: Shots | None = None
    precision: Precision | None = None


class OptionsIn(Strict):
    """How to compile and run; what is left out is the resource's default."""

    shots: Shots | None = None
    precision: Precision | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63), WHOLE] | None = None
    compile: bool = True
    optimization_level: Annotated[int, Field(ge=0, le=3), WHOLE] | None = None
    seed_transpiler: Annotated[int, Field(ge=0, lt=2**32), WHOLE] | None = None
    memory: bool = False
    max_calibration_age: Duration | None = Field(
        default=None,
        description="Run only while the resource's calibration is younger, and wait for one that "
        "is: seconds, or `90s`, `15m`, `2h`, `7d`.",
    )
    max_calibration_wait: Duration | None = Field(
        default=None, description="How long to wait for one; `null`: until cancelled."
    )
    noise: Line | None = Field(
        default=None,
        max_length=100,
        description="Digest of a snapshot whose noise is emulated, where the resource can.",
    )
    same_calibration_as: Line | None = Field(
        default=None,
        max_length=100,
        description="Id of a job: run only under the calibration that it ran under.",
    )


class JobIn(Strict):
    """A job to submit."""

    kind: JobKind = JobKind.SAMPLE
    resource: Line | None = Field(default=None, min_length=1, max_length=100, examples=["aer"])
    requires: RequirementsIn | None = Field(
        default=None, description="What its resource must be, where it names none."
    )
    programs: list[ProgramIn] = Field(min_length=1, max_length=100_000)
    pubs: list[PubIn] | None = Field(default=None, min_length=1, max_length=1_000_000)
    options: OptionsIn = OptionsIn()
    name: Line | None = Field(default=None, max_length=MAX_NAME)
    tags: list[Tag] = Field(default_factory=list, max_length=50)
    priority: Annotated[int, Field(ge=-100, le=100), WHOLE] = 0
    after: list[Line] = Field(
        default_factory=list, max_length=100, description="Ids of jobs that have to end before it."
    )
    on_failure: OnFailure = Field(
        default=OnFailure.SKIP,
        description="If one of those does not complete: `skip` it (cancelled), `fail`, or `run`.",
    )


class JobsIn(Strict):
    """Many jobs in one request: all are accepted, or none."""

    jobs: list[JobIn] = Field(min_length=1, max_length=100_000)


class ProblemOut(Answer):
    """Why a job or task failed."""

    type: str
    message: str
    hint: str | None = None


class JobOut(Answer):
    """A job."""

    id: str
    kind: JobKind
    resource: str
    state: JobState
    account: str
    name: str | None = None
    tags: list[str] = []
    priority: int = 0
    pubs: int | None = None
    shots: int | None = None
    tasks: int = 1
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    problem: ProblemOut | None = None
    cancel_requested: bool = False
    held: bool = False
    group: str | None = Field(default=None, description="Id of the group that it belongs to.")
    position: int | None = Field(default=None, description="Its place in that group, from 0.")
    blocked: bool = Field(default=False, description="It waits for its group, or for other jobs.")


class JobsOut(Answer):
    """Several jobs, in the order asked for or submitted."""

    jobs: list[JobOut]


class JobPage(Answer):
    """A page of a listing, newest first; ``next`` is the cursor of the page after it."""

    jobs: list[JobOut]
    next: str | None = None


class BindingOut(Answer):
    """What an execution ran under: snapshots, each by its digest."""

    label: CalibrationLabel = CalibrationLabel.UNKNOWN
    snapshot: str | None = Field(
        default=None, description="The one it ran under, as surely as the label says."
    )
    submitted: str | None = Field(default=None, description="Seen last at submission.")
    started: str | None = Field(default=None, description="Seen just before it was sent, or begun.")
    ended: str | None = Field(default=None, description="Seen once its result was there.")
    named: str | None = Field(
        default=None, description="The vendor's own name of it, given with the result."
    )
    warning: str | None = Field(
        default=None, description="Says so where these are not the same calibration."
    )


class ExecutionOut(Answer):
    """One request to a provider that carried a task."""

    id: str
    provider: str
    state: ExecutionState
    provider_job_id: str | None = None
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    usage: dict[str, float] = {}
    problem: ProblemOut | None = None
    resource: str
    target: str | None = Field(
        default=None, description="Digest of the target that its programs were compiled for."
    )
    fingerprint: str | None = Field(
        default=None, description="Of the account at the vendor; `null` for local emulators."
    )
    adopted: bool = Field(default=False, description="Taken over: it was not made here.")
    calibration: BindingOut = BindingOut()


class TaskOut(Answer):
    """A part of a job."""

    id: str
    state: TaskState
    first_pub: int
    pubs: int
    shots: int | None = Field(
        default=None,
        description="Shots of each of its pubs, where those were split over parts; `null`: all.",
    )
    attempt: int
    execution_id: str | None = None
    result_at: str | None = Field(
        default=None, description="Where its result lies in the object store: key#offset+length."
    )
    problem: ProblemOut | None = None
    ready_at: datetime | None = Field(
        default=None,
        description="From when on it may run; `null`: it waits for a younger calibration, or for "
        "someone to release it.",
    )
    started_at: datetime | None = None
    ended_at: datetime | None = None


class WaitOut(Answer):
    """Something that queued parts of a job wait for; the first is the first to come."""

    awaited: Awaited
    message: str
    until: datetime | None = Field(
        default=None, description="When it is over, or the job fails of it."
    )
    max_age_s: float | None = Field(
        default=None, description="How old the calibration may be that it asks for."
    )
    age_s: float | None = Field(default=None, description="How old the one seen last is.")
    queued: int | None = Field(
        default=None, description="Tasks that wait for the resource, of all accounts."
    )
    active: int | None = Field(default=None, description="Tasks that the resource works on.")


class ImportedOut(Answer):
    """Where a job that was imported comes from: it did not run here, a receipt tells of it."""

    receipt: str = Field(description="The receipt's own digest.")
    broker: str = Field(description="Who made it, as it says.")
    account: str = Field(description="Whose job it was there.")
    exported_at: datetime
    imported_at: datetime
    by: str = Field(description="The account that imported it.")


class JobDetail(JobOut):
    """A job with its parts."""

    imported: ImportedOut | None = Field(
        default=None, description="Set where it did not run here, but was imported."
    )

    waits: list[WaitOut] = Field(
        default=[], description="What keeps its queued parts from running; empty: none is queued."
    )

    parts: list[TaskOut] = []
    executions: list[ExecutionOut] = []
    submitted_at_key: str = Field(default="", description="Its pack in the object store.")


class DetailsOut(Answer):
    """Several jobs with their parts, in the order asked for."""

    jobs: list[JobDetail]


class ProgramOut(Answer):
    """A program as it was submitted, and the circuits as they were read from it (QPY, base64)."""

    format: str
    digest: str
    text: str | None = None
    data: str | None = None
    qpy: str | None = None


class SubmittedOut(Answer):
    """What was submitted: programs, and pubs as they were understood."""

    job_id: str
    programs: list[ProgramOut]
    pubs: list[PubIn] | None = None
    options: OptionsIn
    after: list[str] = Field(default_factory=list, description="Ids of jobs that it comes after.")
    on_failure: OnFailure = Field(
        default=OnFailure.SKIP, description="What is done with it if one of those fails."
    )


class SubmissionsOut(Answer):
    """What was submitted of several jobs, in the order asked for: of as many of the first as are
    told of together."""

    jobs: list[SubmittedOut]


class CompiledOut(Answer):
    """A program as a part of the job ran it."""

    program: int = Field(description="Its index in the job.")
    part: int = Field(description="Natural of the part of the job that ran it so.")
    execution_id: str
    qpy: str | None = Field(default=None, description="Its circuits, base64; layouts are kept.")
    native: str | None = Field(default=None, description="The format of one that is no circuits.")
    data: str | None = Field(default=None, description="A native program, base64.")
    changed: bool = Field(description="Whether it was compiled; else it ran as it was read.")
    compiler: str | None = Field(default=None, description="Of one that was compiled.")
    level: int | None = Field(default=None, description="Optimisation level it was compiled at.")
    seed: int | None = Field(default=None, description="The compiler's `seed_transpiler`.")
    target: str | None = Field(default=None, description="Digest of what it was compiled for.")


class CompiledJobOut(Answer):
    """What really ran: programs as the parts of a job ran them, by part and program."""

    job_id: str
    programs: list[CompiledOut]
    options: OptionsIn


class JobIdsIn(Strict):
    """Jobs, by their ids."""

    ids: list[str] = Field(min_length=1, max_length=10_000)


class ResultsIn(Strict):
    """Jobs whose results are wanted together."""

    ids: list[str] = Field(min_length=1, max_length=10_000)
    partial: bool = False


class ResultOut(Answer):
    """A job's result: one entry a pub, in order; ``null`` where it is missing (``partial``).

    A ``sample`` or ``run`` pub: ``{"shape", "shots", "registers": [{"name", "bits"}], "counts":
    [{"0x…": n}, …], "memory"?: [["0x…", …], …]}`` with one entry of ``counts`` a parameter set,
    in C order; the hexadecimal number holds all registers, the first in the lowest bits.
    An ``estimate`` pub: ``{"shape", "evs": […], "stds": […], "precision"}``, flat in C order.
    """

    job_id: str
    kind: JobKind
    resource: str
    state: JobState
    pubs: list[dict[str, Any] | None]
    missing: list[int] = []
    problem: ProblemOut | None = None


class ResultsOut(Answer):
    """Results in the order asked for; ``null`` where a job has none (yet)."""

    results: list[ResultOut | None]


class ImportingOut(Answer):
    """How far an import is."""

    step: ImportStep
    done: int = Field(description="Jobs; of `read`: circuits.")
    of: int


class LeftOutOut(Answer):
    """A job of a receipt that was not imported."""

    id: str
    reason: str


class ReceiptOut(Answer):
    """What became of a receipt's jobs."""

    receipt: str = Field(description="Its own digest.")
    broker: str = Field(description="Who made it, as it says.")
    exported_at: datetime
    new: list[str] = Field(description="Ids of jobs that were imported.")
    known: list[str] = Field(description="Ids of jobs that were there already, the same.")
    left_out: list[LeftOutOut] = []
