"""Submitting and listing with 1,000,000 jobs in the catalogue, beside an empty one."""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Table,
    Text,
    create_engine,
    func,
    insert,
    literal,
    select,
    text,
)

from benchmarks.measure import Measure, p95, report, seconds
from benchmarks.noop_tasks import submission
from quanopy.domain.jobs import Job, JobKind
from quanopy.domain.resources import Resource
from quanopy.domain.states import JobState, TaskState
from quanopy.ports.jobs import JobQuery
from quanopy.ports.store import Store
from quanopy.ports.submissions import Submission
from quanopy.storage import schema
from quanopy.storage.store import open_store
from tests.servers import PostgresServer

JOBS = 1_000_000
FIRST = 10_000
"""So many jobs are submitted, of every kind; the rest are copies of them, at other times."""
ROUNDS = 200
LIMIT = 2.0
_APART_S = 30
"""Seconds from one old job to the next."""
_TABLES = (schema.jobs, schema.job_states, schema.tasks, schema.job_tags, schema.events)


def varied(jobs: int, numbers: Iterator[int]) -> Submission:
    """Jobs of many names, tags, kinds and resources; most have ended."""
    given = submission(jobs)
    made, tasks = [], []
    for job, task in zip(given.jobs, given.tasks, strict=True):
        number = next(numbers)
        made.append(_varied(job, number))
        ended = made[-1].state is JobState.COMPLETED
        state = TaskState.COMPLETED if ended else TaskState.QUEUED
        tasks.append(replace(task, resource=made[-1].resource, state=state))
    return replace(given, jobs=made, tasks=tasks)


def _varied(job: Job, number: int) -> Job:
    state = JobState.QUEUED if number % 201 == 0 else JobState.COMPLETED
    return replace(
        job,
        state=state,
        kind=JobKind.ESTIMATE if number % 100 == 0 else JobKind.SAMPLE,
        resource=f"qpu-{number % 50}",
        name=f"run-{number % 200}-first",
        tags=(f"tag-{number % 200}",),
        created_at=job.created_at - timedelta(days=365) + timedelta(seconds=number * _APART_S),
    )


QUERIES: Mapping[str, JobQuery] = {
    "newest": JobQuery(account="alice"),
    "by state": JobQuery(account="alice", states=(JobState.QUEUED,)),
    "by two states": JobQuery(account="alice", states=(JobState.QUEUED, JobState.RUNNING)),
    "by resource": JobQuery(account="alice", resource="qpu-7"),
    "by kind": JobQuery(account="alice", kind=JobKind.ESTIMATE),
    "by tag": JobQuery(account="alice", tag="tag-5"),
    "by name": JobQuery(account="alice", name="run-77-first"),
    "by rare prefix": JobQuery(account="alice", name_prefix="run-77-f"),
    "by common prefix": JobQuery(account="alice", name_prefix="run-7"),
    "all accounts": JobQuery(),
}


def measure() -> list[Measure]:
    """The 95th percentile of each, full against nearly empty, on both databases."""
    return [one for name, urls in _databases() for one in _measure(name, *urls)]


def _databases() -> Iterator[tuple[str, tuple[str, str]]]:
    with tempfile.TemporaryDirectory() as folder:
        files = [f"sqlite:///{Path(folder) / name}.db" for name in ("full", "empty")]
        yield "SQLite", (files[0], files[1])
    with PostgresServer(durable=True) as server, server.database() as empty:
        yield "Postgres", (server.dsn, empty)


def _measure(name: str, full_url: str, empty_url: str) -> list[Measure]:
    with _store(full_url) as full, _store(empty_url) as empty:
        began = time.perf_counter()
        fill(full_url)
        print(f"{name} filled in {time.perf_counter() - began:.0f} s", file=sys.stderr)
        acts = zip(_acts(full).items(), _acts(empty).values(), strict=True)
        return [_compared(name, what, *_p95(act, beside)) for (what, act), beside in acts]


@contextmanager
def _store(url: str) -> Iterator[Store]:
    """A catalogue with a page of every kind."""
    store = open_store(url)
    try:
        names = ["noop", *(f"qpu-{number}" for number in range(50))]
        served = [Resource(name=name, provider="noop") for name in names]
        store.register("worker_noop", served, ttl_s=3600.0)
        store.submit([varied(FIRST, count())])
        yield store
    finally:
        store.close()


def fill(url: str) -> None:
    """Copy what was submitted until there are so many, within the database."""
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    postgres = engine.dialect.name == "postgresql"
    with engine.begin() as connection:
        if postgres:  # What is copied refers to what is copied with it.
            connection.execute(text("SET LOCAL session_replication_role = replica"))
        for table in _TABLES:
            _copy(connection, table)
    # What autovacuum does by itself within minutes of such a load, and checkpoints do.
    after = "VACUUM ANALYZE" if postgres else "PRAGMA wal_checkpoint(TRUNCATE)"
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(after))
    engine.dispose()


def _copy(connection: Connection, table: Table) -> None:
    copies = select(literal(1, BigInteger).label("number")).cte("copies", recursive=True)
    following = select(copies.c.number + 1).where(copies.c.number < JOBS // FIRST - 1)
    copies = copies.union_all(following)
    hexadecimal = (
        func.lpad(func.to_hex(copies.c.number), 12, "0")
        if connection.dialect.name == "postgresql"
        else func.printf("%012x", copies.c.number)
    )
    columns = [column for column in table.c if column is not schema.events.c.seq]
    picked = [_changed(column, copies.c.number, hexadecimal) for column in columns]
    source = select(*picked).select_from(copies.join(table, literal(value=True)))
    connection.execute(insert(table).from_select([c.name for c in columns], source))


def _changed(
    column: ColumnElement[Any], number: ColumnElement[int], hexadecimal: ColumnElement[str]
) -> ColumnElement[Any]:
    """A column of a copy: in ids, the number of the copy stands for the time."""
    if column.key in ("created_at", "queued_at"):
        return column + number * (FIRST * _APART_S * 1_000_000)
    if column is schema.jobs.c.name:
        return func.replace(column, "first", hexadecimal)
    if column.key in ("id", "job_id", "subject"):
        kind = "task_" if column is schema.tasks.c.id else "job_"
        return literal(kind, Text) + hexadecimal + func.substr(column, len(kind) + 13)
    return column


def _acts(store: Store) -> dict[str, Callable[[], object]]:
    acts: dict[str, Callable[[], object]] = {
        f"list {what}": lambda query=query: store.list_jobs(query)  # type: ignore[misc]
        for what, query in QUERIES.items()
    }
    acts["submit one job"] = lambda: store.submit([submission(1)])
    return acts


def _p95(act: Callable[[], object], beside: Callable[[], object]) -> tuple[float, float]:
    """Of both in turns, so that what else the machine does is the same for both."""
    act(), beside()
    pairs = [(seconds(act) * 1_000, seconds(beside) * 1_000) for _ in range(ROUNDS)]
    return p95([pair[0] for pair in pairs]), p95([pair[1] for pair in pairs])


def _compared(name: str, what: str, full: float, empty: float) -> Measure:
    return Measure(
        measure=f"{what}, {JOBS:,} jobs, p95, {name}",
        value=full,
        unit="ms",
        peer=empty,
        goal=f"<= {LIMIT:g} x empty",
        holds=full <= LIMIT * empty,
    )


if __name__ == "__main__":
    report(measure())
