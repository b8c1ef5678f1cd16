"""No-op tasks through claim and completion, in batches, with every commit synced to disk."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.measure import Measure, p50, report, seconds
from quanopy.domain.ids import new_id
from quanopy.domain.jobs import Execution, Extent, Job, JobKind, Slice, Task
from quanopy.domain.resources import Resource
from quanopy.domain.states import ExecutionState, JobState, TaskState
from quanopy.ports.claims import Claim, Offer
from quanopy.ports.executions import Ending, TaskEnd
from quanopy.ports.store import Store
from quanopy.ports.submissions import Submission
from quanopy.storage.store import open_store
from tests.servers import PostgresServer

TASKS = 10_000
BATCH = 500
GOAL = 3_000
SUBMIT_GOAL_MS = 60
WORKER = "worker_noop"


def submission(count: int, *, account: str = "alice") -> Submission:
    """Jobs of one task each, for one resource."""
    now = datetime.now(UTC)
    jobs, tasks = [], []
    for index in range(count):
        spec = Extent(key="pending/benchmark.pack", offset=index * 100, length=100)
        jobs.append(_job(account, spec, now))
        tasks.append(_task(jobs[-1], now))
    return Submission(account=account, jobs=jobs, tasks=tasks)


def _job(account: str, spec: Extent, now: datetime) -> Job:
    return Job(
        id=new_id("job"),
        account=account,
        kind=JobKind.SAMPLE,
        resource="noop",
        state=JobState.QUEUED,
        name=None,
        tags=(),
        priority=0,
        pubs=1,
        shots=1024,
        tasks=1,
        spec=spec,
        created_at=now,
    )


def _task(job: Job, now: datetime) -> Task:
    return Task(
        id=new_id("task"),
        job_id=job.id,
        account=job.account,
        resource=job.resource,
        state=TaskState.QUEUED,
        slice=Slice(first=0, count=1),
        priority=0,
        estimate_s=0.0001,
        attempt=0,
        solo=False,
        spec=job.spec,
        ready_at=now,
        queued_at=now,
    )


def work(store: Store) -> int:
    """Claim and complete until nothing is left; how many tasks that were."""
    done = 0
    offer = Offer(resource="noop", tasks=BATCH, seconds=60.0)
    while claims := store.claim(WORKER, [offer], ttl_s=30.0):
        for claim in claims:
            done += len(store.finish(claim.id, [_ending(claim)]).taken)
    return done


def _ending(claim: Claim) -> Ending:
    now = datetime.now(UTC)
    ids = tuple(task.id for task in claim.tasks)
    execution = Execution(
        id=new_id("exec"),
        resource=claim.resource,
        provider="noop",
        account=claim.tasks[0].account,
        state=ExecutionState.COMPLETED,
        tasks=ids,
        created_at=now,
        started_at=now,
        ended_at=now,
        usage={"seconds": 0.01, "shots": 1024.0 * len(ids)},
    )
    ends = [
        TaskEnd(
            task_id=id_,
            state=TaskState.COMPLETED,
            result=Extent(key=f"completed/{execution.id}.pack", offset=0, length=100),
        )
        for id_ in ids
    ]
    return Ending(execution=execution, tasks=ends)


@contextmanager
def databases() -> Iterator[dict[str, str]]:
    """Addresses of an empty catalogue on either database; both sync their commits."""
    with tempfile.TemporaryDirectory() as folder, PostgresServer(durable=True) as server:
        yield {"SQLite": f"sqlite:///{Path(folder) / 'catalogue.db'}", "Postgres": server.dsn}


def measure() -> list[Measure]:
    """Rates on both databases."""
    measures = []
    with databases() as urls:
        for name, url in urls.items():
            store = open_store(url)
            try:
                measures += _measure(name, store)
            finally:
                store.close()
    return measures


def _measure(name: str, store: Store) -> list[Measure]:
    store.register(WORKER, [Resource(name="noop", provider="noop")], ttl_s=3600.0)
    batches = [submission(1_000) for _ in range(TASKS // 1_000)]
    submitted_ms = [seconds(lambda b=b: store.submit([b])) * 1_000 for b in batches]  # type: ignore[misc]
    began = time.perf_counter()
    done = work(store)
    rate = done / (time.perf_counter() - began)
    return [
        Measure(
            measure=f"no-op tasks through claim and completion, {name}",
            value=rate,
            unit="1/s",
            peer=None,
            goal=f">= {GOAL}/s",
            holds=done == TASKS and rate >= GOAL,
        ),
        Measure(
            measure=f"1,000 jobs in one submission, {name}",
            value=p50(submitted_ms),
            unit="ms",
            peer=None,
            goal=f"<= {SUBMIT_GOAL_MS} ms",
            holds=p50(submitted_ms) <= SUBMIT_GOAL_MS,
        ),
    ]


if __name__ == "__main__":
    report(measure())
