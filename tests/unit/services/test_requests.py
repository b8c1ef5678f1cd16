"""What was cancelled is cancelled after a rebuild too, and what was asked for again waits again."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import cast

import pytest

from quanopy.domain.ids import new_id
from quanopy.domain.jobs import Task
from quanopy.domain.states import ExecutionState, JobState, TaskState
from quanopy.ports.objects import Objects
from quanopy.ports.store import Store
from quanopy.services.rebuild import rebuild
from quanopy.services.requests import cancel, retry
from quanopy.storage.objects import open_objects
from quanopy.testing.catalogue import job as job_row
from tests.unit.services.archives import (
    NOW,
    accepted,
    completed,
    end,
    execution,
    failed,
    later,
    send,
    submit,
    task_of,
)
from tests.unit.services.catalogue import Catalogue


class Rows:
    """Tasks as they stand once the request has been committed."""

    def __init__(self, *tasks: Task) -> None:
        self._tasks = tasks

    def cancel(self, job_ids: Collection[str], *, actor: str) -> list[object]:
        return [replace(job_row()[0], id=id_, created_at=NOW) for id_ in job_ids]

    retry = cancel

    def tasks(self, job_ids: Collection[str]) -> Sequence[Task]:
        return [task for task in self._tasks if task.job_id in job_ids]


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return open_objects((tmp_path / "objects").as_uri())


def _cancelled(task: Task, at: datetime) -> Task:
    return replace(
        task, state=TaskState.CANCELLED, started_at=None, ended_at=at, cancel_requested=True
    )


def _again(task: Task) -> Task:
    return replace(
        task, id=new_id("task"), state=TaskState.QUEUED, started_at=None, queued_at=later(60)
    )


def _cancel(objects: Objects, *tasks: Task) -> None:
    cancel(cast("Store", Rows(*tasks)), objects, {task.job_id for task in tasks}, actor="ada")


def _retry(objects: Objects, *tasks: Task) -> None:
    retry(cast("Store", Rows(*tasks)), objects, {task.job_id for task in tasks}, actor="ada")


def _rebuilt(objects: Objects) -> Catalogue:
    catalogue = Catalogue()
    rebuild(objects, cast("Store", catalogue))
    return catalogue


def test_what_never_ran_comes_back_cancelled(objects: Objects) -> None:
    jobs = [accepted("a"), accepted("b")]
    submit(objects, *jobs)
    tasks = [_cancelled(task_of(job), later(5 + i)) for i, job in enumerate(jobs)]
    _cancel(objects, *tasks)
    catalogue = _rebuilt(objects)
    for index, job in enumerate(jobs):
        restored = catalogue.jobs[job.id]
        assert (restored.state, restored.ended_at) == (JobState.CANCELLED, later(5 + index))
        assert (restored.started_at, restored.held) == (None, False)
        assert restored.cancel_requested


@pytest.mark.parametrize("state", [TaskState.CLAIMED, TaskState.EXECUTING])
def test_what_is_cancelled_and_brings_a_result_nevertheless_comes_back_cancelled(
    objects: Objects, state: TaskState
) -> None:
    job = accepted("a")
    submit(objects, job)
    task = task_of(job, state=state, cancel_requested=True)
    by = execution(task)
    send(objects, by, task)
    _cancel(objects, task)
    end(objects, [completed(task)], by=by)
    catalogue = _rebuilt(objects)
    assert catalogue.jobs[job.id].state is JobState.CANCELLED
    (restored,) = catalogue.tasks.values()
    assert (restored.state, restored.result, restored.problem) == (TaskState.CANCELLED, None, None)
    assert (restored.execution_id, restored.ended_at) == (by.id, later(2))
    assert catalogue.executions[by.id].state is ExecutionState.COMPLETED


def test_what_is_cancelled_and_not_done_comes_back_cancelled(objects: Objects) -> None:
    job = accepted("a")
    submit(objects, job)
    task = task_of(job, state=TaskState.EXECUTING, cancel_requested=True)
    by = execution(task, state=ExecutionState.FAILED)
    send(objects, by, task)
    _cancel(objects, task)
    end(objects, [], by=by)
    assert _rebuilt(objects).jobs[job.id].state is JobState.CANCELLED


def test_what_is_cancelled_at_a_provider_is_looked_for_and_stopped(objects: Objects) -> None:
    wanted, unwanted = accepted("wanted"), accepted("unwanted")
    submit(objects, wanted, unwanted)
    tasks = [task_of(job, state=TaskState.EXECUTING) for job in (wanted, unwanted)]
    shared, alone = execution(*tasks), execution(tasks[1])
    send(objects, shared, *tasks)
    _cancel(objects, replace(tasks[1], cancel_requested=True))
    catalogue = _rebuilt(objects)
    assert not catalogue.executions[shared.id].stop_requested
    restored = catalogue.tasks[tasks[1].id]
    assert (restored.state, restored.cancel_requested) == (TaskState.EXECUTING, True)
    send(objects, alone, tasks[1])
    assert _rebuilt(objects).executions[alone.id].stop_requested


def test_cancelling_twice_keeps_one_pack(objects: Objects) -> None:
    task = _cancelled(task_of(accepted()), later(5))
    _cancel(objects, task)
    _cancel(objects, task)
    assert len(list(objects.list("pending"))) == 1


def test_a_cancellation_of_what_has_ended_leaves_nothing(objects: Objects) -> None:
    _cancel(objects, task_of(accepted(), state=TaskState.COMPLETED))
    assert list(objects.list("pending")) == []


@pytest.mark.parametrize("ended", [TaskState.FAILED, TaskState.CANCELLED])
def test_a_retry_that_never_ran_waits_again(objects: Objects, ended: TaskState) -> None:
    job = accepted(parts=2)
    submit(objects, job)
    done, missing = task_of(job, 0), task_of(job, 1)
    end(objects, [completed(done)], by=execution(done))
    if ended is TaskState.FAILED:
        end(objects, [failed(missing)], by=execution(missing))
    else:
        _cancel(objects, _cancelled(missing, later(5)))
    again = _again(missing)
    _retry(objects, replace(done, state=TaskState.COMPLETED), again)
    catalogue = _rebuilt(objects)
    restored = catalogue.jobs[job.id]
    assert (restored.state, restored.held) == (JobState.RUNNING, True)
    assert (restored.problem, restored.cancel_requested) == (None, False)
    assert set(catalogue.tasks) == {done.id, again.id}
    waiting = catalogue.tasks[again.id]
    assert (waiting.state, waiting.ready_at) == (TaskState.QUEUED, None)
    assert (waiting.queued_at, waiting.estimate_s, waiting.solo) == (later(60), 0.5, True)


def test_a_retry_that_was_cancelled_comes_back_cancelled(objects: Objects) -> None:
    job = accepted()
    submit(objects, job)
    end(objects, [failed(task_of(job))], by=execution(task_of(job)))
    again = _again(task_of(job))
    _retry(objects, again)
    _cancel(objects, _cancelled(again, later(70)))
    catalogue = _rebuilt(objects)
    assert catalogue.jobs[job.id].state is JobState.CANCELLED
    assert list(catalogue.tasks) == [again.id]


def test_releasing_what_a_rebuild_held_leaves_nothing(objects: Objects) -> None:
    _retry(objects, task_of(accepted(), state=TaskState.QUEUED, queued_at=NOW))
    assert list(objects.list("pending")) == []
