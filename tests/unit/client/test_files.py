"""Result files: whole, in their place, and in the place of nothing that is no file."""

import os
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from quanopy.client.files import check_writable, write_atomically
from quanopy.domain.errors import Invalid


def test_a_file_is_replaced_by_a_whole_one(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    for data in (b"first", b"second"):
        check_writable(path)
        write_atomically(path, data)
        assert path.read_bytes() == data
    assert list(tmp_path.iterdir()) == [path]


def test_what_breaks_off_leaves_the_old_one(tmp_path: Path) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"half"
        raise KeyboardInterrupt

    path = tmp_path / "result.json"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, pieces())
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    path, said = tmp_path / "pipe", []
    os.mkfifo(path)
    reader = Thread(target=lambda: said.append(path.read_bytes()))
    reader.start()
    check_writable(path)
    write_atomically(path, [b"as ", b"it comes"])
    reader.join(60)
    assert said == [b"as it comes"]
    assert path.is_fifo()


def test_a_link_stays_and_leads_to_the_new_file(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    link = tmp_path / "latest.json"
    link.symlink_to(folder / "one.json")
    for data in (b"new", b"newer"):
        check_writable(link)
        write_atomically(link, data)
        assert link.is_symlink()
        assert (folder / "one.json").read_bytes() == data


@pytest.mark.parametrize("place", [".", "none/result.json", "file/result.json"])
def test_where_nothing_can_be_written_that_is_said(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / place
    for refuse in (check_writable, lambda path: write_atomically(path, b"x")):
        with pytest.raises(Invalid, match="cannot be written") as raised:
            refuse(path)
        assert raised.value.where == str(path)
    assert [one.name for one in tmp_path.iterdir()] == ["file"]
