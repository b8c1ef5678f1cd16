"""The commands of groups, one after another, as a person uses them on a broker."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from quanopy import Client
from quanopy.cli.main import app

BELL = """OPENQASM 3.0; include "stdgates.inc";
qubit[2] q; bit[2] c; h q[0]; cx q[0], q[1]; c = measure q;"""
PATIENCE = ("--timeout", 100)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A broker; commands find it by ``QUANOPY_DATA``."""
    data = tmp_path_factory.mktemp("b") / "data"
    with (
        pytest.MonkeyPatch.context() as patch,
        Client.embedded(data, emulator_processes=1) as client,
    ):
        patch.setenv("QUANOPY_DATA", str(data))
        yield client


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"t{number}.qasm" for number in range(3)]
    for path in paths:
        path.write_text(BELL)
    return paths


def run(*arguments: object, ends: int = 0) -> str:
    found = CliRunner().invoke(app, [str(one) for one in arguments])
    assert found.exit_code == ends, found.output
    assert "Traceback" not in found.output
    return found.output


def told(*arguments: object) -> Any:
    return json.loads(CliRunner().invoke(app, [*map(str, arguments), "--json"]).stdout)


def test_a_group_from_its_first_command_to_its_last(client: Client, files: list[Path]) -> None:
    name = "ψ [scan] 1"
    run("group", "create", name, "--order", "sequential")
    run("group", "add", name, *files, "--shots", 50)
    third = told("group", "jobs", name)[2]
    waits = run("status", third["id"])
    assert f"is 3 of 3 in group {name}, which is open" in waits
    assert f"waits for its place in group {name}, which is open" in waits
    run("group", "run", name)
    assert f"{name}: done" in run("group", "show", name, "--watch", *PATIENCE)
    assert run("group", "results", name).count("completed") == 3
    assert len(told("jobs", "--group", name)) == 3
    assert told("jobs", "--group", name, "--state", "failed") == []
    run("group", "change", name, "--name", "other", "--max-in-flight", 2)
    assert told("group", "show", "other")["policy"]["max_in_flight"] == 2
    run("group", "rerun", "other")
    run("group", "remove", "other")
    run("group", "show", "other", ends=66)
    assert told("status", third["id"])[0]["group"] is None


def test_an_experiment_is_begun_found_and_shown(
    client: Client, files: list[Path], tmp_path: Path
) -> None:
    cut = ("segment", files[0], "--name", "bell", "-r", "aer-fake-nairobi", "--shots", 100)
    done = run(*cut, "--total-shots", 300, "--wait", *PATIENCE)
    assert "3 of 3 jobs ended" in done
    again = told(*cut, "--total-shots", 300)
    assert (again["size"], again["progress"]["shots"]) == (3, 300)
    assert "total_shots is 300, not 400" in run(*cut, "--total-shots", 400, ends=73)
    assert "it is another program" in run(
        *("segment", write(tmp_path, BELL + " // changed"), *cut[2:], "--total-shots", 300), ends=73
    )
    assert "is of aer-fake-nairobi, not of aer" in run(
        *cut[:5], "aer", *cut[6:], "--total-shots", 300, ends=65
    )
    table = told("group", "segments", "bell", "--outcome", "00")
    assert table["epochs"][0]["shots"] == 300
    run("group", "segments", "bell", "--plot", tmp_path / "bell.svg", "--metric", "T1")
    assert "<svg" in (tmp_path / "bell.svg").read_text()


def write(folder: Path, text: str) -> Path:
    path = folder / "changed.qasm"
    path.write_text(text)
    return path
