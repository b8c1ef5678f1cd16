"""Each kind of damage to the archive is found and named."""

from collections.abc import Callable
from pathlib import Path

import pytest

from quanopy.codecs.packs import PackBuilder, members
from quanopy.domain.programs import digest_of
from quanopy.ports.objects import Objects
from quanopy.services.packing import pack_submissions
from quanopy.services.recording import Accepted
from quanopy.services.verify import verify
from quanopy.storage.objects import open_objects
from tests.unit.services.archives import (
    NOW,
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
def folder(tmp_path: Path) -> Path:
    return tmp_path / "objects"


@pytest.fixture
def objects(folder: Path) -> Objects:
    return open_objects(folder.as_uri())


def _fill(objects: Objects, job: Accepted | None = None) -> tuple[str, str, str]:
    job = job or accepted(parts=3)
    tasks = [task_of(job, index) for index in range(3)]
    by = execution(*tasks)
    pending = submit(objects, job, accepted("other"))
    sent = send(objects, by, *tasks)
    ended, _ = end(objects, [completed(tasks[0]), failed(tasks[1])], by=by)
    return pending.key, sent, ended


def test_a_sound_archive_has_no_damage(objects: Objects) -> None:
    _fill(objects)
    seen: list[tuple[int, int]] = []
    found = verify(objects, lambda packs, size: seen.append((packs, size)))
    assert found.damaged == ()
    assert found.packs == 3
    assert seen[-1] == (3, found.bytes)


def test_an_empty_archive_is_sound(objects: Objects) -> None:
    assert verify(objects).packs == 0


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[600] ^= 1
    path.write_bytes(data)


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-512])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _rename(path: Path) -> None:
    path.rename(path.with_name("0" * 64 + ".tar"))


def _misplace(path: Path) -> None:
    path.rename(path.with_name("notes.txt"))


@pytest.mark.parametrize("which", range(3))
@pytest.mark.parametrize("damage", [_flip, _truncate, _empty, _rename, _misplace])
def test_a_damaged_object_is_named(
    objects: Objects, folder: Path, which: int, damage: Callable[[Path], None]
) -> None:
    key = _fill(objects)[which]
    damage(folder / key)
    (found,) = verify(objects).damaged
    assert found.key.rpartition("/")[0] == key.rpartition("/")[0]
    assert found.problem


@pytest.mark.parametrize("which", range(3))
def test_what_is_left_of_a_damaged_pack_says_whose_it_is(
    objects: Objects, folder: Path, which: int
) -> None:
    job = accepted(parts=3)
    key = _fill(objects, job)[which]
    _flip(folder / key)
    (found,) = verify(objects).damaged
    assert job.id in found.jobs


def _put_raw(objects: Objects, stage: str, *members: tuple[str, bytes]) -> str:
    builder = PackBuilder(NOW)
    for name, data in members:
        builder.add(name, data)
    key, data = builder.close(stage)
    objects.put({key: data})
    return key


@pytest.mark.parametrize(
    ("stage", "name", "data", "problem"),
    [
        ("pending", "programs/" + "0" * 64, b"x", "another digest than its name"),
        ("pending", "circuits/" + "0" * 64 + ".qpy", b"x", "another digest than its name"),
        ("pending", "jobs.jsonl", b'{"id":"job_1"}\n', "jobs.jsonl line 1 is no record"),
        ("pending", "executions.jsonl", b"{}\n", "executions.jsonl line 1 is no record"),
        ("pending", "requests.jsonl", b"{}\n", "requests.jsonl line 1 is no record"),
        ("completed", "endings.jsonl", b"nothing\n", "endings.jsonl line 1 is no record"),
    ],
)
def test_a_wrong_member_is_named(
    objects: Objects, stage: str, name: str, data: bytes, problem: str
) -> None:
    key = _put_raw(objects, stage, (name, data))
    (found,) = verify(objects).damaged
    assert found.key == key
    assert problem in found.problem


def test_a_record_without_its_programs_is_damage(objects: Objects) -> None:
    packed = pack_submissions([accepted()], NOW)
    extent = packed.jobs[0]
    line = packed.data[extent.offset : extent.offset + extent.length]
    key = _put_raw(objects, "pending", ("jobs.jsonl", line))
    found = verify(objects).damaged
    assert [one.key for one in found] == [key, key]
    assert "names a program" in found[0].problem
    assert "names circuits" in found[1].problem


def test_a_result_of_another_task_is_damage(objects: Objects) -> None:
    one, other = task_of(accepted()), task_of(accepted())
    key, _ = end(objects, [completed(one), completed(other)], by=execution(one, other))
    (data,) = objects.get([key])
    text = {member.name: member.data for member in members(data)}
    swapped = (
        text["endings.jsonl"]
        .replace(one.id.encode(), b"x")
        .replace(other.id.encode(), one.id.encode())
    )
    objects.delete([key])
    _put_raw(
        objects,
        "completed",
        ("results.jsonl", text["results.jsonl"]),
        ("endings.jsonl", swapped.replace(b'"x"', b'"%b"' % other.id.encode())),
    )
    problems = [damage.problem for damage in verify(objects).damaged]
    assert len(problems) == 2
    assert all("where none of its own lies" in problem for problem in problems)


def test_bytes_that_are_no_tar_are_damage(objects: Objects) -> None:
    data = b"no tar at all" * 100
    key = f"pending/2026/03/04/{digest_of(data).removeprefix('sha256:')}.tar"
    objects.put({key: data})
    (found,) = verify(objects).damaged
    assert found.key == key
    assert "not a pack" in found.problem


def test_compiled_programs_are_checked_for_name_and_form(objects: Objects) -> None:
    good, damaged = (f"compiled/{key[:2]}/{key}.qpy" for key in ("a" * 64, "b" * 64))
    objects.put({good: b"QISKIT...", damaged: b"QIS", "compiled/odd.txt": b"QISKIT"})
    found = {damage.key for damage in verify(objects).damaged}
    assert found == {damaged, "compiled/odd.txt"}
