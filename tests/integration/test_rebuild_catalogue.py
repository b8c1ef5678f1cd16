"""A lost database comes back from the object folder, as a real catalogue."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from quanopy.domain.requirements import Bound, Policy, Requirements
from quanopy.domain.resources import Resource
from quanopy.domain.states import ExecutionState, JobState, TaskState
from quanopy.ports.claims import Offer
from quanopy.ports.events import EventQuery
from quanopy.ports.executions import Ending, TaskEnd
from quanopy.ports.jobs import JobQuery
from quanopy.ports.objects import Objects
from quanopy.ports.store import Store
from quanopy.ports.submissions import Repeat
from quanopy.services.orphans import find_orphans
from quanopy.services.rebuild import rebuild
from quanopy.services.requests import cancel, retry
from quanopy.services.unpacking import load_jobs
from quanopy.storage.objects import open_objects
from quanopy.storage.store import open_store
from tests.unit.services.archives import (
    accepted,
    completed,
    end,
    execution,
    failed,
    send,
    submit,
    task_of,
)


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return open_objects((tmp_path / "objects").as_uri())


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    url = f"sqlite:///{tmp_path / 'quanopy.db'}"
    store = open_store(
        url if request.param == "sqlite" else request.getfixturevalue("postgres_dsn")
    )
    yield store
    store.close()


def test_jobs_of_every_fate_come_back(objects: Objects, store: Store) -> None:
    done, broken, partly, sent, waiting = (
        accepted(name, parts=2) for name in ("done", "broken", "partly", "sent", "waiting")
    )
    submit(objects, done, broken, partly, sent, waiting)
    whole = execution(task_of(done, 0), task_of(done, 1), task_of(partly, 0))
    _, extents = end(
        objects,
        [completed(task_of(job, index)) for job, index in ((done, 0), (done, 1), (partly, 0))],
        by=whole,
    )
    bad = execution(task_of(broken, 0), task_of(broken, 1), state=ExecutionState.FAILED)
    end(objects, [failed(task_of(broken, index), "too wide") for index in range(2)], by=bad)
    lost = execution(task_of(sent, 0), task_of(sent, 1))
    send(objects, lost, task_of(sent, 0), task_of(sent, 1))

    found = rebuild(objects, store)
    assert (found.new, found.finished, found.held, found.stranded) == (5, 2, 2, 1)
    jobs = {job.name: job for job in store.list_jobs(JobQuery())}
    assert {name: (job.state, job.held) for name, job in jobs.items()} == {
        "done": (JobState.COMPLETED, False),
        "broken": (JobState.FAILED, False),
        "partly": (JobState.RUNNING, True),
        "sent": (JobState.RUNNING, False),
        "waiting": (JobState.QUEUED, True),
    }
    assert jobs["broken"].problem is not None
    assert jobs["broken"].problem.message == "too wide"
    assert [task.result for task in store.tasks([done.id])] == [
        extents[task.id] for task in done.tasks
    ]
    assert [e.id for e in store.executions(done.id)] == [whole.id]
    assert [e.state for e in store.executions(sent.id)] == [ExecutionState.STRANDED]
    assert {task.state for task in store.tasks([sent.id])} == {TaskState.EXECUTING}
    assert rebuild(objects, store).new == 0


def test_a_repeated_request_gets_its_first_jobs(objects: Objects, store: Store) -> None:
    first = [accepted("a", key="k"), accepted("b", key="k")]
    submit(objects, *first)
    rebuild(objects, store)
    (replayed,) = store.replay(
        [Repeat(account="ada", idempotency_key="k", request_digest="sha256:digest")]
    )
    assert isinstance(replayed, Sequence)
    assert [job.id for job in replayed] == [job.id for job in first]


def test_an_older_copy_of_the_catalogue_learns_what_has_ended(
    objects: Objects, store: Store
) -> None:
    job = accepted()
    submit(objects, job)
    rebuild(objects, store)
    assert store.jobs([job.id])[0].state is JobState.QUEUED
    end(objects, [completed(task_of(job))], by=execution(task_of(job)))
    rebuild(objects, store)
    assert store.jobs([job.id])[0].state is JobState.COMPLETED
    assert [task.state for task in store.tasks([job.id])] == [TaskState.COMPLETED]


def test_what_users_asked_for_comes_back(objects: Objects, store: Store, tmp_path: Path) -> None:
    """A remote task that was cancelled and brings a result nevertheless; one that is retried."""
    cancelled, retried = accepted("cancelled"), accepted("retried")
    submit(objects, cancelled, retried)
    end(objects, [failed(task_of(retried))], by=execution(task_of(retried)))
    rebuild(objects, store)
    retry(store, objects, [cancelled.id, retried.id], actor="ada")
    offer = Offer(resource="aer", tasks=2)
    store.register("worker", [Resource(name="aer", provider="aer")], ttl_s=30)
    (claim,) = store.claim("worker", [offer], ttl_s=30)
    (task,) = [task for task in claim.tasks if task.job_id == cancelled.id]
    by = execution(task)
    send(objects, by, task)
    store.begin(claim.id, [replace(by, ended_at=None)], ttl_s=30)
    cancel(store, objects, [cancelled.id], actor="ada")
    _, extents = end(objects, [completed(task)], by=by)
    ended = TaskEnd(task_id=task.id, state=TaskState.COMPLETED, result=extents[task.id])
    store.finish(claim.id, [Ending(execution=by, tasks=[ended])])

    again = open_store(f"sqlite:///{tmp_path / 'again.db'}")
    rebuild(objects, again)
    for job in (cancelled, retried):
        (before,), (after,) = store.tasks([job.id]), again.tasks([job.id])
        assert after.id == before.id
        assert (after.state, after.result) == (before.state, None)
    (ended_job,), (waiting,) = again.jobs([cancelled.id]), again.jobs([retried.id])
    assert (ended_job.state, ended_job.cancel_requested) == (JobState.CANCELLED, True)
    assert (waiting.state, waiting.held, waiting.problem) == (JobState.QUEUED, True, None)
    everything = timedelta(hours=-1)
    assert list(find_orphans(objects, store, older_than=everything)) == []
    again.close()


def test_nothing_that_was_restored_is_an_orphan(objects: Objects, store: Store) -> None:
    job = accepted(parts=2)
    submit(objects, job)
    by = execution(task_of(job, 0), task_of(job, 1))
    send(objects, by, task_of(job, 0), task_of(job, 1))
    end(objects, [completed(task_of(job, 0)), failed(task_of(job, 1))], by=by)
    everything = timedelta(hours=-1)
    assert len(list(find_orphans(objects, store, older_than=everything))) == 3
    rebuild(objects, store)
    assert list(find_orphans(objects, store, older_than=everything)) == []


def test_what_a_job_required_of_its_resource_comes_back(objects: Objects, store: Store) -> None:
    wanted = Requirements(
        qubits=5,
        gates=("cz",),
        connectivity=((0, 1), (1, 2)),
        metrics={"T1": Bound(least=1e-5)},
        max_wait_s=60.0,
        policy=Policy.CHEAPEST,
    )
    why = {"policy": "cheapest", "cost": 0.5, "fitting": 1, "of": 2, "rejected": {"b": ["small"]}}
    waiting = replace(accepted("chosen"), requires=wanted, chosen=why)
    plain = accepted("named")
    submit(objects, waiting, plain)
    rebuild(objects, store)
    jobs = {job.id: job for job in store.jobs([waiting.id, plain.id])}
    records = load_jobs(objects, [jobs[one.id].spec for one in (waiting, plain)])
    assert [(one.requires, one.chosen) for one in records] == [(wanted, why), (None, None)]
    told = [e for e in store.events(EventQuery()).events if e.kind == "job.chosen"]
    assert [(e.job_id, e.after, e.data) for e in told] == [(waiting.id, "aer", why)]
