"""The catalogue comes back from the archive alone."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from quanopy.codecs.packs import PackBuilder
from quanopy.codecs.records import Asked
from quanopy.domain.ids import new_id
from quanopy.domain.states import ExecutionState, JobState, TaskState
from quanopy.ports.archive import ArchiveStore
from quanopy.ports.objects import Objects
from quanopy.services.packing import pack_requests
from quanopy.services.rebuild import Rebuilt, rebuild
from quanopy.services.recording import EndedTask
from quanopy.storage.objects import open_objects
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


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return open_objects((tmp_path / "objects").as_uri())


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue()


def _rebuild(objects: Objects, catalogue: Catalogue) -> Rebuilt:
    return rebuild(objects, cast("ArchiveStore", catalogue))


def test_a_finished_job_is_as_it_was(objects: Objects, catalogue: Catalogue) -> None:
    accept = accepted(parts=2)
    packed = submit(objects, accept)
    tasks = [task_of(accept, index) for index in range(2)]
    by = execution(*tasks)
    _, extents = end(objects, [completed(task) for task in tasks], by=by)

    assert _rebuild(objects, catalogue) == Rebuilt(packs=2, jobs=1, new=1, finished=1)
    job = catalogue.jobs[accept.id]
    assert job.state is JobState.COMPLETED
    assert (job.created_at, job.started_at, job.ended_at) == (NOW, later(1), later(2))
    assert (job.pubs, job.shots, job.tasks, job.estimate_s) == (2, 100, 2, 1.0)
    assert (job.name, job.tags, job.priority) == ("one", ("tagged",), 3)
    assert job.spec == packed.jobs[0]
    assert not job.held
    for task in catalogue.tasks_of(job.id):
        assert task.state is TaskState.COMPLETED
        assert task.result == extents[task.id]
        assert task.execution_id == by.id
        assert task.solo
        assert (task.queued_at, task.started_at, task.ended_at) == (NOW, later(1), later(2))
    assert catalogue.executions[by.id] == replace(by, record=extents[by.id])


def test_a_failed_job_keeps_its_reason(objects: Objects, catalogue: Catalogue) -> None:
    accept = accepted(parts=2)
    submit(objects, accept)
    tasks = [task_of(accept, index) for index in range(2)]
    end(objects, [completed(tasks[0]), failed(tasks[1], "too wide")], by=execution(*tasks))
    _rebuild(objects, catalogue)
    job = catalogue.jobs[accept.id]
    assert job.state is JobState.FAILED
    assert job.problem is not None
    assert (job.problem.message, job.problem.hint) == ("too wide", "Mend it.")
    assert [task.result is not None for task in catalogue.tasks_of(job.id)] == [True, False]


def test_a_cancelled_job_without_an_execution(objects: Objects, catalogue: Catalogue) -> None:
    accept = accepted()
    submit(objects, accept)
    task = task_of(accept, started_at=None)
    end(objects, [EndedTask(task=task, state=TaskState.CANCELLED)], by=None)
    _rebuild(objects, catalogue)
    job = catalogue.jobs[accept.id]
    assert (job.state, job.started_at, job.ended_at) == (JobState.CANCELLED, None, later(2))
    assert not catalogue.executions


def test_what_was_waiting_is_held(objects: Objects, catalogue: Catalogue) -> None:
    accept, unread = accepted(parts=2), accepted(read=False)
    submit(objects, accept, unread)
    end(objects, [completed(task_of(accept, 0))], by=execution(task_of(accept, 0)))
    assert _rebuild(objects, catalogue) == Rebuilt(packs=2, jobs=2, new=2, held=2)
    job = catalogue.jobs[accept.id]
    assert (job.state, job.held, job.ended_at) == (JobState.RUNNING, True, None)
    assert catalogue.jobs[unread.id].pubs is None
    waiting = [t for t in catalogue.tasks.values() if t.state is TaskState.QUEUED]
    assert len(waiting) == 2
    assert all(task.ready_at is None for task in waiting)


def test_what_may_be_at_the_vendor_is_to_be_looked_for(
    objects: Objects, catalogue: Catalogue
) -> None:
    accept, neighbour = accepted(), accepted()
    submit(objects, accept, neighbour)
    tasks = [task_of(accept), task_of(neighbour)]
    by = execution(*tasks)
    send(objects, by, *tasks)
    found = _rebuild(objects, catalogue)
    assert (found.stranded, found.held) == (1, 0)
    lost = catalogue.executions[by.id]
    assert lost.state is ExecutionState.STRANDED
    assert lost.tasks == by.tasks
    assert lost.due_at is not None
    assert abs(datetime.now(UTC) - lost.due_at) < timedelta(minutes=1)
    for task in catalogue.tasks.values():
        assert (task.state, task.execution_id) == (TaskState.EXECUTING, by.id)
    assert catalogue.jobs[accept.id].state is JobState.RUNNING


def test_what_was_sent_and_has_ended_is_not_looked_for(
    objects: Objects, catalogue: Catalogue
) -> None:
    accept = accepted()
    submit(objects, accept)
    by = execution(task_of(accept))
    send(objects, by, task_of(accept))
    end(objects, [completed(task_of(accept))], by=by)
    assert _rebuild(objects, catalogue).stranded == 0
    assert catalogue.executions[by.id].state is ExecutionState.COMPLETED


def test_an_execution_that_gave_its_tasks_back_is_not_looked_for(
    objects: Objects, catalogue: Catalogue
) -> None:
    accept = accepted()
    submit(objects, accept)
    by = execution(task_of(accept), state=ExecutionState.FAILED)
    send(objects, by, task_of(accept))
    end(objects, [], by=by)
    found = _rebuild(objects, catalogue)
    assert (found.stranded, found.held) == (0, 1)


def test_the_first_ending_of_a_task_counts(objects: Objects, catalogue: Catalogue) -> None:
    accept = accepted()
    submit(objects, accept)
    task = task_of(accept)
    end(objects, [completed(task, b"[3]")], by=execution(task), at=later(30))
    first, extents = end(objects, [completed(task, b"[1]")], by=execution(task), at=later(10))
    end(objects, [failed(task)], by=execution(task), at=later(20))
    _rebuild(objects, catalogue)
    (restored,) = catalogue.tasks.values()
    assert restored.result == extents[task.id]
    assert restored.result is not None
    assert restored.result.key == first


def test_a_retried_part_takes_the_place_of_the_failed_one(
    objects: Objects, catalogue: Catalogue
) -> None:
    accept = accepted(parts=2)
    submit(objects, accept)
    tasks = [task_of(accept, index) for index in range(2)]
    end(objects, [completed(tasks[0]), failed(tasks[1])], by=execution(*tasks))
    again = replace(tasks[1], id=new_id("task"))
    end(objects, [completed(again)], by=execution(again), at=later(50))
    _rebuild(objects, catalogue)
    job = catalogue.jobs[accept.id]
    assert (job.state, job.tasks, job.ended_at) == (JobState.COMPLETED, 2, later(50))
    assert {task.id for task in catalogue.tasks.values()} == {tasks[0].id, again.id}


def test_a_retried_part_in_flight_is_looked_for(objects: Objects, catalogue: Catalogue) -> None:
    accept = accepted()
    submit(objects, accept)
    task = task_of(accept)
    end(objects, [failed(task)], by=execution(task))
    again = replace(task, id=new_id("task"))
    by = execution(again)
    send(objects, by, again)
    _rebuild(objects, catalogue)
    (restored,) = catalogue.tasks.values()
    assert (restored.id, restored.state) == (again.id, TaskState.EXECUTING)
    assert restored.estimate_s == 0.5
    assert catalogue.jobs[accept.id].state is JobState.RUNNING


def test_an_execution_of_several_jobs_names_all_their_tasks(
    objects: Objects, catalogue: Catalogue
) -> None:
    jobs = [accepted(str(number)) for number in range(600)]
    submit(objects, *jobs)
    tasks = [task_of(job) for job in jobs]
    by = execution(*tasks)
    _, extents = end(objects, [completed(task) for task in tasks], by=by)
    assert _rebuild(objects, catalogue).finished == 600
    assert catalogue.executions == {by.id: replace(by, record=extents[by.id])}


def test_idempotency_keys_stand_for_their_jobs_again(
    objects: Objects, catalogue: Catalogue
) -> None:
    together = [accepted("a", key="k"), accepted("b", key="k")]
    other, keyless = accepted("c", key="other"), accepted("d")
    submit(objects, *together, other, keyless)
    _rebuild(objects, catalogue)
    assert [
        (one.account, one.idempotency_key, one.request_digest, [job.id for job in one.jobs])
        for one in catalogue.submissions
    ] == [
        ("ada", "k", "sha256:digest", [job.id for job in together]),
        ("ada", "other", "sha256:digest", [other.id]),
        ("ada", None, "", [keyless.id]),
    ]


def test_of_a_request_that_was_done_twice_before_it_was_stored_the_last_comes_back(
    objects: Objects, catalogue: Catalogue
) -> None:
    made = sorted((accepted(key="k") for _ in range(3)), key=lambda one: one.id)
    for one in (made[2], made[0], made[1]):
        submit(objects, one)
        end(objects, [completed(task_of(one))], by=execution(task_of(one)))
    _rebuild(objects, catalogue)
    assert list(catalogue.jobs) == [made[2].id]


def test_a_request_that_may_have_been_accepted_after_one_that_was_done_comes_back(
    objects: Objects, catalogue: Catalogue
) -> None:
    done, again = sorted((accepted(key="k") for _ in range(2)), key=lambda one: one.id)
    submit(objects, done)
    end(objects, [completed(task_of(done))], by=execution(task_of(done)))
    submit(objects, again)
    _rebuild(objects, catalogue)
    assert set(catalogue.jobs) == {done.id, again.id}


def test_a_request_that_was_sent_again_comes_back_once(
    objects: Objects, catalogue: Catalogue
) -> None:
    lost, done = accepted(key="k"), accepted(key="k")
    submit(objects, lost)
    submit(objects, done)
    end(objects, [completed(task_of(done))], by=execution(task_of(done)))
    _rebuild(objects, catalogue)
    assert list(catalogue.jobs) == [done.id]


def test_a_damaged_pack_is_reported_and_the_rest_restored(
    objects: Objects, catalogue: Catalogue, tmp_path: Path
) -> None:
    sound, spoilt = accepted("sound"), accepted("spoilt")
    submit(objects, sound)
    key = submit(objects, spoilt).key
    path = tmp_path / "objects" / key
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"x")
    found = _rebuild(objects, catalogue)
    assert [damage.key for damage in found.damaged] == [key]
    assert list(catalogue.jobs) == [sound.id]
    path.write_bytes(whole)
    assert _rebuild(objects, catalogue).new == 1
    assert set(catalogue.jobs) == {sound.id, spoilt.id}


def _flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def _truncated(data: bytes) -> bytes:
    return data[: len(data) // 2]


@pytest.mark.parametrize("damage", [_flipped, _truncated])
@pytest.mark.parametrize(
    ("which", "state"),
    [
        ("submitted", None),
        ("sent", JobState.COMPLETED),
        ("ended", JobState.RUNNING),
        ("asked", JobState.COMPLETED),
    ],
)
def test_whatever_pack_is_damaged_the_others_tell_what_they_can(
    objects: Objects,
    catalogue: Catalogue,
    tmp_path: Path,
    which: str,
    state: JobState | None,
    damage: Callable[[bytes], bytes],
) -> None:
    other, job = accepted("other"), accepted("damaged")
    submit(objects, other)
    end(objects, [completed(task_of(other))], by=execution(task_of(other)))
    by = execution(task_of(job))
    key, data = pack_requests(Asked.CANCEL, [task_of(job)])
    objects.put({key: data})
    keys = {
        "submitted": submit(objects, job).key,
        "sent": send(objects, by, task_of(job)),
        "ended": end(objects, [completed(task_of(job))], by=by)[0],
        "asked": key,
    }
    if which != "asked":
        objects.delete([key])
    path = tmp_path / "objects" / keys[which]
    path.write_bytes(damage(path.read_bytes()))
    found = _rebuild(objects, catalogue)
    assert [one.key for one in found.damaged] == [keys[which]]
    assert found.lost == ((job.id,) if which == "submitted" else ())
    assert catalogue.jobs[other.id].state is JobState.COMPLETED
    restored = catalogue.jobs.get(job.id)
    assert (restored and restored.state) == state


def test_a_record_of_a_later_kind_is_reported(objects: Objects, catalogue: Catalogue) -> None:
    builder = PackBuilder(NOW)
    builder.add("jobs.jsonl", b'{"format":"quanopy.job/2"}\n')
    key, data = builder.close("pending")
    objects.put({key: data})
    assert [damage.key for damage in _rebuild(objects, catalogue).damaged] == [key]


def test_doing_it_again_changes_nothing(objects: Objects, catalogue: Catalogue) -> None:
    submit(objects, accepted(), accepted())
    assert _rebuild(objects, catalogue).new == 2
    jobs = dict(catalogue.jobs)
    assert _rebuild(objects, catalogue).new == 0
    assert catalogue.jobs == jobs


def test_progress_is_told(objects: Objects, catalogue: Catalogue) -> None:
    for number in range(3):
        submit(objects, accepted(str(number)))
    told: list[tuple[int, int]] = []
    rebuild(
        objects, cast("ArchiveStore", catalogue), lambda packs, jobs: told.append((packs, jobs))
    )
    assert told == [(1, 0), (2, 0), (3, 0), (3, 3)]


def test_an_empty_archive_gives_an_empty_catalogue(objects: Objects, catalogue: Catalogue) -> None:
    assert _rebuild(objects, catalogue) == Rebuilt()
