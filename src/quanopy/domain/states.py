"""The states of tasks, executions, jobs and resources, and the one table of legal transitions."""

from collections.abc import Iterable, Mapping
from enum import StrEnum

from quanopy.domain.errors import InvalidTransition


class TaskState(StrEnum):
    """Where a task is; ``completed``, ``failed`` and ``cancelled`` are final."""

    QUEUED = "queued"
    CLAIMED = "claimed"
    EXECUTING = "executing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class ExecutionState(StrEnum):
    """Where one request to a provider is; ``stranded`` waits for an operator or for a search."""

    SUBMITTING = "submitting"
    SUBMITTED = "submitted"
    RUNNING = "running"
    STRANDED = "stranded"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class WayOut(StrEnum):
    """What an operator says of an execution that is stranded."""

    FOUND = "found"
    """The provider has it: it is followed again."""
    RESEND = "resend"
    """The provider never had it: its tasks queue again."""
    GIVE_UP = "give-up"
    """It is lost, or nobody wants it any more: its tasks fail."""
    LOOK = "look"
    """Ask the provider once more."""


class JobState(StrEnum):
    """The roll-up of a job's tasks."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class ResourceState(StrEnum):
    """Whether a resource takes work: in ``maintenance`` what runs may finish."""

    ONLINE = "online"
    MAINTENANCE = "maintenance"
    OFFLINE = "offline"


TASK_TRANSITIONS: Mapping[TaskState, frozenset[TaskState]] = {
    TaskState.QUEUED: frozenset({TaskState.CLAIMED, TaskState.FAILED, TaskState.CANCELLED}),
    TaskState.CLAIMED: frozenset(
        {
            TaskState.EXECUTING,
            TaskState.QUEUED,
            TaskState.COMPLETED,
            TaskState.FAILED,
            TaskState.CANCELLED,
        }
    ),
    TaskState.EXECUTING: frozenset(
        {TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELLED, TaskState.QUEUED}
    ),
    TaskState.COMPLETED: frozenset(),
    TaskState.FAILED: frozenset(),
    TaskState.CANCELLED: frozenset(),
}

EXECUTION_TRANSITIONS: Mapping[ExecutionState, frozenset[ExecutionState]] = {
    ExecutionState.SUBMITTING: frozenset(
        {
            ExecutionState.SUBMITTED,
            ExecutionState.RUNNING,
            ExecutionState.COMPLETED,
            ExecutionState.FAILED,
            ExecutionState.STRANDED,
        }
    ),
    ExecutionState.SUBMITTED: frozenset(
        {
            ExecutionState.RUNNING,
            ExecutionState.COMPLETED,
            ExecutionState.FAILED,
            ExecutionState.CANCELLED,
            ExecutionState.STRANDED,
        }
    ),
    ExecutionState.RUNNING: frozenset(
        {
            ExecutionState.COMPLETED,
            ExecutionState.FAILED,
            ExecutionState.CANCELLED,
            ExecutionState.STRANDED,
        }
    ),
    ExecutionState.STRANDED: frozenset(
        {ExecutionState.SUBMITTED, ExecutionState.FAILED, ExecutionState.CANCELLED}
    ),
    ExecutionState.COMPLETED: frozenset(),
    ExecutionState.FAILED: frozenset(),
    ExecutionState.CANCELLED: frozenset(),
}

FINAL_TASK_STATES = frozenset(s for s, after in TASK_TRANSITIONS.items() if not after)
FINAL_EXECUTION_STATES = frozenset(s for s, after in EXECUTION_TRANSITIONS.items() if not after)
FINAL_JOB_STATES = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED})


def check_task_transition(subject: str, before: TaskState, after: TaskState) -> None:
    """Raise :class:`InvalidTransition` unless a task may go from ``before`` to ``after``."""
    if after not in TASK_TRANSITIONS[before]:
        raise InvalidTransition(f"{subject} cannot go from {before} to {after}")


def check_execution_transition(subject: str, before: ExecutionState, after: ExecutionState) -> None:
    """Raise :class:`InvalidTransition` unless an execution may go from ``before`` to ``after``."""
    if after not in EXECUTION_TRANSITIONS[before]:
        raise InvalidTransition(f"{subject} cannot go from {before} to {after}")


def roll_up(tasks: Iterable[TaskState]) -> JobState:
    """The state of a job whose tasks are in these states.

    Running while anything of it is claimed or executes, or while some of it is done and some
    still queued; once every task is final: failed if one failed, else cancelled if one was
    cancelled, else completed.
    """
    states = set(tasks)
    if states & {TaskState.CLAIMED, TaskState.EXECUTING}:
        return JobState.RUNNING
    if TaskState.QUEUED in states:
        return JobState.QUEUED if states == {TaskState.QUEUED} else JobState.RUNNING
    if TaskState.FAILED in states:
        return JobState.FAILED
    if TaskState.CANCELLED in states:
        return JobState.CANCELLED
    return JobState.COMPLETED
