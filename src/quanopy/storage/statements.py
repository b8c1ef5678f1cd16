"""Statements that take a batch of rows, built once for each table and set of columns.

SQLite has no round trips to save and takes documents apart slowly: it gets row by row.
"""

from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Insert, Select, Table, Text, Update, bindparam, insert, select, true, update
from sqlalchemy.dialects import postgresql, sqlite

from quanopy.storage import schema
from quanopy.storage.compiled import Row
from quanopy.storage.rows import document, id_rows, ids_document, rows_of
from quanopy.storage.transaction import (
    Asked,
    PostgresTransaction,
    SqliteTransaction,
    Transaction,
)
from quanopy.storage.values import Values

_SPEC = (schema.jobs.c.spec_key, schema.jobs.c.spec_offset, schema.jobs.c.spec_length)

MANY = 100
"""Rows that PostgreSQL takes faster by themselves (``COPY``) than in a message with others."""


def insert_rows(connection: Transaction, table: Table, rows: Sequence[Values]) -> None:
    """Insert these; each has a value for every column of the first."""
    if not rows:
        return
    columns = tuple(rows[0])
    if isinstance(connection, SqliteTransaction):
        connection.each(_insert_one(table), columns, rows)
    elif isinstance(connection, PostgresTransaction) and len(rows) >= MANY:
        connection.copy(table.name, rows)
    else:
        connection.later(_insert(table, columns), {"r": document(rows)})


def keep_rows(connection: Transaction, table: Table, rows: Sequence[Values]) -> None:
    """Insert those of these that are not there; each has a value for every column."""
    if rows:
        connection.later(_keep(connection.dialect, table), {"r": document(rows)})


def update_rows(connection: Transaction, table: Table, rows: Sequence[Values]) -> None:
    """Set the given columns of the rows with these ids; each gives the columns of the first."""
    if not rows:
        return
    columns = tuple(rows[0])
    if isinstance(connection, SqliteTransaction):
        changed = tuple(name for name in columns if name != "id")
        connection.each(_update_one(table), changed, rows)
    else:
        connection.later(_update(table, columns), {"r": document(rows)})


def read_ids(connection: Transaction, statement: Select[Any], ids: Collection[str]) -> list[Row]:
    """The rows of a statement that joins :func:`~quanopy.storage.rows.id_rows`."""
    if not ids:
        return []
    return connection.execute(*by_ids(statement, ids))


def by_ids(statement: Select[Any], ids: Collection[str]) -> Asked:
    """The same, to be asked together with others."""
    return statement, {"r": ids_document(sorted(ids))}


@cache
def _insert(table: Table, columns: tuple[str, ...]) -> Insert:
    rows = rows_of(*(table.c[name] for name in columns))
    return insert(table).from_select(columns, select(*(rows.c[name] for name in columns)))


@cache
def _insert_one(table: Table) -> Insert:
    return insert(table)


@cache
def _keep(dialect: str, table: Table) -> Insert:
    rows, names = rows_of(*table.c), table.c.keys()
    source = select(*(rows.c[name] for name in names)).where(true()).order_by(rows.c[names[0]])
    insertion = sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)
    return insertion.from_select(names, source).on_conflict_do_nothing()


@cache
def _update_one(table: Table) -> Update:
    return update(table).where(table.c.id == bindparam("id", type_=Text))


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
        schema.tasks.c.ready_at,
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
        schema.jobs.c.group_id,
        schema.jobs.c.position,
        schema.jobs.c.blocked,
        schema.jobs.c.followed,
        schema.jobs.c.imported,
    )
    .order_by(schema.jobs.c.id)
    .with_for_update(of=schema.jobs)
)
_tasks = id_rows()
_LOCKED_COLUMNS = [schema.jobs.c[name] for name in LOCKED_JOBS.exported_columns.keys()]  # noqa: SIM118
LOCKED_JOBS_OF = (
    select(*_LOCKED_COLUMNS)
    .where(
        schema.jobs.c.id.in_(
            select(schema.tasks.c.job_id).join(_tasks, _tasks.c.id == schema.tasks.c.id)
        )
    )
    .order_by(schema.jobs.c.id)
    .with_for_update(of=schema.jobs)
)
"""The jobs of tasks, so that both can be locked at once."""
