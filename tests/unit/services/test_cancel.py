"""What was cancelled before it ran is cancelled after a rebuild too."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import cast

import pytest

from quanopy.domain.jobs import Task
from quanopy.domain.states import JobState, TaskState
from quanopy.ports.objects import Objects
from quanopy.ports.store import Store
from quanopy.services.cancel import cancel
from quanopy.services.rebuild import rebuild
from quanopy.storage.objects import open_objects
from tests.unit.services.archives import accepted, completed, end, execution, later, submit, task_of
from tests.unit.services.catalogue import Catalogue


class Rows:
    """Tasks as they stand once the cancellation has been committed."""

    def __init__(self, *tasks: Task) -> None:
        self._tasks = tasks

    def cancel(self, job_ids: Collection[str], *, actor: str) -> list[Task]:
        return [replace(task, id=task.job_id) for task in self._tasks]

    def tasks(self, job_ids: Collection[str]) -> Sequence[Task]:
        return self._tasks


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return open_objects((tmp_path / "objects").as_uri())


def _cancelled(task: Task, at: datetime) -> Task:
    return replace(task, state=TaskState.CANCELLED, started_at=None, ended_at=at)


def _cancel(objects: Objects, *tasks: Task) -> None:
    cancel(cast("Store", Rows(*tasks)), objects, [task.job_id for task in tasks], actor="ada")


def test_what_never_ran_comes_back_cancelled(objects: Objects) -> None:
    jobs = [accepted("a"), accepted("b")]
    submit(objects, *jobs)
    tasks = [_cancelled(task_of(job), later(5 + i)) for i, job in enumerate(jobs)]
    _cancel(objects, *tasks)
    catalogue = Catalogue()
    rebuild(objects, cast("Store", catalogue))
    for index, job in enumerate(jobs):
        restored = catalogue.jobs[job.id]
        assert (restored.state, restored.ended_at) == (JobState.CANCELLED, later(5 + index))


def test_what_is_cancelled_while_an_emulator_runs_it_comes_back_cancelled(
    objects: Objects,
) -> None:
    job = accepted("a")
    submit(objects, job)
    task = task_of(job, cancel_requested=True)
    _cancel(objects, task)
    end(objects, [completed(task)], by=execution(task))
    catalogue = Catalogue()
    rebuild(objects, cast("Store", catalogue))
    assert catalogue.jobs[job.id].state is JobState.CANCELLED


def test_what_runs_is_left_to_its_execution(objects: Objects) -> None:
    running = task_of(accepted(), state=TaskState.EXECUTING, execution_id="exec_1")
    _cancel(objects, running, replace(running, state=TaskState.CANCELLED))
    assert list(objects.list("completed")) == []


def test_cancelling_twice_keeps_one_pack(objects: Objects) -> None:
    task = _cancelled(task_of(accepted()), later(5))
    _cancel(objects, task)
    _cancel(objects, task)
    assert len(list(objects.list("completed"))) == 1
