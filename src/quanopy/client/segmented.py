"""The segments of an experiment as the broker has them: what each job ran under, and gave."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from quanopy.client.calibrations import Calibration
from quanopy.client.epochs import Segment
from quanopy.client.http import Http
from quanopy.client.numbers import least_sure
from quanopy.client.segments import Segments
from quanopy.codecs.merging import Merge
from quanopy.domain.calibration import CalibrationLabel
from quanopy.domain.errors import Invalid, NotReady
from quanopy.domain.states import ExecutionState
from quanopy.wire.jobs import BindingOut, JobDetail, ResultOut, ResultsIn, ResultsOut

_AT_ONCE = 50
"""Results in one request: they are put into arrays before the next are asked for."""
_ASKING = 8
"""Requests under way at once, at most."""


def segments_of(http: Http, ids: Sequence[str], *, named: str | None = None) -> Segments:
    """Jobs as segments, in this order; each is what is there now, and waits for nothing."""

    def look(id: str) -> JobDetail:
        return http.get(JobDetail, f"/jobs/{id}")

    with ThreadPoolExecutor(_ASKING) as asking:
        details = list(asking.map(look, ids))
    answers = _answers(http, [one.id for one in details])
    found = [
        segment(index, detail, answer)
        for index, (detail, answer) in enumerate(zip(details, answers, strict=True))
    ]
    return Segments(found, calibration=lambda digest: Calibration(http, digest), named=named)


def segment(index: int, job: JobDetail, answer: "Merge | str | None") -> Segment:
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


def _answers(http: Http, ids: Sequence[str]) -> "Iterator[Merge | str | None]":
    for start in range(0, len(ids), _AT_ONCE):
        body = ResultsIn(ids=list(ids[start : start + _AT_ONCE]), partial=True)
        for answer in http.post(ResultsOut, "/results", body).results:
            yield None if answer is None else _read(answer)


def _read(answer: ResultOut) -> "Merge | str | None":
    if answer.problem is not None or answer.missing:
        return None
    try:
        return Merge.of([answer.pubs])
    except (Invalid, NotReady) as error:
        return f"{error.where}: {error.message}"


def _bound(ran: Sequence[BindingOut]) -> dict[str, Any]:
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
