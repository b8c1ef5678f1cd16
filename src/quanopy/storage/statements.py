"""Statements that take a batch of rows, built once for each table and set of columns."""

from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    Connection,
    Insert,
    Row,
    Select,
    Table,
    Text,
    Update,
    bindparam,
    insert,
    select,
    update,
)

from quanopy.storage import schema
from quanopy.storage.mapping import Values
from quanopy.storage.rows import document, id_rows, ids_document, rows_of

_SPEC = (schema.jobs.c.spec_key, schema.jobs.c.spec_offset, schema.jobs.c.spec_length)


def insert_rows(connection: Connection, table: Table, rows: Sequence[Values]) -> None:
    """Insert these; each has a value for every column of the first."""
    if not rows:
        return
    if _row_by_row(connection):
        connection.execute(insert(table), rows)
    else:
        connection.execute(_insert(table, tuple(rows[0])), {"r": document(rows)})


def update_rows(connection: Connection, table: Table, rows: Sequence[Values]) -> None:
    """Set the given columns of the rows with these ids; each gives the columns of the first."""
    if not rows:
        return
    if _row_by_row(connection):
        keyed = [{("key" if n == "id" else n): row[n] for n in row} for row in rows]
        connection.execute(_update_one(table), keyed)
    else:
        connection.execute(_update(table, tuple(rows[0])), {"r": document(rows)})


def _row_by_row(connection: Connection) -> bool:
    """SQLite has no round trips to save, and takes rows apart slowly."""
    return connection.dialect.name == "sqlite"


def read_ids(
    connection: Connection, statement: Select[Any], ids: Collection[str]
) -> list[Row[Any]]:
    """The rows of a statement that joins :func:`~quanopy.storage.rows.id_rows`."""
    if not ids:
        return []
    return list(connection.execute(statement, {"r": ids_document(sorted(ids))}))


@cache
def _insert(table: Table, columns: tuple[str, ...]) -> Insert:
    rows = rows_of(*(table.c[name] for name in columns))
    return insert(table).from_select(columns, select(*(rows.c[name] for name in columns)))


@cache
def _update_one(table: Table) -> Update:
    return update(table).where(table.c.id == bindparam("key", type_=Text))


@cache
def _update(table: Table, columns: tuple[str, ...]) -> Update:
    rows = rows_of(*(table.c[name] for name in columns))
    values = {name: rows.c[name] for name in columns if name != "id"}
    return update(table).where(table.c.id == rows.c.id).values(values)


def _by_id(table: Table, *columns: Any) -> Select[Any]:
    wanted = id_rows()
    return select(*columns).select_from(wanted.join(table, table.c.id == wanted.c.id))


def with_spec(extra: Select[Any]) -> Select[Any]:
    """The same, with the place of each task's job record."""
    return extra.join(schema.jobs, schema.jobs.c.id == schema.tasks.c.job_id).add_columns(*_SPEC)


JOBS = _by_id(schema.jobs, schema.jobs).order_by(schema.jobs.c.id)
EXECUTIONS = _by_id(schema.executions, schema.executions).order_by(schema.executions.c.id)
LOCKED_EXECUTIONS = EXECUTIONS.with_for_update(of=schema.executions)
TASKS = with_spec(_by_id(schema.tasks, schema.tasks)).order_by(schema.tasks.c.id)
LOCKED_TASKS = (
    _by_id(
        schema.tasks,
        schema.tasks.c.id,
        schema.tasks.c.job_id,
        schema.tasks.c.account,
        schema.tasks.c.resource,
        schema.tasks.c.state,
        schema.tasks.c.claim_id,
        schema.tasks.c.execution_id,
        schema.tasks.c.attempt,
        schema.tasks.c.estimate_s,
        schema.tasks.c.cancel_requested,
        schema.tasks.c.lost,
        schema.tasks.c.queued_at,
        schema.tasks.c.started_at,
    )
    .order_by(schema.tasks.c.id)
    .with_for_update(of=schema.tasks)
)
"""What a transition needs to know of tasks, locked in the order of their ids, so that two
transactions never wait for each other. Always executions first, then tasks, jobs and claims."""
LOCKED_JOBS = (
    _by_id(
        schema.jobs,
        schema.jobs.c.id,
        schema.jobs.c.account,
        schema.jobs.c.state,
        schema.jobs.c.created_at,
        schema.jobs.c.tasks,
        schema.jobs.c.started_at,
        schema.jobs.c.ended_at,
        schema.jobs.c.problem,
        schema.jobs.c.held,
    )
    .order_by(schema.jobs.c.id)
    .with_for_update(of=schema.jobs)
)
