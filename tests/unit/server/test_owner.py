"""The data folder is its owner's alone."""

import os
from pathlib import Path

import pytest

from quanopy.domain.errors import Unavailable
from quanopy.server.owner import CATALOGUE, LOCK, open_folder, sole
from quanopy.server.settings import Settings


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_new_folder_and_one_of_ours_are_closed_to_others(tmp_path: Path) -> None:
    new, empty, used = tmp_path / "new", tmp_path / "empty", tmp_path / "used"
    for folder in (empty, used):
        folder.mkdir()
        folder.chmod(0o755)
    (used / CATALOGUE).touch()
    for folder in (new, empty, used):
        open_folder(folder)
        assert mode(folder) == 0o700
    assert Settings(data=used).database_url.endswith(CATALOGUE)


def test_a_folder_of_something_else_is_left_as_it_is_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "thesis.tex").touch()
    shared.chmod(0o755)
    open_folder(shared)
    assert mode(shared) == 0o755
    assert "open to other users" in caplog.text


def test_a_lock_names_its_holder_until_that_stops_and_another_cannot_have_it(
    tmp_path: Path,
) -> None:
    lock = tmp_path / LOCK
    lock.write_text("12345678 died here\n")
    with sole(tmp_path):
        with pytest.raises(Unavailable, match="already runs"), sole(tmp_path):
            pass
        assert lock.read_text() == f"{os.getpid()}\n"
    assert lock.read_text() == ""
