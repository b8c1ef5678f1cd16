"""What the log says, and what it leaves out."""

import json
import logging
import re
from collections.abc import Iterator

import pytest

from quanopy.server.logs import set_up_logging


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, put back afterwards."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield root
    root.handlers[:] = before
    root.setLevel(level)


@pytest.mark.parametrize("name", ["alembic.runtime.migration", "uvicorn.error"])
def test_notes_of_libraries_on_what_they_always_do_are_left_out(
    root: logging.Logger, name: str
) -> None:
    set_up_logging("info", "json")
    assert root.isEnabledFor(logging.INFO)
    assert not logging.getLogger(name).isEnabledFor(logging.INFO)
    assert logging.getLogger(name).isEnabledFor(logging.WARNING)


def test_a_quieter_log_keeps_libraries_as_quiet(root: logging.Logger) -> None:
    set_up_logging("error", "json")
    assert not logging.getLogger("alembic").isEnabledFor(logging.WARNING)


@pytest.mark.parametrize("form", ["console", "json"])
def test_a_trace_shows_no_variables(
    root: logging.Logger, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    set_up_logging("info", form)
    secret = "-".join(["qnp", "of", "somebody"])
    try:
        int(secret[:0])
    except ValueError:
        root.exception("it failed")
    logged = capsys.readouterr().err
    assert "ValueError" in logged
    assert secret not in logged


def test_lines_are_for_people(root: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("info", "console")
    logging.getLogger("quanopy.here").warning("%s is away", "Acme")
    line = capsys.readouterr().err
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.]\d{6}Z \[warning \] Acme is away \[quanopy.here\]\n",
        line,
    )


FORGED = "\n2026-01-01T00:00:00.000000Z [error   ] all is lost [quanopy.here]"
MOVED = "\x1b[2J\r\x9b31m\u2028\u202e\ud800"


@pytest.mark.parametrize("text", [FORGED, MOVED, f"{MOVED}{FORGED}"])
def test_what_others_wrote_begins_no_line_and_moves_no_terminal(
    root: logging.Logger, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    set_up_logging("info", "console")
    try:
        raise ValueError(text)
    except ValueError:
        root.exception("job %s failed", text)
    first, *below = capsys.readouterr().err.removesuffix("\n").split("\n")
    assert first.endswith("failed [root]")
    assert all(line.isprintable() for line in (first, *below))
    assert all(line.startswith("  ") for line in below)
    assert "ValueError: " in "".join(below)


def test_what_can_be_read_is_logged_as_it_is(
    root: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logging("info", "console")
    root.warning("%s", "Größe \\n 量子 é")
    assert " Größe \\n 量子 é [root]" in capsys.readouterr().err


def test_machines_read_an_object_a_line(
    root: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logging("info", "json")
    logging.getLogger("quanopy.here").warning("a line\nand another")
    (line,) = capsys.readouterr().err.splitlines()
    said = json.loads(line)
    assert said.pop("timestamp").endswith("Z")
    assert said == {"event": "a line\nand another", "level": "warning", "logger": "quanopy.here"}
