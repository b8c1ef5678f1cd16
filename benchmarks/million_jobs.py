"""Submitting and listing with 1,000,000 jobs in the catalogue, beside an empty one."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from itertools import count

import psycopg

from benchmarks.measure import Measure, p95, report, seconds
from benchmarks.noop_tasks import databases, submission
from quanopy.domain.jobs import Job, JobKind
from quanopy.domain.resources import Resource
from quanopy.domain.states import JobState, TaskState
from quanopy.ports.store import JobQuery, Store, Submission
from quanopy.storage.store import open_store

JOBS = 1_000_000
BATCH = 5_000
ROUNDS = 60
LIMIT = 2.0
_FINISHED = 0.999
"""The share of old jobs that have ended; the rest waits."""


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
    state = JobState.COMPLETED if number % 1000 < 1000 * _FINISHED else JobState.QUEUED
    return replace(
        job,
        state=state,
        kind=JobKind.ESTIMATE if number % 100 == 0 else JobKind.SAMPLE,
        resource=f"qpu-{number % 50}",
        name=f"run-{number % 10_000}",
        tags=(f"tag-{number % 1_000}",),
        created_at=job.created_at - timedelta(days=365) + timedelta(seconds=number * 30),
    )


QUERIES: Mapping[str, JobQuery] = {
    "newest": JobQuery(account="alice"),
    "by state": JobQuery(account="alice", states=(JobState.QUEUED,)),
    "by two states": JobQuery(account="alice", states=(JobState.QUEUED, JobState.RUNNING)),
    "by resource": JobQuery(account="alice", resource="qpu-7"),
    "by kind": JobQuery(account="alice", kind=JobKind.ESTIMATE),
    "by tag": JobQuery(account="alice", tag="tag-5"),
    "by name": JobQuery(account="alice", name="run-77"),
    "by prefix": JobQuery(account="alice", name_prefix="run-77"),
    "all accounts": JobQuery(),
}


def measure() -> list[Measure]:
    """The 95th percentile of each, full against empty, on both databases."""
    with databases() as urls:
        return [one for name, url in urls.items() for one in _measure(name, url)]


def _measure(name: str, url: str) -> list[Measure]:
    store = open_store(url)
    try:
        store.register("worker_noop", [Resource(name="noop", provider="noop")], ttl_s=3600.0)
        numbers = count()
        store.submit([varied(BATCH, numbers)])  # A page of every kind, and warm caches.
        empty = {what: _p95(act) for what, act in _acts(store).items()}
        _fill(store, numbers)
        if url.startswith("postgresql"):
            _analyse(url)
        full = {what: _p95(act) for what, act in _acts(store).items()}
    finally:
        store.close()
    return [_compared(name, what, full[what], empty[what]) for what in empty]


def _fill(store: Store, numbers: Iterator[int]) -> None:
    began = time.perf_counter()
    for _ in range(JOBS // BATCH):
        store.submit([varied(BATCH, numbers)])
    print(f"filled in {time.perf_counter() - began:.0f} s", file=sys.stderr)


def _analyse(url: str) -> None:
    """What autovacuum does by itself within minutes of such a load."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


def _acts(store: Store) -> dict[str, Callable[[], object]]:
    acts: dict[str, Callable[[], object]] = {
        f"list {what}": lambda query=query: store.list_jobs(query)  # type: ignore[misc]
        for what, query in QUERIES.items()
    }
    acts["submit one job"] = lambda: store.submit([submission(1)])
    return acts


def _p95(act: Callable[[], object]) -> float:
    act()
    return p95([seconds(act) * 1_000 for _ in range(ROUNDS)])


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
