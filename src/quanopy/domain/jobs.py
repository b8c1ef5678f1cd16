"""Jobs, the pubs in them, the tasks they are split into, and the executions that do the work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import chain
from typing import Any

from quanopy.domain.calibration import UNBOUND, Binding
from quanopy.domain.imports import Imported
from quanopy.domain.programs import Footprint, Program
from quanopy.domain.states import ExecutionState, JobState, TaskState

MOST_SHOTS = 2**31 - 1
LEAST_PRECISION = 1e-9
MOST_PRECISION = 1e3
_MOST_COUNTED = 2**31 - 1
"""Far more than can be read of anything that is counted."""


class JobKind(StrEnum):
    """What a job asks for."""

    SAMPLE = "sample"
    """Counts of measured bitstrings (Qiskit's sampler)."""
    ESTIMATE = "estimate"
    """Expectation values of observables (Qiskit's estimator)."""
    RUN = "run"
    """The programs as they stand, whatever their format means on the resource."""


class OnFailure(StrEnum):
    """What becomes of a job when one that it comes after does not complete."""

    SKIP = "skip"
    """It is cancelled."""
    FAIL = "fail"
    """It fails."""
    RUN = "run"
    """It runs all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pub:
    """A primitive unified block: one circuit, and what to bind to it and ask of it.

    ``program`` and ``circuit`` are indices: into the job's programs, and into the circuits of
    that program. ``parameters`` has shape ``(..., circuit.num_parameters)``, in the order of
    ``circuit.parameters``; ``observables`` is a nested list of ``{pauli: coefficient}``.
    Both are kept in their JSON form (see :mod:`quanopy.codecs.arrays`) until a child process
    needs them. ``shots`` (1 to :data:`MOST_SHOTS`) is for ``sample`` and ``run``, ``precision``
    (a standard error, :data:`LEAST_PRECISION` to :data:`MOST_PRECISION`, or 0 for exact) for
    ``estimate``; ``None`` takes the job's.
    """

    program: int = 0
    circuit: int = 0
    parameters: Any = None
    observables: Any = None
    shots: int | None = None
    precision: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a job is compiled and run; ``None`` takes the resource's default."""

    shots: int | None = None
    precision: float | None = None
    seed: int | None = None
    """Makes counts repeatable, however the job is split or shared."""
    compile: bool = True
    """``False``: refuse, with a reason, what does not fit the target as it stands."""
    optimization_level: int | None = None
    """0 to 3. ``None``: what fits is left alone, the rest at the resource's default level."""
    seed_transpiler: int | None = None
    memory: bool = False
    """Keep each shot's outcome in order (``run`` and ``sample``), not only counts."""
    max_calibration_age_s: float | None = None
    """Run only while the resource's calibration is younger than this."""
    max_calibration_wait_s: float | None = None
    """How long to wait for one, from submission on, or from when its turn came where it had to
    wait for that; ``None``: until it is cancelled."""
    same_calibration_as: str | None = None
    """Id of a job: run only under the calibration that it ran under."""
    noise: str | None = None
    """Digest of a snapshot: an emulator takes the noise that it tells of (``sample``, ``run``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """What a user submits; never changes afterwards."""

    kind: JobKind
    resource: str
    """Empty while it is to be chosen."""
    programs: Sequence[Program]
    pubs: Sequence[Pub] | None = None
    """``None``: one pub for every circuit of every program."""
    options: Options = field(default_factory=Options)
    name: str | None = None
    tags: tuple[str, ...] = ()
    priority: int = 0
    after: tuple[str, ...] = ()
    """Ids of jobs that have to end before it."""
    on_failure: OnFailure = OnFailure.SKIP
    """What becomes of it if one of those does not complete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the reader made of a job: circuits emitted again as QPY of our own, normalised pubs.

    ``circuits`` and ``footprints`` have one entry a program, in order. ``evaluations`` has one
    entry a pub: how many bound circuits it stands for (its broadcast parameter sets).
    """

    kind: JobKind
    circuits: tuple[bytes, ...]
    footprints: tuple[Footprint, ...]
    pubs: tuple[Pub, ...]
    evaluations: tuple[int, ...]

    def __post_init__(self) -> None:
        programs = len(self.circuits)
        if len(self.footprints) != programs or len(self.evaluations) != len(self.pubs):
            raise ValueError("a reading leaves something out")
        for pub in self.pubs:
            if not 0 <= pub.program < programs:
                raise ValueError(f"a pub is of program {pub.program}, there are {programs}")
            if pub.shots is not None and not 1 <= pub.shots <= MOST_SHOTS:
                raise ValueError(f"a pub of {pub.shots} shots")
        counts = [
            (one.circuits, one.qubits, one.clbits, one.instructions) for one in self.footprints
        ]
        for count in (*self.evaluations, *chain.from_iterable(counts)):
            if not 0 <= count <= _MOST_COUNTED:
                raise ValueError(f"a reading counts {count}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """Where some bytes lie: an object's key, and the offset and length inside it."""

    key: str
    offset: int
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why something failed, as it is stored and shown: the error's class name and its message."""

    type: str
    message: str
    hint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """The part of a job that a task does: pubs ``[first, first + count)``, and of each pub's
    shots ``[shots_from, shots_from + shots)`` where a limit splits shots (``shots`` 0: all)."""

    first: int
    count: int
    shots_from: int = 0
    shots: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """The part of a job that one resource does, as it stands in the catalogue."""

    id: str
    job_id: str
    account: str
    resource: str
    state: TaskState
    slice: Slice
    priority: int
    estimate_s: float
    attempt: int
    """How many executions it has had; 0 before the first."""
    solo: bool
    """Never shares a provider call with other jobs' tasks (seeded, or on its own by option)."""
    spec: Extent
    """Where the job's record lies in its pending pack."""
    ready_at: datetime | None
    claim_id: str | None = None
    execution_id: str | None = None
    result: Extent | None = None
    problem: Problem | None = None
    cancel_requested: bool = False
    queued_at: datetime | None = None
    turn_at: datetime | None = None
    """When its turn came, where it had to wait for its group, for other jobs or to be released."""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    awaits_s: float | None = None
    """Set where it waits for a calibration younger than this; not read back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as it stands in the catalogue; what was submitted lies at ``spec``."""

    id: str
    account: str
    kind: JobKind
    resource: str
    state: JobState
    name: str | None
    tags: tuple[str, ...]
    priority: int
    pubs: int | None
    """Number of pubs; ``None`` until the programs have been read."""
    shots: int | None
    tasks: int
    spec: Extent
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    problem: Problem | None = None
    cancel_requested: bool = False
    held: bool = False
    """Restored from the archive, and not to run before someone releases it."""
    estimate_s: float = 0.0
    imported: Imported | None = None
    """Set where it did not run here: a receipt of another broker tells of it."""
    chosen: Mapping[str, Any] | None = None
    """Why it was given to its resource, where it named none; goes into its history, and is not
    read back."""
    group_id: str | None = None
    position: int | None = None
    """Its place in the group's order, from 0."""
    blocked: bool = False
    """It waits for its group, or for other jobs."""
    after: tuple[str, ...] = ()
    """Jobs that it comes after; not read back."""
    on_failure: OnFailure = OnFailure.SKIP
    """As :attr:`JobSpec.on_failure`; not read back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One request to a provider, carrying one or more tasks. Its id is the submit key."""

    id: str
    resource: str
    provider: str
    account: str
    """Who is billed; remote executions never mix accounts."""
    state: ExecutionState
    tasks: tuple[str, ...]
    created_at: datetime
    claim_id: str | None = None
    provider_job_id: str | None = None
    searches: int = 0
    """How often it was looked for at the provider after its outcome was lost."""
    due_at: datetime | None = None
    """When a worker should look at it next."""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    usage: Mapping[str, float] = field(default_factory=dict)
    """``seconds`` on the resource, ``shots``, and what else the provider bills."""
    problem: Problem | None = None
    stop_requested: bool = False
    calibration: Binding = UNBOUND
    target: str | None = None
    """Digest of the machine description that its programs were compiled for, or fitted."""
    fingerprint: str | None = None
    """Of the account at the vendor that it was sent under; ``None`` for emulators of our own."""
    record: Extent | None = None
    """Where the archive says what it ran; ``None``: from before that was kept."""
    adopted: bool = False
    """It was made at the vendor by somebody else, and taken over."""
