"""Workers on emulators: everything once, nothing lost, faults stay where they are."""

import math
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from quanopy.domain.errors import TaskFailed, Transient, Unavailable
from quanopy.domain.resources import Resource, Target
from quanopy.domain.states import JobState, TaskState
from quanopy.ports.events import EventQuery
from quanopy.ports.executions import Ending
from quanopy.ports.providers import Outcome, Work
from quanopy.ports.store import Store
from quanopy.server.worker import Rhythm
from quanopy.services.ending import ATTEMPTS
from quanopy.storage.store import open_store
from quanopy.testing.catalogue import MovableClock
from quanopy.testing.fake_local import FakeEmulator
from tests.integration.workplace import BRIEF, Workplace, task_ids

pytestmark = pytest.mark.usefixtures("impatient")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Workplace]:
    database = (
        f"sqlite:///{tmp_path / 'catalogue.db'}"
        if request.param == "sqlite"
        else request.getfixturevalue("postgres_dsn")
    )
    with Workplace(database, tmp_path / "objects") as place:
        yield place


def test_a_job_runs_and_its_result_is_kept(place: Workplace) -> None:
    place.worker(FakeEmulator())
    (job_id,) = place.submit(1)
    (job,) = place.wait([job_id])
    assert job.state is JobState.COMPLETED
    (result,) = place.result(job_id)
    assert b'"counts":[{"0x0":10}]' in result
    (execution,) = place.store.executions(job_id)
    assert execution.usage["shots"] == 10
    assert place.history(job_id)[0] == "job.queued"
    assert "job.completed" in place.history(job_id)


class Counting:
    """A store that counts what was asked of it and answered."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)

        def counted(*args: Any, **how: Any) -> Any:
            answer = found(*args, **how)
            self.calls[name] += 1
            return answer

        return counted


@pytest.mark.postgres
def test_a_worker_whose_clock_is_not_the_databases_says_so_once(
    postgres_dsn: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    late = MovableClock()
    late.move(-600)
    with Workplace(postgres_dsn, tmp_path / "objects") as place:
        with closing(open_store(postgres_dsn, clock=late)) as elsewhere:
            asked = Counting(elsewhere)
            worker = place.worker(FakeEmulator(), store=cast("Store", asked), rhythm=BRIEF)
            place.wait(place.submit(1))
            place.wait_for(lambda: asked.calls["skew_s"], lambda beats: beats >= 3)
            worker.stop()
        place.worker(FakeEmulator())
    told = [r.getMessage() for r in caplog.records if "clock" in r.getMessage()]
    assert len(told) == 1
    assert "s behind the database's" in told[0]


def test_work_that_was_there_before_the_worker_is_found(place: Workplace) -> None:
    emulator = FakeEmulator()
    first = place.worker(emulator)
    first.stop()
    ids = place.submit(3)
    place.worker(emulator)
    assert {job.state for job in place.wait(ids)} == {JobState.COMPLETED}


def test_two_workers_share_the_work_and_nothing_runs_twice(place: Workplace) -> None:
    emulators = [FakeEmulator(), FakeEmulator()]
    for emulator in emulators:
        emulator.gate.clear()
        place.worker(emulator)
    ids = place.submit(400)
    for emulator in emulators:
        place.wait_for(partial(getattr, emulator, "ran"), bool)
        emulator.gate.set()
    assert {job.state for job in place.wait(ids)} == {JobState.COMPLETED}
    ran = [emulator.ran for emulator in emulators]
    assert not set(ran[0]) & set(ran[1])
    assert sorted([*ran[0], *ran[1]]) == sorted(task_ids(place, ids))
    assert {*ran[0].values(), *ran[1].values()} == {1}


def test_lanes_hold_over_all_workers(place: Workplace) -> None:
    def slowly(work: Work) -> None:
        time.sleep(0.02)

    emulator = FakeEmulator(lanes=2, processes=4, decide=slowly)
    for _ in range(3):
        place.worker(emulator)
    ids = [job for _ in range(10) for job in place.submit(1)]
    place.wait(ids)
    assert 1 <= emulator.most_at_once <= 2


def test_a_failure_is_its_own_jobs(place: Workplace) -> None:
    ids = place.submit(3)
    bad = task_ids(place, ids[1:2])[0]

    def decide(work: Work) -> Outcome | None:
        return Outcome(error=TaskFailed("it crashed")) if work.task_id == bad else None

    place.worker(FakeEmulator(decide=decide))
    place.wait(ids)
    jobs = {job.id: job for job in place.store.jobs(ids)}
    assert [jobs[i].state for i in ids] == [
        JobState.COMPLETED,
        JobState.FAILED,
        JobState.COMPLETED,
    ]
    assert place.store.tasks([ids[1]])[0].problem is not None


def test_a_provider_that_breaks_fails_its_tasks_and_not_the_worker(place: Workplace) -> None:
    broken = True

    def decide(work: Work) -> Outcome | None:
        if broken:
            raise RuntimeError("a bug")
        return None

    place.worker(FakeEmulator(decide=decide))
    ids = place.submit(2)
    assert {job.state for job in place.wait(ids)} == {JobState.FAILED}
    broken = False
    assert {job.state for job in place.wait(place.submit(2))} == {JobState.COMPLETED}


class Silent(FakeEmulator):
    """Does not say what it serves while ``told`` is clear."""

    def __init__(self) -> None:
        super().__init__(name="silent")
        self.told = threading.Event()
        self.told.set()

    def resources(self) -> Sequence[Resource]:
        self.told.wait()
        return super().resources()


def test_a_provider_that_is_slow_to_say_what_it_serves_costs_no_claim(place: Workplace) -> None:
    """Time goes on a good half of what a claim lives whenever the worker's heart has beaten."""
    emulator, silent, clock = FakeEmulator(), Silent(), MovableClock()
    emulator.gate.clear()
    clock.move(60)  # What is submitted now is ready by it.
    with closing(open_store(place.database, clock=clock)) as store:
        asked = Counting(store)
        worker = place.worker(emulator, silent, store=cast("Store", asked), rhythm=BRIEF)
        ids = place.submit(1)
        place.wait_for(lambda: emulator.ran, bool)
        silent.told.clear()
        try:
            for _ in range(3):
                # One may have begun before the time it was.
                beats = asked.calls["register"] + 2
                place.wait_for(lambda: asked.calls["register"], beats.__le__)
                clock.move(0.6 * BRIEF.ttl_s)
                assert store.sweep().claims_expired == 0
                assert {one.resource.name: one.workers for one in store.resources()} == {
                    "noop": 1,
                    "silent": 1,
                }
        finally:
            silent.told.set()
            emulator.gate.set()
        assert {job.state for job in place.wait(ids)} == {JobState.COMPLETED}
        worker.stop()
    assert list(emulator.ran.values()) == [1]


def test_what_passes_is_tried_again(place: Workplace) -> None:
    seen: list[str] = []

    def decide(work: Work) -> Outcome | None:
        seen.append(work.task_id)
        return Outcome(error=Transient("busy")) if len(seen) == 1 else None

    place.worker(FakeEmulator(decide=decide))
    (job,) = place.wait(place.submit(1))
    assert job.state is JobState.COMPLETED
    assert len(seen) == 2


def test_a_running_task_is_cancelled_and_its_neighbour_completes(place: Workplace) -> None:
    emulator = FakeEmulator()
    emulator.gate.clear()
    place.worker(emulator)
    ids = place.submit(2)
    place.wait_for(lambda: emulator.ran, lambda ran: len(ran) == 2)
    place.cancel(ids[:1])
    place.wait_for(lambda: emulator.cancelled, bool)
    emulator.gate.set()
    place.wait(ids)
    states = {job.id: job.state for job in place.store.jobs(ids)}
    assert [states[i] for i in ids] == [JobState.CANCELLED, JobState.COMPLETED]


def test_a_stopping_worker_finishes_what_runs(place: Workplace) -> None:
    emulator = FakeEmulator()
    emulator.gate.clear()
    worker = place.worker(emulator)
    ids = place.submit(2)
    place.wait_for(lambda: emulator.ran, lambda ran: len(ran) == 2)
    threading.Timer(0.1, emulator.gate.set).start()
    worker.stop(grace_s=10)
    assert place.states(ids) == {JobState.COMPLETED}


def test_what_does_not_end_in_time_is_done_by_another_at_once(place: Workplace) -> None:
    stuck, other = FakeEmulator(), FakeEmulator()
    stuck.gate.clear()
    worker = place.worker(stuck)
    ids = place.submit(2)
    place.wait_for(lambda: stuck.ran, lambda ran: len(ran) == 2)
    worker.stop(grace_s=0.1)
    place.worker(other)
    assert {job.state for job in place.wait(ids)} == {JobState.COMPLETED}
    assert len(other.ran) == 2


class Away:
    """A store or object store that is not there for a while."""

    def __init__(self, real: Any, *names: str) -> None:
        self._real = real
        self._names = names
        self.away = threading.Event()
        self.refused = 0

    def __getattr__(self, name: str) -> Any:
        if name in self._names and self.away.is_set():
            return self._refuse
        return getattr(self._real, name)

    def _refuse(self, *args: object, **kwargs: object) -> None:
        self.refused += 1
        raise Unavailable("not there")


@pytest.mark.parametrize("part", ["store", "objects"])
def test_results_outlive_an_outage(place: Workplace, part: str) -> None:
    store = Away(place.store, "claim", "finish", "renew", "register", "sweep", "cancel_requests")
    objects = Away(place.objects, "put", "read", "get")
    emulator = FakeEmulator()
    emulator.gate.clear()
    place.worker(emulator, store=store, objects=objects)
    ids = place.submit(5)
    place.wait_for(lambda: emulator.ran, lambda ran: len(ran) == 5)
    away = store if part == "store" else objects
    away.away.set()
    emulator.gate.set()
    place.wait_for(lambda: away.refused, lambda refused: refused >= 3)
    assert place.states(ids) == {JobState.RUNNING}
    away.away.clear()
    assert {job.state for job in place.wait(ids)} == {JobState.COMPLETED}
    assert set(emulator.ran.values()) == {1}


def test_a_lost_claim_is_given_up_and_the_work_done_again(place: Workplace) -> None:
    """The database was away for one worker only, for longer than its claim lives."""
    store = Away(place.store, "claim", "finish", "renew", "register", "sweep", "cancel_requests")
    first, second = FakeEmulator(), FakeEmulator()
    first.gate.clear()
    worker = place.worker(first, store=cast("Store", store), rhythm=BRIEF)
    ids = place.submit(5)
    place.wait_for(lambda: first.ran, lambda ran: len(ran) == 5)
    store.away.set()
    place.worker(second)
    assert {job.state for job in place.wait(ids)} == {JobState.COMPLETED}
    assert len(second.ran) == 5
    before = place.store.tasks(ids)
    first.gate.set()
    store.away.clear()
    worker.stop()  # What it had has ended by then.
    assert place.store.tasks(ids) == before
    assert all(place.history(job).count("job.completed") == 1 for job in ids)


class Breaking:
    """A store whose ``finish`` breaks a few times, in a way that nobody thought of."""

    def __init__(self, real: Any, *, times: int) -> None:
        self._real = real
        self.left = times

    def __getattr__(self, name: str) -> Any:
        if name == "finish" and self.left:
            self.left -= 1
            raise RuntimeError("a bug")
        return getattr(self._real, name)


def test_work_whose_end_breaks_is_ended_by_itself_and_not_done_again(place: Workplace) -> None:
    emulator = FakeEmulator()
    place.worker(emulator, store=cast("Store", Breaking(place.store, times=1)))
    ids = place.submit(3)
    assert {job.state for job in place.wait(ids)} == {JobState.COMPLETED}
    assert set(emulator.ran.values()) == {1}


class Refusing:
    """A store whose ``finish`` breaks for the result of one task."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self.bad: str | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def finish(self, claim_id: str, endings: Sequence[Ending], **how: Any) -> Any:
        if any(end.task_id == self.bad and end.result for one in endings for end in one.tasks):
            raise RuntimeError("a bug")
        return self._real.finish(claim_id, endings, **how)


def test_a_result_that_cannot_be_kept_fails_its_task_alone_after_the_usual_attempts(
    place: Workplace,
) -> None:
    emulator = FakeEmulator()
    emulator.gate.clear()
    store = Refusing(place.store)
    ids = place.submit(3)
    store.bad, *others = task_ids(place, ids)
    place.worker(emulator, store=cast("Store", store))
    emulator.gate.set()
    place.wait(ids)
    tasks = {task.id: task for task in place.store.tasks(ids)}
    bad = tasks.pop(store.bad)
    assert (bad.state, bad.attempt) == (TaskState.FAILED, ATTEMPTS)
    assert bad.problem is not None
    assert "cannot be written down" in bad.problem.message
    assert {task.state for task in tasks.values()} == {TaskState.COMPLETED}
    assert dict(emulator.ran) == {bad.id: ATTEMPTS, **dict.fromkeys(others, 1)}


class Forgetful(FakeEmulator):
    """Gives one outcome too few where a certain work is in a batch."""

    bad: str | None = None

    def start(self, works: Sequence[Work]) -> Any:
        short = [work for work in works if work.task_id != self.bad]
        return super().start(short)


def test_a_batch_that_breaks_is_done_again_one_by_one(place: Workplace) -> None:
    emulator = Forgetful()
    ids = place.submit(3)
    emulator.bad, *_ = task_ids(place, ids)
    place.worker(emulator)
    place.wait(ids)
    tasks = {task.id: task for task in place.store.tasks(ids)}
    bad = tasks.pop(emulator.bad)
    assert (bad.state, bad.attempt) == (TaskState.FAILED, ATTEMPTS)
    assert bad.problem is not None
    assert "broke the worker" in bad.problem.message
    assert {task.state for task in tasks.values()} == {TaskState.COMPLETED}


def test_what_came_back_and_cannot_be_judged_fails_its_task_alone(place: Workplace) -> None:
    ids = place.submit(3)
    bad, *_ = task_ids(place, ids)
    odd = Transient("later", retry_after_s=cast("float", "soon"))

    def decide(work: Work) -> Outcome | None:
        return Outcome(error=odd) if work.task_id == bad else None

    emulator = FakeEmulator(decide=decide)
    place.worker(emulator)
    place.wait(ids)
    states = {task.id: task.state for task in place.store.tasks(ids)}
    assert states.pop(bad) is TaskState.FAILED
    assert set(states.values()) == {TaskState.COMPLETED}
    assert set(emulator.ran.values()) == {1}


def test_an_endless_pause_asked_for_by_one_task_holds_up_no_other(place: Workplace) -> None:
    ids = place.submit(3)
    bad, *_ = task_ids(place, ids)

    def decide(work: Work) -> Outcome | None:
        endless = Transient("later", retry_after_s=math.inf)
        return Outcome(error=endless) if work.task_id == bad else None

    place.worker(FakeEmulator(decide=decide))
    good = [task.job_id for task in place.store.tasks(ids) if task.id != bad]
    assert {job.state for job in place.wait(good)} == {JobState.COMPLETED}


def test_work_whose_end_always_breaks_fails_in_the_end(place: Workplace) -> None:
    rhythm = Rhythm(ttl_s=0.15, sweep_s=0.05, retry_s=0.05)
    place.worker(
        FakeEmulator(), store=cast("Store", Breaking(place.store, times=10**6)), rhythm=rhythm
    )
    (job,) = place.wait(place.submit(1))
    assert job.state is JobState.FAILED


def test_work_is_begun_before_its_job_is_kept(place: Workplace) -> None:
    emulator = FakeEmulator()
    worker = place.worker(emulator)
    job_id = place.hand(worker, before=lambda: place.wait_for(lambda: emulator.ran, bool))
    (job,) = place.wait([job_id])
    assert job.state is JobState.COMPLETED
    assert dict(emulator.ran) == dict.fromkeys(task_ids(place, [job_id]), 1)


def test_work_that_cannot_begin_before_its_job_is_kept_is_done_after(place: Workplace) -> None:
    emulator = FakeEmulator()
    worker = place.worker(emulator)
    job_id = place.hand(worker, at_hand=False)
    assert [job.state for job in place.wait([job_id])] == [JobState.COMPLETED]
    assert list(emulator.ran.values()) == [1]


def test_work_begun_for_a_job_that_is_not_kept_comes_to_nothing(place: Workplace) -> None:
    def fail() -> None:
        place.wait_for(lambda: emulator.ran, bool)
        raise Unavailable("the disk is full")

    emulator = FakeEmulator()
    emulator.gate.clear()
    worker = place.worker(emulator)
    with pytest.raises(Unavailable, match="disk is full"):
        place.hand(worker, before=fail)
    (lost,) = emulator.ran
    # The hand is free again though the gate is still closed.
    (second,) = place.submit(1)
    place.wait_for(lambda: len(emulator.ran) == 2, bool)
    emulator.gate.set()
    assert [job.state for job in place.wait([second])] == [JobState.COMPLETED]
    assert dict(emulator.ran) == {lost: 1, **dict.fromkeys(task_ids(place, [second]), 1)}
    assert {event.subject for event in place.store.events(EventQuery()).events}.isdisjoint({lost})


def test_long_works_leave_one_process_to_short_ones(place: Workplace) -> None:
    emulator = FakeEmulator(processes=2)
    emulator.gate.clear()
    place.worker(emulator)
    long = place.submit(4, estimate_s=100.0)
    place.wait_for(lambda: place.states(long), lambda states: JobState.RUNNING in states)
    assert sum(job.state is JobState.RUNNING for job in place.store.jobs(long)) == 1
    short = place.submit(1, account="bob")
    place.wait_for(lambda: place.states(short), {JobState.RUNNING}.__eq__)
    emulator.gate.set()
    assert {job.state for job in place.wait([*long, *short])} == {JobState.COMPLETED}


class Targetless(FakeEmulator):
    """Breaks where it is asked for a target that nothing is compiled for."""

    def target(self, resource: str) -> Target:
        raise KeyError(resource)


def test_a_target_that_breaks_an_emulator_and_is_not_needed_fails_nothing(
    place: Workplace,
) -> None:
    place.worker(Targetless())
    (job_id,) = place.submit(1)
    assert [job.state for job in place.wait([job_id])] == [JobState.COMPLETED]
    (execution,) = place.store.executions(job_id)
    assert execution.target is None
