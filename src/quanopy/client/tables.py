"""Tables of results, for terminals and notebooks; cells are plain text, never markup."""

import io
import math
from collections.abc import Collection, Sequence
from html import escape
from typing import Any

Cells = Sequence[Sequence[str]]


def shown(value: float, error: float) -> str:
    """A number with its error, to the error's two leading digits."""
    if not error or not math.isfinite(error):
        return f"{value:.6g}"
    digits = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def as_rich(
    columns: Sequence[str],
    rows: Cells,
    *,
    left: Collection[str] = (),
    styles: Sequence[str] = (),
    total: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> Any:
    """What rich prints: rows, each in its style, a last one of all, and notes below. Columns but
    those on the ``left`` hold numbers."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD)
    for column in columns:
        side: Any = "left" if column in left else "right"
        table.add_column(Text(column), justify=side, no_wrap=True)
    for place, cells in enumerate(rows):
        table.add_row(*map(Text, cells), style=styles[place] if styles else None)
    if total:
        table.add_section()
        table.add_row(*map(Text, total), style="bold")
    return Group(table, *(Text(note, style="yellow") for note in notes))


def as_html(
    columns: Sequence[str],
    rows: Cells,
    *,
    colours: Sequence[str] = (),
    total: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> str:
    """The same for a notebook, each row in its colour."""
    body = [
        _row(cells, "td", f' style="color: {colours[place]}"' if colours and colours[place] else "")
        for place, cells in enumerate(rows)
    ]
    last = _row(total, "th") if total else ""
    below = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return (
        f"<table><thead>{_row(columns, 'th')}</thead><tbody>{''.join(body)}{last}</tbody></table>"
        f"{f'<ul>{below}</ul>' if below else ''}"
    )


def as_text(what: Any) -> str:
    """What rich would print of it, without colours."""
    from rich.console import Console

    out = io.StringIO()
    Console(file=out, width=200).print(what)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def _row(cells: Sequence[str], tag: str, style: str = "") -> str:
    return f"<tr{style}>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"
