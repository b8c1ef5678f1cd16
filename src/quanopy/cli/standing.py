"""What is to be said of a job beside its state: what it waits for, and how its runs stand."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from quanopy.client import Client
    from quanopy.wire.groups import GroupOut
    from quanopy.wire.jobs import BindingOut, ExecutionOut, JobDetail, WaitOut

SHORT = 19
"""Characters of a digest that are shown: enough to tell it from others."""


def details(client: "Client", ids: Sequence[str]) -> "list[JobDetail]":
    """All that is to be known of these, in one request, and one more for each that has something
    to wait for, or was tried again."""
    if len(ids) == 1:
        return [client.job(ids[0]).detail()]
    return [client.job(one.id).detail() if _has_more(one) else one for one in client.details(ids)]


def _has_more(job: "JobDetail") -> bool:
    from quanopy.domain.states import TaskState

    return any(part.state is TaskState.QUEUED or part.attempt > 1 for part in job.parts)


def notes(job: "JobDetail", group: "GroupOut | None" = None) -> Iterator[str]:
    """Sentences about a job, without its name; ``group`` is the one that it belongs to."""
    if group is not None and job.position is not None:
        from quanopy.client.standstill import beginning

        then = None if job.ended_at else beginning(group)
        yield (
            f"is {job.position + 1} of {group.size} in group {group.name}, which is {group.state}"
            + (f": `{then}`" if then else "")
        )
    for wait in job.waits:
        yield from _waits(job, wait)
    for execution in job.executions:
        yield from _ran(job, execution)


def recalibrated(bound: "BindingOut") -> str:
    """How its calibration changed under an execution, and what it is taken to have run under."""
    seen = ", ".join(
        f"{'none' if digest is None else digest[:SHORT]} at {when}"
        for digest, when in (
            (bound.submitted, "submission"),
            (bound.started, "start"),
            (bound.ended, "end"),
        )
    )
    return f"{bound.warning} ({seen}); its label is {bound.label}"


def _waits(job: "JobDetail", wait: "WaitOut") -> Iterator[str]:
    from quanopy.domain.waits import Awaited

    if wait.awaited is Awaited.RELEASE:
        yield f"is held: {wait.message}: `quanopy retry {job.id}`"
    elif wait.awaited in (Awaited.TURN, Awaited.GROUP, Awaited.JOBS):
        until = f"; the next begins at {_time(wait.until)}" if wait.until else ""
        yield f"waits for {wait.message}{until}"
    elif wait.awaited is Awaited.CALIBRATION:
        fails = f"; it fails at {_time(wait.until)}" if wait.until else ""
        yield f"waits for {wait.message}{fails}"
    else:
        yield f"waits: {wait.message}" + (f", at {_time(wait.until)}" if wait.until else "")


def _ran(job: "JobDetail", execution: "ExecutionOut") -> Iterator[str]:
    from quanopy.domain.states import ExecutionState

    if execution.state is ExecutionState.STRANDED:
        yield (
            f"is stranded: {execution.provider} may have run it, and nobody can tell; an operator "
            "settles it with `quanopy stranded`"
        )
    if execution.calibration.warning:
        yield f"on {execution.resource}: {recalibrated(execution.calibration)}"


def _time(at: "datetime | None") -> str:
    return "" if at is None else f"{at.astimezone():%Y-%m-%d %H:%M:%S}"
