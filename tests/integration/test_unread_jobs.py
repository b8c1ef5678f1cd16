"""Jobs whose programs took too long to read at submission: the worker reads them, whole."""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path

import pytest

from quanopy import Client
from quanopy.domain.errors import Invalid, NotReady, QuanopyError
from quanopy.domain.jobs import Job, JobKind, JobSpec, Options, Pub, Reading
from quanopy.domain.programs import Program
from quanopy.domain.states import JobState
from quanopy.ports.programs import Compilation, Compiled
from quanopy.sandbox.reader import ProcessReader
from quanopy.services.ran import all_as_run, read_late
from quanopy.services.results import Wanted, load
from quanopy.services.submit import Answer, Request, Submit
from quanopy.testing.fake_local import FakeEmulator
from tests.integration.workplace import Workplace
from tests.unit.server.service import PlainReader

HEAD = 'OPENQASM 3.0;\ninclude "stdgates.inc";\n'
TWICE = HEAD + "qubit q;\nbit c;\nx q;\nx q;\nc = measure q;\n"
BELL = HEAD + "qubit[2] q;\nbit[2] c;\nh q[0];\ncx q[0], q[1];\nc = measure q;\n"


HURRY_S = 1e-3


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers are late for those who are in a hurry, whoever of the two is kept from their work."""
    read = ProcessReader.read

    def read_late(
        self: ProcessReader, specs: Sequence[JobSpec], *, deadline_s: float
    ) -> list[Reading | QuanopyError | None]:
        if deadline_s <= HURRY_S:
            return [None for _ in specs]
        return read(self, specs, deadline_s=deadline_s)

    monkeypatch.setattr(ProcessReader, "read", read_late)


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


def submit(
    place: Workplace,
    texts: Sequence[str],
    pubs: Sequence[Pub] | None,
    *,
    level: int | None = None,
) -> Job:
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
        options=Options(shots=10, optimization_level=level),
    )
    service.submit(Request(account="ada", specs=[spec]), answer.set_result)
    service.close()
    found = answer.result(60)
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


@pytest.mark.usefixtures("late")
@pytest.mark.parametrize("level", [None, 3])
def test_the_circuits_of_an_unread_job_are_given_back_once_it_was_read(
    tmp_path: Path, level: int | None
) -> None:
    with Client.embedded(
        tmp_path / "data", emulator_processes=1, read_deadline_s=HURRY_S
    ) as client:
        client.set_resource_state("aer", "maintenance", "tests")
        job = client.sample([TWICE, BELL], resource="aer", shots=10, optimization_level=level)
        with pytest.raises(NotReady):
            job.circuits()
        client.set_resource_state("aer", "online")
        job.result(timeout=60.0)
        read = [dict(one.count_ops()) for one in job.circuits()]
        assert read == [{"x": 2, "measure": 1}, {"h": 1, "cx": 1, "measure": 2}]
        assert [program.data for program in job.programs()] == [TWICE.encode(), BELL.encode()]
        ran = {one.program: one for one in job.compiled()}
        assert {one.changed for one in ran.values()} == {level is not None}
        # Two of the same cancel out where that is compiled.
        (first,) = ran[0].circuits
        assert first.count_ops().get("x", 0) == (2 if level is None else 0)


class Doubling:
    """Compiles by writing everything twice."""

    def compile(self, requests: Sequence[Compilation]) -> list[Compiled | QuanopyError]:
        return [Compiled(circuits=2 * one.circuits, changed=True) for one in requests]

    def close(self) -> None:
        """Nothing is open."""


def test_programs_that_no_pub_uses_are_kept_as_they_were_read(tmp_path: Path) -> None:
    with Workplace(f"sqlite:///{tmp_path / 'catalogue.db'}", tmp_path / "objects") as place:
        place.worker(FakeEmulator(), reader=PlainReader(), compiler=Doubling())
        job = submit(place, ["one", "two"], [Pub(program=1)], level=1)
        place.wait([job.id])
        tasks, executions = place.store.tasks([job.id]), place.store.executions(job.id)
        read = read_late(place.objects, job, tasks, executions)
        assert read == {0: b"QPY of one", 1: b"QPY of two"}
        _, ran = all_as_run(place.objects, job, tasks, executions)
        assert [(one.program, one.data) for one in ran] == [(1, 2 * b"QPY of two")]
