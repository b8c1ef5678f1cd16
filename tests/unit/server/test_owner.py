"""The data folder is its owner's alone."""

import os
from contextlib import closing
from pathlib import Path

import pytest

from quanopy.domain.errors import Unavailable
from quanopy.server.auth import digest_of_secret
from quanopy.server.owner import (
    CATALOGUE,
    LOCK,
    SERVER,
    TOKEN,
    announced,
    open_folder,
    owner_token,
    sole,
)
from quanopy.server.settings import Settings
from quanopy.storage.store import open_store


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


def test_a_token_file_that_a_killed_server_left_empty_is_made_anew(tmp_path: Path) -> None:
    with closing(open_store(f"sqlite:///{tmp_path / CATALOGUE}")) as store:
        (tmp_path / TOKEN).touch(mode=0o600)
        secret = owner_token(store, tmp_path)
        assert len(secret) > 20
        assert owner_token(store, tmp_path) == secret
        assert store.token(digest_of_secret("")) is None
    assert (tmp_path / TOKEN).read_text() == f"{secret}\n"
    assert mode(tmp_path / TOKEN) == 0o600


def test_nobody_is_shown_half_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there: list[bool] = []
    sync = os.fsync

    def look(descriptor: int) -> None:
        there.append((tmp_path / TOKEN).exists())
        sync(descriptor)

    with closing(open_store(f"sqlite:///{tmp_path / CATALOGUE}")) as store:
        monkeypatch.setattr(os, "fsync", look)
        owner_token(store, tmp_path)
        monkeypatch.undo()
    assert there == [False]


def test_what_cannot_be_put_in_its_place_is_left_nowhere(tmp_path: Path) -> None:
    (tmp_path / SERVER / "something").mkdir(parents=True)
    with pytest.raises(OSError, match=SERVER), announced(tmp_path, {"url": "http://127.0.0.1"}):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [SERVER]
