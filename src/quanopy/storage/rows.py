"""Rows as one parameter: a batch of any size is one statement, compiled and cached once.

The rows travel as a JSON document and are unfolded by the database: ``json_to_recordset`` on
PostgreSQL, ``json_each`` on SQLite.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import PydanticSerializationError, to_json
from sqlalchemy import Column, FromClause, Text, bindparam, column
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import BindParameter, ColumnClause
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import BigInteger, TypeEngine

from quanopy.storage.faults import Refused


class _Unfold(FunctionElement[Any]):
    """The document, and the columns to read from each of its rows."""

    inherit_cache = True
    name = "unfold"


class TransactionId(FunctionElement[int]):
    """The id of this transaction, in the order of which events are read; 0 on SQLite, where
    transactions that write follow one another."""

    inherit_cache = True
    name = "transaction_id"
    type = BigInteger()


class Horizon(FunctionElement[int]):
    """Every transaction with an id below this has ended, as this snapshot sees it (PostgreSQL)."""

    inherit_cache = True
    name = "horizon"
    type = BigInteger()


class Future(FunctionElement[int]):
    """No transaction that this snapshot shows has this id or a later one (PostgreSQL)."""

    inherit_cache = True
    name = "future"
    type = BigInteger()


def rows_of(*columns: Column[Any] | ColumnClause[Any], name: str = "r") -> FromClause:
    """A selectable of the rows given as parameter ``name`` (see :func:`document`)."""
    plain = [column(c.name, c.type) for c in columns]
    return _Unfold(bindparam(name, type_=Text), *plain).table_valued(*plain, name=name)


def document(rows: Sequence[Mapping[str, object]]) -> str:
    """The parameter that carries these rows; raises :class:`~quanopy.storage.faults.Refused` for
    text that is none (half a surrogate pair)."""
    try:
        return to_json(rows).decode()
    except PydanticSerializationError as error:
        raise Refused(duplicate=False) from error


def id_rows(name: str = "r") -> FromClause:
    """A selectable of ids alone (see :func:`ids_document`)."""
    return rows_of(column("id", Text), name=name)


def ids_document(ids: Sequence[str]) -> str:
    """The parameter that carries these ids."""
    return document([{"id": one} for one in ids])


def _parts(element: _Unfold) -> tuple[BindParameter[Any], list[ColumnClause[Any]]]:
    parameter, *columns = element.clauses
    return parameter, columns  # type: ignore[return-value]


@compiles(_Unfold, "postgresql")
def _unfold_postgresql(element: _Unfold, compiler: SQLCompiler, **options: Any) -> str:
    parameter, columns = _parts(element)
    typed = ", ".join(
        f"{compiler.preparer.quote(c.name)} {_sql_type(c.type, compiler)}" for c in columns
    )
    source = compiler.process(parameter, **options)
    return f"(SELECT * FROM json_to_recordset(CAST({source} AS JSON)) AS d({typed}))"  # noqa: S608


@compiles(_Unfold, "sqlite")
def _unfold_sqlite(element: _Unfold, compiler: SQLCompiler, **options: Any) -> str:
    parameter, columns = _parts(element)
    picked = ", ".join(
        f"json_extract(value, '$.{c.name}') AS {compiler.preparer.quote(c.name)}" for c in columns
    )
    source = compiler.process(parameter, **options)
    return f"(SELECT {picked} FROM json_each({source}))"  # noqa: S608


def _sql_type(type_: TypeEngine[Any], compiler: SQLCompiler) -> str:
    return str(compiler.dialect.type_compiler_instance.process(type_))


@compiles(TransactionId, "postgresql")
def _transaction_id_postgresql(*_: object, **__: object) -> str:
    return "pg_current_xact_id()::text::bigint"


@compiles(TransactionId, "sqlite")
def _transaction_id_sqlite(*_: object, **__: object) -> str:
    return "0"


@compiles(Horizon, "postgresql")
def _horizon_postgresql(*_: object, **__: object) -> str:
    return "pg_snapshot_xmin(pg_current_snapshot())::text::bigint"


@compiles(Future, "postgresql")
def _future_postgresql(*_: object, **__: object) -> str:
    return "pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
