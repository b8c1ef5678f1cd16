"""Tables fit where they are shown, and what names a thing is never cut."""

from io import StringIO

import pytest
from rich.console import Console
from typer.testing import CliRunner

from quanopy.cli.main import app
from quanopy.cli.output import show_table

COLUMNS = ("id", "state", "", "why")
ID = "exec_01a1ffc670477000ab46bcbe59e5cc04"
WHY = "the provider does not know this execution any more"
ROWS = [(ID, "failed", None, WHY), (ID[::-1], None, "described", None)]


def shown(width: int, *, terminal: bool) -> list[str]:
    out = Console(width=width, file=StringIO(), force_terminal=terminal, color_system=None)
    show_table(COLUMNS, ROWS, out)
    assert isinstance(out.file, StringIO)
    return out.file.getvalue().splitlines()


@pytest.mark.parametrize("terminal", [True, False])
def test_words_are_folded_and_names_are_whole(terminal: bool) -> None:
    lines = shown(90, terminal=terminal)
    assert max(map(len, lines)) <= 90
    assert ID in "\n".join(lines)
    assert ID[::-1] in "\n".join(lines)
    assert "the provider does not" in "\n".join(lines)


def test_a_narrow_terminal_has_rows_on_lines_of_their_own() -> None:
    assert shown(50, terminal=True) == [
        f"id: {ID}",
        "     state: failed",
        f"     why: {WHY}",
        f"id: {ID[::-1]}",
        "     described",
    ]


def test_a_narrow_file_has_a_table_as_wide_as_it_must_be() -> None:
    lines = shown(50, terminal=False)
    assert any(ID in line for line in lines)
    assert not any("…" in line for line in lines)
    assert sum("execution" in line for line in lines) == 1


def test_help_says_of_each_command_a_whole_sentence() -> None:
    for group in ([], ["resources"], ["stranded"], ["dev"], ["store"], ["token"], ["vqpu"]):
        said = CliRunner().invoke(app, [*group, "--help"]).stdout
        assert "..." not in said.partition("Commands:")[2]


def test_columns_without_names_have_no_head() -> None:
    out = Console(width=80, file=StringIO())
    show_table(("", ""), [("id", ID), ("state", "failed")], out)
    assert isinstance(out.file, StringIO)
    lines = out.file.getvalue().splitlines()
    assert [line.split() for line in lines if line.strip()] == [["id", ID], ["state", "failed"]]
