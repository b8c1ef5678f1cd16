"""How commands end: what a refusal says in a shell, and what is left when output cannot be."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest
import typer

from quanopy.cli.exits import explain, goes_on
from quanopy.cli.main import app
from quanopy.domain.errors import Invalid
from tests.unit.cli.broker import OneJob


@pytest.mark.parametrize(
    ("where", "shown"),
    [
        ("options.max_calibration_age", "error: --max-calibration-age: no"),
        ("jobs[3].options.shots", "error: --shots: no"),
        ("requires.qubits", "error: --require qubits: no"),
        ("policy.gap", "error: --gap: no"),
        ("stop.calibration.cx.error", "error: --stop calibration.cx.error: no"),
        ("policy.stop.precision", "error: --stop precision: no"),
        ("tags[0]", "error: --tag: no"),
        ("jobs[0].tags[2]", "error: jobs[0].tags[2]: no"),
        ("expires_in_s", "error: --days: no"),
        ("name", "error: name: no"),
        ("pubs[0].parameters", "error: pubs[0].parameters: no"),
        (None, "error: no"),
    ],
)
def test_fields_of_requests_are_named_as_options(
    where: str | None, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain(Invalid("no", where=where)) == 65
    assert capsys.readouterr().err == f"{shown}\n"


def test_work_that_is_not_waited_for_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt), goes_on("group", "show", "my scan", "--watch"):
        raise KeyboardInterrupt
    said = "it goes on; follow it: quanopy group show 'my scan' --watch\n"
    assert capsys.readouterr().err == said


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Commands that have none below them."""
    below = getattr(command, "commands", None)
    if below is None:
        yield " ".join(path), command
    for name, one in (below or {}).items():
        yield from leaves(one, (*path, name))


def test_every_command_that_ends_speaks_json() -> None:
    services = {"serve", "worker", "vqpu serve"}
    silent = {
        name
        for name, command in leaves(typer.main.get_command(app))
        if not any("--json" in one.opts for one in command.params)
    }
    assert silent == services


def ran(*arguments: str, out: IO[bytes] | int | None = None, **env: str) -> tuple[int, str, str]:
    """The exit code of a command, and what it said on stdout and stderr."""
    found = subprocess.run(
        [sys.executable, "-m", "quanopy", *arguments],
        stdout=subprocess.PIPE if out is None else out,
        stderr=subprocess.PIPE,
        env=os.environ | env,
        timeout=60,
        check=False,
    )
    return found.returncode, (found.stdout or b"").decode(), found.stderr.decode()


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_full_disk_is_said_without_a_traceback(broker: OneJob, options: tuple[str, ...]) -> None:
    with Path("/dev/full").open("wb") as full:
        code, _, said = ran("jobs", *options, out=full)
    assert (code, said) == (
        65,
        "error: the output: cannot be written: No space left on device\n",
    )


def test_a_terminal_that_lacks_letters_is_shown_the_rest(broker: OneJob) -> None:
    code, shown, said = ran("result", broker.id, PYTHONIOENCODING="ascii")
    assert (code, said) == (0, "")
    assert "60.00%  ???" in shown


def test_output_may_be_closed(broker: OneJob) -> None:
    asked = [sys.executable, "-m", "quanopy", "jobs"]
    command = ["sh", "-c", 'exec "$@" >&-', "sh", *asked]
    found = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert (found.returncode, found.stderr) == (0, b"")


def test_scripts_are_told_the_field(capsys: pytest.CaptureFixture[str]) -> None:
    explain(Invalid("no", where="options.shots"), as_json=True)
    assert json.loads(capsys.readouterr().out)["where"] == "options.shots"
