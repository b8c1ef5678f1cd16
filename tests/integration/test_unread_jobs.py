"""Jobs whose programs took too long to read at submission: the worker reads them, whole."""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path

import pytest

from quanopy.domain.errors import Invalid, QuanopyError
from quanopy.domain.jobs import Job, JobKind, JobSpec, Options, Pub, Reading
from quanopy.domain.programs import Program
from quanopy.domain.states import JobState
from quanopy.services.results import Wanted, load
from quanopy.services.submit import Answer, Request, Submit
from quanopy.testing.fake_local import FakeEmulator
from tests.integration.workplace import Workplace
from tests.unit.server.service import PlainReader


class TooLate(PlainReader):
    """Reads nothing by any deadline."""

    def read(
        self, specs: Sequence[JobSpec], *, deadline_s: float
    ) -> list[Reading | QuanopyError | None]:
        return [None for _ in specs]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Workplace]:
    with Workplace(f"sqlite:///{tmp_path / 'catalogue.db'}", tmp_path / "objects") as place:
        place.worker(FakeEmulator(), reader=PlainReader())
        yield place


def submit(place: Workplace, texts: Sequence[str], pubs: Sequence[Pub] | None) -> Job:
    """A job that the server accepts unread."""
    service = Submit(
        store=place.store, objects=place.objects, wakeups=place.wakeups, reader=TooLate()
    )
    answer: Future[Answer] = Future()
    spec = JobSpec(
        kind=JobKind.SAMPLE,
        resource="noop",
        programs=[Program(format="openqasm3", data=text.encode()) for text in texts],
        pubs=pubs,
        options=Options(shots=10),
    )
    service.submit(Request(account="ada", specs=[spec]), answer.set_result)
    service.close()
    found = answer.result(10)
    if isinstance(found, Exception):
        raise found
    return found.jobs[0]


@pytest.mark.parametrize("pubs", [None, [Pub(program=1), Pub(program=0), Pub(program=2, shots=7)]])
def test_every_pub_of_an_unread_job_is_in_its_result(
    place: Workplace, pubs: Sequence[Pub] | None
) -> None:
    job = submit(place, ["one", "two", "three"], pubs)
    assert job.pubs is None
    (job,) = place.wait([job.id])
    assert job.state is JobState.COMPLETED, job.problem
    tasks = place.store.tasks([job.id])
    result = json.loads(load(place.objects, [Wanted(job=job, tasks=tasks)])[0])
    assert [pub["shots"] for pub in result["pubs"]] == [10, 10, 10 if pubs is None else 7]
    assert result["missing"] == []


def test_an_unread_job_that_is_bad_fails_with_the_reason(place: Workplace) -> None:
    job = submit(place, ["one", "bad"], None)
    (job,) = place.wait([job.id])
    assert job.state is JobState.FAILED
    assert job.problem is not None
    assert job.problem.type == Invalid.__name__
    assert "foo" in job.problem.message
