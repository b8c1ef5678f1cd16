"""Statements as the drivers take them: written once in SQLAlchemy Core, compiled once a database.

Executing through SQLAlchemy costs 0.1 ms a statement, which is what a database needs for a small
one. So its part here ends with the text. What a statement fixes (a state, a flag) is written out
in it, so that the partial indexes are seen to fit; what its caller gives stays a parameter.
"""

import re
from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Boolean, ReturnsRows
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import BindParameter, ClauseElement

Statement = ClauseElement
Row = Any
"""A named tuple of the columns asked for."""


class _Fixed(SQLCompiler):
    """Writes values out, and leaves a place for parameters alone."""

    def visit_bindparam(self, bindparam: BindParameter[Any], **options: Any) -> Any:  # type: ignore[override]
        if not bindparam.required:
            options["literal_binds"] = True
        return super().visit_bindparam(bindparam, **options)  # type: ignore[no-untyped-call]


def _fixing(dialect: Dialect) -> Dialect:
    compiler = type("Fixed", (_Fixed, dialect.statement_compiler), {})
    dialect.statement_compiler = compiler
    return dialect


_DIALECTS: Mapping[str, Dialect] = {
    "sqlite": _fixing(sqlite.dialect(paramstyle="named")),
    "postgresql": _fixing(psycopg.dialect()),  # type: ignore[no-untyped-call]
}


_PLACE = re.compile(r"%\((\w+)\)s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """A statement's text, and how its rows are made."""

    text: str
    make: Callable[[Iterable[Any]], Row]
    booleans: Sequence[int]
    """Columns that SQLite gives as 0 and 1."""
    preparing: str = ""
    """The text with numbered places, for PostgreSQL's ``PREPARE``."""
    executing: str = ""
    """Asks for what was prepared, ``{}`` in place of its name."""

    def rows(self, found: Iterable[Sequence[Any]]) -> list[Row]:
        """Rows as the driver gives them, with names and types."""
        if self.booleans:
            found = (self._typed(row) for row in found)
        return list(map(self.make, found))

    def _typed(self, row: Sequence[Any]) -> list[Any]:
        values = list(row)
        for index in self.booleans:
            if values[index] is not None:
                values[index] = bool(values[index])
        return values


@cache
def compiled(
    statement: Statement, dialect: str, columns: tuple[str, ...] | None = None
) -> Compiled:
    """A statement for a database; ``columns`` are those that an insert or update is given.

    Kept for ever: statements are constants of their modules, or made once a shape.
    """
    text = str(statement.compile(dialect=_DIALECTS[dialect], column_keys=columns))
    asked = list(statement.exported_columns) if isinstance(statement, ReturnsRows) else []
    named = namedtuple("Row", [column.key or "" for column in asked], rename=True)  # type: ignore[misc]
    places = list(dict.fromkeys(_PLACE.findall(text)))
    numbers = {name: f"${number}" for number, name in enumerate(places, 1)}
    return Compiled(
        text=text,
        preparing=_PLACE.sub(lambda place: numbers[place[1]], text).replace("%%", "%"),
        executing="EXECUTE {}" + _arguments(places),
        make=named._make,
        booleans=[
            index
            for index, column in enumerate(asked)
            if dialect == "sqlite" and isinstance(column.type, Boolean)
        ],
    )


def _arguments(places: Sequence[str]) -> str:
    given = ", ".join(f"%({name})s" for name in places)
    return f"({given})" if given else ""
