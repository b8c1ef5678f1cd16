"""Only what nothing needs, and what is old, is an orphan."""

import os
from collections.abc import Collection
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest

from quanopy.codecs.records import Asked
from quanopy.domain.errors import NotFound
from quanopy.domain.jobs import Task
from quanopy.domain.states import ExecutionState, TaskState
from quanopy.ports.objects import Objects
from quanopy.ports.store import Store
from quanopy.services.orphans import delete_orphans, find_orphans
from quanopy.services.packing import pack_requests
from quanopy.storage.objects import open_objects
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


class Rows:
    """What the catalogue names, and the jobs it has."""

    def __init__(self) -> None:
        self.named: set[str] = set()
        self.known: set[str] = set()
        self.parts: list[Task] = []

    def referenced(self, keys: Collection[str]) -> set[str]:
        return self.named & set(keys)

    def jobs(self, ids: Collection[str]) -> list[str]:
        return sorted(self.known & set(ids))

    def tasks(self, job_ids: Collection[str]) -> list[Task]:
        return [task for task in self.parts if task.job_id in job_ids]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "objects"


@pytest.fixture
def objects(folder: Path) -> Objects:
    return open_objects(folder.as_uri())


@pytest.fixture
def rows() -> Rows:
    return Rows()


def _age(folder: Path, *keys: str, hours: float = 2) -> None:
    for key in keys:
        path = folder / key
        then = path.stat().st_mtime - hours * 3600
        os.utime(path, (then, then))


def _find(objects: Objects, rows: Rows) -> set[str]:
    return {orphan.key for orphan in find_orphans(objects, cast("Store", rows))}


def test_an_old_pack_that_no_row_names_is_an_orphan(
    objects: Objects, folder: Path, rows: Rows
) -> None:
    lost, kept = submit(objects, accepted()).key, submit(objects, accepted()).key
    rows.named.add(kept)
    _age(folder, lost, kept)
    assert _find(objects, rows) == {lost}


def test_a_young_pack_is_left_alone(objects: Objects, folder: Path, rows: Rows) -> None:
    key = submit(objects, accepted()).key
    _age(folder, key, hours=0.9)
    assert _find(objects, rows) == set()
    younger = find_orphans(objects, cast("Store", rows), older_than=timedelta(minutes=30))
    assert {orphan.key for orphan in younger} == {key}


def test_results_that_came_too_late_are_orphans(objects: Objects, folder: Path, rows: Rows) -> None:
    job = accepted()
    rows.known.add(job.id)
    rows.parts.append(task_of(job, execution_id="exec_that_was_first"))
    key, _ = end(objects, [completed(task_of(job))], by=execution(task_of(job)))
    _age(folder, key)
    assert _find(objects, rows) == {key}


def test_the_end_of_a_task_that_had_been_cancelled_is_kept(
    objects: Objects, folder: Path, rows: Rows
) -> None:
    job = accepted()
    by = execution(task_of(job))
    key, _ = end(objects, [completed(task_of(job))], by=by)
    _age(folder, key)
    rows.parts.append(task_of(job, execution_id=by.id, state=TaskState.CANCELLED))
    assert _find(objects, rows) == set()


def test_what_was_asked_of_a_job_is_kept_with_it(
    objects: Objects, folder: Path, rows: Rows
) -> None:
    job = accepted()
    rows.known.add(job.id)
    key, data = pack_requests(Asked.CANCEL, [task_of(job)])
    objects.put({key: data})
    _age(folder, key)
    assert _find(objects, rows) == set()
    rows.known.clear()
    assert _find(objects, rows) == {key}


def test_the_end_of_a_failed_task_is_kept_with_its_job(
    objects: Objects, folder: Path, rows: Rows
) -> None:
    job = accepted()
    rows.known.add(job.id)
    key, _ = end(objects, [failed(task_of(job))], by=execution(task_of(job)))
    _age(folder, key)
    assert _find(objects, rows) == set()
    rows.known.clear()
    assert _find(objects, rows) == {key}


def test_what_was_sent_is_kept_with_its_job(objects: Objects, folder: Path, rows: Rows) -> None:
    job = accepted()
    rows.known.add(job.id)
    key = send(objects, execution(task_of(job)), task_of(job))
    _age(folder, key)
    assert _find(objects, rows) == set()
    rows.known.clear()
    assert _find(objects, rows) == {key}


def test_the_end_of_an_execution_that_gave_its_tasks_back_is_kept(
    objects: Objects, folder: Path, rows: Rows
) -> None:
    by = execution(task_of(accepted()), state=ExecutionState.FAILED)
    key, _ = end(objects, [], by=by)
    _age(folder, key)
    assert _find(objects, rows) == set()


def test_a_damaged_pack_is_nobodys_to_delete(objects: Objects, folder: Path, rows: Rows) -> None:
    key = submit(objects, accepted()).key
    (folder / key).write_bytes(b"")
    _age(folder, key)
    assert _find(objects, rows) == set()


def test_finding_deletes_nothing_until_asked(objects: Objects, folder: Path, rows: Rows) -> None:
    key = submit(objects, accepted()).key
    _age(folder, key)
    orphans = list(find_orphans(objects, cast("Store", rows)))
    assert objects.get([key])
    delete_orphans(objects, orphans)
    with pytest.raises(NotFound):
        objects.get([key])


def test_compiled_programs_are_kept_however_old_for_executions_name_them(
    objects: Objects, folder: Path, rows: Rows
) -> None:
    old, new = (f"compiled/{key[:2]}/{key}.qpy" for key in ("a" * 64, "b" * 64))
    objects.put({old: b"QISKIT...", new: b"QISKIT..."})
    _age(folder, new, hours=29 * 24)
    _age(folder, old, hours=31 * 24)
    assert _find(objects, rows) == set()
