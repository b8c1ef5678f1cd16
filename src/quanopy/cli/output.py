"""What commands show: one JSON document for scripts, tables and bars for people."""

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn
    from rich.text import Text

    from quanopy.client.results import EstimatePub, Result, SamplePub
    from quanopy.wire.jobs import JobOut

WIDE = 200
"""Columns of a table that goes to a file or pipe, where its cells can be folded to that."""
FOLDED = 40
"""Columns to which text of several words may be folded, whatever its words."""
MOST_OUTCOMES = 16
BAR = 30
LABEL = 60
"""Letters of what a value is of, at most."""
JOB_COLUMNS = (
    *("id", "name", "kind", "resource", "state"),
    *("pubs", "shots", "submitted", "took", "problem"),
)
COLOURS = {"completed": "green", "failed": "red", "cancelled": "yellow", "running": "cyan"}


def emit(document: Any) -> None:
    """Print one JSON document on standard output."""
    typer.echo(json.dumps(document, indent=2 if sys.stdout.isatty() else None))


def done(said: str, document: Any, *, as_json: bool) -> None:
    """Say what was done, to whom it may concern."""
    if as_json:
        emit(document)
    else:
        typer.echo(said, err=True)


def emit_all(models: "Iterable[BaseModel]") -> None:
    """Print models as one JSON array."""
    emit([model.model_dump(mode="json") for model in models])


def console() -> "Console":
    """Where tables go."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else WIDE, highlight=False)


def progress(*, quiet: bool = False) -> "Progress":
    """A bar on stderr, only where a person looks, and not where that is to be ``quiet``."""
    return _progress(quiet)


def transfer(*, quiet: bool = False) -> "Progress":
    """The same of bytes that come or go: how many, how fast, and how many there are to be."""
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        TextColumn,
        TimeElapsedColumn,
        TransferSpeedColumn,
    )

    said = TextColumn("{task.description}")
    return _progress(
        quiet, said, BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeElapsedColumn()
    )


def _progress(quiet: bool, *columns: "ProgressColumn") -> "Progress":
    from rich.console import Console
    from rich.progress import Progress

    disable = quiet or not sys.stderr.isatty()
    return Progress(*columns, console=Console(stderr=True), transient=True, disable=disable)


def show_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], out: "Console | None" = None
) -> None:
    """Print a table; cells are plain text, never markup. What is one word, such as an id, is never
    cut: in a terminal too narrow for that each row becomes lines of its own."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    cells = [
        [Text(_cell(value), style=COLOURS.get(str(value), "")) for value in row] for row in rows
    ]
    out = out or console()
    widths = _widths(columns, [[cell.plain for cell in row] for row in cells], out.width)
    width = sum(widths) + _around(len(widths))
    if width > out.width and out.is_terminal:
        _show_apart(out, columns, cells)
        return
    table = Table(box=box.SIMPLE_HEAD, show_header=any(columns))
    for column, wide in zip(columns, widths, strict=True):
        table.add_column(column, width=wide, overflow="fold")
    for row in cells:
        table.add_row(*row)
    out.width = max(width, out.width)  # A file has room.
    out.print(table)


def _around(columns: int) -> int:
    """What a table needs beside its cells."""
    return 3 * columns + 1


def _widths(columns: Sequence[str], rows: Sequence[Sequence[str]], room: int) -> list[int]:
    """How wide each column is: as its widest cell, or less where cells of several words may be
    folded for all to fit."""
    from rich.cells import cell_len

    def least(cell: str) -> int:
        words = [cell_len(word) for word in cell.split()] or [0]
        return words[0] if len(words) == 1 else min(FOLDED, max(words))

    cells = [[column, *(row[place] for row in rows)] for place, column in enumerate(columns)]
    widths = [max(map(cell_len, column)) for column in cells]
    bounds = [max(map(least, column)) for column in cells]
    while sum(widths) + _around(len(widths)) > room:
        spare = [place for place, wide in enumerate(widths) if wide > bounds[place]]
        if not spare:
            break
        widths[max(spare, key=lambda place: widths[place])] -= 1
    return widths


def _show_apart(out: "Console", columns: Sequence[str], rows: "Sequence[Sequence[Text]]") -> None:
    """Each row on lines of its own; what is empty is left out."""
    from rich.text import Text

    for row in rows:
        said = [
            Text.assemble((f"{column}: " if column else "", "dim"), cell)
            for column, cell in zip(columns, row, strict=True)
            if cell.plain
        ]
        line = Text()
        for one in said:
            if line.plain.strip() and len(line) + 3 + len(one) > out.width:
                out.print(line, soft_wrap=True)
                line = Text("   ")
            line.append_text(Text("  ") if line.plain else Text("")).append_text(one)
        out.print(line, soft_wrap=True)


def counted(number: int, what: str, many: str | None = None) -> str:
    """``1 job``, ``2 jobs``; ``many`` where an ``s`` does not do."""
    return f"{number:,} {what if number == 1 else many or what + 's'}"


def show_jobs(jobs: "Sequence[JobOut]", *, none: str = "no jobs") -> None:
    """Print jobs as a table, or that there are none."""
    if not jobs:
        typer.echo(none, err=True)
        return
    grouped = any(job.group for job in jobs)
    show_table(
        (*JOB_COLUMNS, "group") if grouped else JOB_COLUMNS,
        (
            (
                *(job.id, job.name, job.kind, job.resource, job.state, job.pubs, job.shots),
                job.created_at.astimezone(),
                _took(job),
                job.problem and job.problem.message,
                *((job.group,) if grouped else ()),
            )
            for job in jobs
        ),
    )


def show_result(result: "Result[Any]", observables: Sequence[Any] = ()) -> None:
    """Print a result: bars of the likeliest outcomes, or expectation values with errors, beside
    the ``observables`` of their pubs, where these are known."""
    from quanopy.domain.errors import NotReady
    from quanopy.domain.jobs import JobKind

    out = console()
    missing = set(result.missing)
    for index in range(len(result)):
        if len(result) > 1:
            out.print(f"pub {index}", style="bold")
        if index in missing:
            out.print("  not all there yet", style="yellow")
        try:
            if result.kind is JobKind.ESTIMATE:
                _show_values(out, result[index], observables[index] if observables else None)
            else:
                _show_counts(out, result[index])
        except NotReady:
            continue  # nothing of it at all


def _show_counts(out: "Console", pub: "SamplePub") -> None:
    counts = pub.counts
    total = sum(counts.values()) or 1
    likeliest = sorted(counts.items(), key=lambda item: -item[1])
    for outcome, count in likeliest[:MOST_OUTCOMES]:
        bar = "█" * round(BAR * count / likeliest[0][1])
        out.print(f"  {outcome}  {count:>9,}  {count / total:7.2%}  {bar}", soft_wrap=True)
    if len(likeliest) > MOST_OUTCOMES:
        out.print(f"  and {len(likeliest) - MOST_OUTCOMES:,} other outcomes")


def _show_values(out: "Console", pub: "EstimatePub", observables: Any) -> None:
    from quanopy.cli.observables import label

    values = list(zip(pub.flat_evs, pub.flat_stds, strict=True))[:MOST_OUTCOMES]
    of = [
        "" if observables is None else _shortened(label(observables, pub.shape, place))
        for place in range(len(values))
    ]
    width = max(map(len, of), default=0)
    for name, (value, error) in zip(of, values, strict=True):
        line = f"  {name:<{width}}  {value:+.6f} ± {error:.2g}"
        out.print(line, soft_wrap=True, markup=False)
    if len(pub.flat_evs) > len(values):
        out.print(f"  and {len(pub.flat_evs) - len(values):,} other values")


def _shortened(text: str) -> str:
    return text if len(text) <= LABEL else f"{text[: LABEL - 1]}…"


def _took(job: "JobOut") -> str:
    if job.started_at is None:
        return ""
    return f"{((job.ended_at or datetime.now(UTC)) - job.started_at).total_seconds():.2f} s"


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
