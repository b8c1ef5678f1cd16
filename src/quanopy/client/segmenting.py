"""One job as a segment of a long experiment, whoever tells of it: a broker, or a receipt."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from quanopy.client.epochs import Segment
from quanopy.client.numbers import least_sure
from quanopy.codecs.merging import Merge
from quanopy.domain.calibration import Binding, CalibrationLabel
from quanopy.domain.errors import Invalid, NotReady
from quanopy.domain.states import ExecutionState, JobState

if TYPE_CHECKING:
    from quanopy.client.results import Answer
    from quanopy.codecs.receipt_records import JobEntry
    from quanopy.wire.jobs import BindingOut, JobDetail

Job: TypeAlias = "JobDetail | JobEntry"


def segment(index: int, job: Job, answer: Merge | str | None) -> Segment:
    """One job as a segment; ``answer`` is its result, or why that is none."""
    ran = [one for one in job.executions if one.state is ExecutionState.COMPLETED]
    last = (ran or job.executions)[-1:]
    result = answer if isinstance(answer, Merge) else None
    told = job.problem.message if job.problem else None
    return Segment(
        index=index,
        job_id=job.id,
        state=job.state,
        resource=last[0].resource if last else job.resource,
        platform=last[0].provider if last else None,
        shots=job.shots,
        started_at=min((at for one in ran if (at := one.started_at)), default=job.started_at),
        ended_at=max((at for one in ran if (at := one.ended_at)), default=job.ended_at),
        problem=answer if isinstance(answer, str) else told,
        result=result,
        **_bound([one.calibration for one in ran]),
    )


def merged(answer: "Answer") -> Merge | str | None:
    """A job's result, ready to be merged; why it cannot be, or ``None`` where some of it lacks."""
    if answer.state is not JobState.COMPLETED or answer.missing:
        return None
    try:
        return Merge.of([answer.pubs])
    except (Invalid, NotReady) as error:
        return f"{error.where}: {error.message}"


def _bound(ran: "Sequence[BindingOut | Binding]") -> dict[str, Any]:
    """What all executions of a job ran under, as one: under several is across a change."""
    if not ran:
        return {}
    first, last = ran[0], ran[-1]
    label = least_sure(one.label for one in ran)
    bound = {
        "label": label,
        "snapshot": last.snapshot,
        "submitted": first.submitted,
        "started": first.started,
        "ended": last.ended,
    }
    if label is CalibrationLabel.UNKNOWN:
        return bound | {"snapshot": None}
    if len({one.snapshot for one in ran}) == 1:
        return bound
    several = {"started": first.snapshot, "ended": last.snapshot}
    return bound | several | {"label": CalibrationLabel.CLOSEST}
