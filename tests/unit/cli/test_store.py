"""``quanopy store``: where there is nothing to look after, and where it lies elsewhere."""

import json
from pathlib import Path

from typer.testing import CliRunner

from quanopy.cli.main import app


def store(*arguments: str | Path) -> tuple[int, str]:
    """The exit code of a command, and what it printed."""
    found = CliRunner().invoke(app, ["store", *map(str, arguments)])
    return found.exit_code, found.stdout


def test_looking_after_a_store_that_is_not_there_makes_none(tmp_path: Path) -> None:
    for command in ("verify", "gc", "rebuild"):
        code, out = store(command, "--data", tmp_path / "typo", "--json")
        assert (code, json.loads(out)["where"]) == (66, "--data")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_rebuilt_where_there_is_no_archive(tmp_path: Path) -> None:
    code, out = store("rebuild", "--data", tmp_path, "--json")
    assert (code, json.loads(out)["where"]) == (66, "--data")
    assert list(tmp_path.iterdir()) == []
    elsewhere = ("--data", tmp_path / "new", "--objects", tmp_path.as_uri())
    code, out = store("rebuild", *elsewhere, "--json")
    assert (code, json.loads(out)["where"]) == (66, "--objects")
    assert not (tmp_path / "new").exists()


def test_an_archive_elsewhere_is_verified_without_a_data_folder(tmp_path: Path) -> None:
    where = ("--data", tmp_path / "none", "--objects", (tmp_path / "archive").as_uri())
    code, out = store("verify", *where, "--json")
    assert (code, json.loads(out)["packs"]) == (0, 0)
    assert not (tmp_path / "none").exists()


def test_a_catalogue_is_rebuilt_in_a_new_folder_from_an_archive_elsewhere(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    (archive / "pending").mkdir(parents=True)
    (archive / "pending" / "damaged.tar").write_bytes(b"no pack")
    where = ("--data", tmp_path / "new", "--objects", archive.as_uri())
    code, out = store("rebuild", *where, "--json")
    assert (code, json.loads(out)["packs"]) == (1, 1)
    assert (tmp_path / "new").is_dir()
