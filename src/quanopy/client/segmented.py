"""The segments of an experiment as the broker has them: what each job ran under, and gave."""

from collections.abc import Iterator, Sequence

from pydantic import ValidationError

from quanopy.client import bulk
from quanopy.client.calibrations import Calibration
from quanopy.client.http import Http
from quanopy.client.needs import need_numpy
from quanopy.client.segmenting import merged, segment
from quanopy.client.segments import Segments
from quanopy.codecs.count_text import parsed
from quanopy.codecs.merging import Merge
from quanopy.domain.errors import QuanopyError
from quanopy.wire.jobs import JobDetail, ResultsIn, ResultsOut

_RESULTS, _SHOTS = 1_000, 500_000
"""Jobs in one request for results, and shots of all of them: about 7 MB, which are put into arrays
before the next are asked for."""


def segments_of(http: Http, ids: Sequence[str], *, named: str | None = None) -> Segments:
    """Jobs as segments, in this order; each is what is there now, and waits for nothing."""
    need_numpy("segments")
    details = bulk.details(http, ids)
    answers = (answer for some in _chunks(details) for answer in _answers(http, some))
    found = [
        segment(index, detail, answer)
        for index, (detail, answer) in enumerate(zip(details, answers, strict=True))
    ]
    return Segments(found, calibration=lambda digest: Calibration(http, digest), named=named)


def _chunks(jobs: Sequence[JobDetail]) -> Iterator[list[str]]:
    ids: list[str] = []
    shots = 0
    for job in jobs:
        if ids and (len(ids) == _RESULTS or shots + (job.shots or 1) > _SHOTS):
            yield ids
            ids, shots = [], 0
        ids.append(job.id)
        shots += job.shots or 1
    if ids:
        yield ids


def _answers(http: Http, ids: list[str]) -> "Iterator[Merge | str | None]":
    document = parsed(http.request("POST", "/results", body=ResultsIn(ids=ids, partial=True)))
    try:
        answers = ResultsOut.model_validate(document).results
    except ValidationError as error:
        raise QuanopyError("the broker's results are of no form that is known") from error
    yield from (None if answer is None else merged(answer) for answer in answers)
