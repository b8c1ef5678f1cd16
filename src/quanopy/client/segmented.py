"""The segments of an experiment as the broker has them: what each job ran under, and gave."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from quanopy.client.calibrations import Calibration
from quanopy.client.http import Http
from quanopy.client.segmenting import merged, segment
from quanopy.client.segments import Segments
from quanopy.codecs.merging import Merge
from quanopy.wire.jobs import JobDetail, ResultsIn, ResultsOut

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


def _answers(http: Http, ids: Sequence[str]) -> "Iterator[Merge | str | None]":
    for start in range(0, len(ids), _AT_ONCE):
        body = ResultsIn(ids=list(ids[start : start + _AT_ONCE]), partial=True)
        for answer in http.post(ResultsOut, "/results", body).results:
            yield None if answer is None else merged(answer)
