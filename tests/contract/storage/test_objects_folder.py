"""A local folder of objects keeps the contract, and says what is wrong with the disk."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from quanopy.domain.errors import Invalid, Unavailable
from quanopy.domain.jobs import Extent
from quanopy.ports.objects import Objects
from quanopy.storage.objects import open_objects
from quanopy.testing.objects_contract import ObjectsContract


class TestFolder(ObjectsContract):
    @pytest.fixture
    def objects(self, tmp_path: Path) -> Objects:
        return open_objects((tmp_path / "new" / "objects").as_uri())

    @pytest.fixture
    def again(self, tmp_path: Path, objects: Objects) -> Objects:
        return open_objects((tmp_path / "new" / "objects").as_uri())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "objects"


@pytest.fixture
def objects(folder: Path) -> Objects:
    return open_objects(folder.as_uri())


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    mount_point = tmp_path / "disk"
    mount_point.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", mount_point],
        check=False,
        capture_output=True,
        timeout=10,
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a small file system needs root")
    yield mount_point
    subprocess.run(["umount", mount_point], check=True, timeout=10)


def test_a_full_disk_is_said_and_leaves_nothing_behind(small_disk: Path) -> None:
    objects = open_objects(small_disk.as_uri())
    objects.put({"k/small": b"1"})
    with pytest.raises(Unavailable, match="The disk is full"):
        objects.put({"k/first": b"1", "k/large": bytes(2_000_000)})
    assert [info.key for info in objects.list("k")] == ["k/small"]
    objects.put({"k/large": bytes(500_000)})
    assert objects.get(["k/large"]) == [bytes(500_000)]


def test_a_read_only_disk_is_said(small_disk: Path) -> None:
    objects = open_objects(small_disk.as_uri())
    objects.put({"k/a": b"1"})
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True, timeout=10)
    with pytest.raises(Unavailable, match="read-only"):
        objects.put({"k/b": b"2"})
    with pytest.raises(Unavailable, match="read-only"):
        objects.check()
    assert objects.get(["k/a"]) == [b"1"]
    with pytest.raises(Unavailable, match="read-only"):
        objects.delete(["k/a"])
    subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True, timeout=10)
    objects.put({"k/b": b"2"})
    objects.check()


def test_a_folder_that_went_away_is_no_missing_object(folder: Path, objects: Objects) -> None:
    objects.put({"k/a": b"1"})
    away = folder.with_name("away")
    folder.rename(away)
    for ask in (
        lambda: objects.get(["k/a"]),
        lambda: objects.put({"k/b": b"2"}),
        lambda: objects.delete(["k/a"]),
        lambda: list(objects.list("k")),
        objects.check,
    ):
        with pytest.raises(Unavailable, match="is its file system mounted"):
            ask()
    away.rename(folder)
    assert objects.get(["k/a"]) == [b"1"]
    objects.put({"k/b": b"2"})


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match="file/objects"):
        open_objects((tmp_path / "file" / "objects").as_uri())


def test_what_a_killed_process_staged_is_not_an_object_and_goes(folder: Path) -> None:
    objects = open_objects(folder.as_uri())
    staged = folder / ".staging" / "half-written"
    staged.write_bytes(b"half")
    young = folder / ".staging" / "being-written"
    young.write_bytes(b"half")
    os.utime(staged, (0, 0))
    assert list(objects.list("")) == []
    open_objects(folder.as_uri())
    assert not staged.exists()
    assert young.exists()


def test_files_are_synced_before_they_are_seen_and_folders_after(tmp_path: Path) -> None:
    """By the order of the system calls of another process."""
    program = (
        "import os, sys; from quanopy.storage.objects import open_objects\n"
        "calls = []\n"
        "def hook(event, args):\n"
        "    if event in ('os.rename',): calls.append(('rename', os.path.basename(args[1])))\n"
        "real = os.fsync\n"
        "def fsync(fd):\n"
        "    calls.append(('sync', os.path.basename(os.readlink(f'/proc/self/fd/{fd}'))))\n"
        "    real(fd)\n"
        "os.fsync = fsync; sys.addaudithook(hook)\n"
        "objects = open_objects(sys.argv[1])\n"
        "objects.put({'k/day/a': b'1'})\n"
        "print([c if c[0] == 'rename' or c[1] in ('k', 'day', 'objects') else ('sync', 'staged')"
        " for c in calls])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, (tmp_path / "objects").as_uri()],
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.stdout.strip() == str(
        [
            ("sync", "staged"),
            ("sync", "k"),
            ("sync", "objects"),
            ("rename", "a"),
            ("sync", "day"),
        ]
    )


def test_packs_just_put_are_read_without_the_disk(folder: Path, objects: Objects) -> None:
    objects.put({"k/a": b"0123456789"})
    (folder / "k" / "a").unlink()
    assert objects.read([Extent(key="k/a", offset=3, length=2)]) == [b"34"]


@pytest.mark.parametrize(
    "url", ["", "objects", "/objects", "http://x/y", "s3:///x", "file://host/x", "file:"]
)
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(Invalid, match="no URL of an object store"):
        open_objects(url)
