"""Executions: how they begin, go on and end under a claim."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from quanopy.domain.jobs import Execution, Extent, Job, Problem, Task
from quanopy.domain.states import ExecutionState, TaskState


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEnd:
    """How a task ended (or ``queued``: it is to be tried again, from ``ready_at`` on)."""

    task_id: str
    state: TaskState
    result: Extent | None = None
    problem: Problem | None = None
    ready_at: datetime | None = None
    awaits_s: float | None = None
    """Set where it is to wait for a calibration younger than this: until ``ready_at``, or until
    one comes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """An execution that ended, with its tasks. Its pack lies under ``completed/`` already."""

    execution: Execution
    tasks: Sequence[TaskEnd]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """What an end changed."""

    taken: frozenset[str]
    """Tasks whose end was taken: one whose claim is lost, or that ended otherwise, is not."""
    jobs: Sequence[Job] = ()
    tasks: Sequence[Task] = ()
    """Of the jobs that were asked for, as they are now; tasks by job and slice."""
    turns: bool = False
    """Something of a group, or what comes after a job, may begin now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionChange:
    """A step of a remote execution that has not ended."""

    execution_id: str
    state: ExecutionState | None = None
    """``None``: it stays as it is."""
    provider_job_id: str | None = None
    fingerprint: str | None = None
    """The account at the vendor that knows it, where that was not known before; empty: not known
    any more."""
    due_in_s: float | None = None
    """Look again after this long."""
    searched: bool = False
    problem: Problem | None = None
    detail: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """Remote executions of one provider, under a claim of their own, with their tasks."""

    claim_id: str
    provider: str
    executions: Sequence[Execution]
    tasks: Mapping[str, Sequence[Task]]
    """Tasks by execution id, in the order of the execution's slots."""
    ages_s: Mapping[str, float]
    """How long ago each was begun, or was made at the vendor, by the clock that all workers
    share: the database's, where it has one. No worker's own says that, for another wrote it."""


class ExecutionStore(Protocol):
    """Executions in the catalogue, for those who work on them and those who look after them."""

    def begin(self, claim_id: str, executions: Sequence[Execution], *, ttl_s: float) -> None:
        """Write remote executions as ``submitting``, with their tasks ``executing``; the claim
        goes on to hold the executions, which are created now, whatever they say of it.
        ``Conflict`` when the claim is lost."""

    def due(self, worker: str, providers: Sequence[str], *, limit: int, ttl_s: float) -> list[Due]:
        """Claim remote executions that want a look now (due, or abandoned, or to be stopped),
        at most ``limit`` of them. A ``stranded`` one is due if it has a ``due_at`` that has come
        (a rebuild gives it one): it is to be searched for, found or left to an operator."""

    def advance(self, claim_id: str, changes: Sequence[ExecutionChange]) -> None:
        """Move remote executions on; those whose claim is lost are left alone. One given a
        ``due_in_s`` is put down: no claim holds it from then on, and any worker may find it due."""

    def finish(
        self, claim_id: str, endings: Sequence[Ending], *, show: Collection[str] = ()
    ) -> Finished:
        """End executions and their tasks, under the claim, and ``show`` some jobs as they are
        then. A cancelled task ends ``cancelled`` whatever its result. Releases the claim once
        nothing is left under it."""

    def open_executions(self, state: ExecutionState, *, limit: int) -> list[Execution]:
        """Executions in this state, which must not be final; the oldest first."""

    def hold_stranded(
        self, execution_id: str, *, actor: str, ttl_s: float, found: str | None = None
    ) -> Due:
        """Claim a stranded execution for an operator, who then ends or advances it as a worker
        would: events name the ``actor``. ``found``: the provider's id that it is to have.

        Raises ``NotFound``, ``InvalidTransition`` where it is not stranded, ``Conflict`` while
        somebody else has it, or where another execution has that id.
        """

    def jobs_of(self, execution_ids: Collection[str]) -> Mapping[str, Sequence[str]]:
        """The jobs whose tasks these executions carry, by execution id."""

    def unanswered(self, provider: str) -> list[Execution]:
        """Executions of a provider that it may have accepted under an id that nobody knows:
        ``submitting`` or ``stranded``, and without one."""
