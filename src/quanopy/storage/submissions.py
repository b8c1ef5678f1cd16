"""Submitting: a batch of requests inserted in one commit, each all or nothing."""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import column, select, true
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.types import Text

from quanopy.domain.errors import Conflict, Invalid, QuanopyError
from quanopy.domain.jobs import Job, Task
from quanopy.ports.store import Repeat, Submission
from quanopy.storage import schema
from quanopy.storage.events import History
from quanopy.storage.faults import Refused
from quanopy.storage.mapping import Values, job_of, job_row, task_row
from quanopy.storage.rows import document, rows_of
from quanopy.storage.statements import JOBS, insert_rows, read_ids
from quanopy.storage.transaction import Transaction

Answer = Sequence[Job] | QuanopyError

_requests = rows_of(*schema.requests.c)
_pairs = rows_of(column("account", Text), column("key", Text))
_STANDING = select(schema.requests).select_from(
    _pairs.join(
        schema.requests,
        (schema.requests.c.account == _pairs.c.account) & (schema.requests.c.key == _pairs.c.key),
    )
)
_COLUMNS = [column.name for column in schema.requests.c]
_SOURCE = select(*(_requests.c[name] for name in _COLUMNS)).where(true())
_KEEP = {
    "sqlite": sqlite.insert(schema.requests)
    .from_select(_COLUMNS, _SOURCE)
    .on_conflict_do_nothing()
    .returning(schema.requests.c.job_ids),
    "postgresql": postgresql.insert(schema.requests)
    .from_select(_COLUMNS, _SOURCE)
    .on_conflict_do_nothing()
    .returning(schema.requests.c.job_ids),
}


def replay(connection: Transaction, requests: Sequence[Repeat]) -> list[Answer | None]:
    """The jobs that each key stands for, ``Conflict`` for another digest, ``None`` for none."""
    standing = _standing(connection, [(one.account, one.idempotency_key) for one in requests])
    jobs = _jobs_of(connection, standing.values())
    return [
        _replayed(standing[one.account, one.idempotency_key], one.request_digest, jobs)
        if (one.account, one.idempotency_key) in standing
        else None
        for one in requests
    ]


def submit(connection: Transaction, submissions: Sequence[Submission], now: int) -> list[Answer]:
    """All of these together; raises ``Refused`` where one of them cannot be."""
    fresh = keep_requests(connection, submissions, now)
    repeated = _standing(
        connection,
        [
            (s.account, s.idempotency_key or "")
            for s, new in zip(submissions, fresh, strict=True)
            if not new
        ],
    )
    insert_jobs(
        connection,
        [job for s, new in zip(submissions, fresh, strict=True) if new for job in s.jobs],
        [task for s, new in zip(submissions, fresh, strict=True) if new for task in s.tasks],
    )
    _write_history(connection, [s for s, n in zip(submissions, fresh, strict=True) if n], now)
    # Only now: a key repeated within the batch stands for jobs of the batch.
    known = _jobs_of(connection, repeated.values())
    return [
        s.jobs
        if new
        else _replayed(repeated[s.account, s.idempotency_key or ""], s.request_digest, known)
        for s, new in zip(submissions, fresh, strict=True)
    ]


def insert_jobs(connection: Transaction, jobs: Sequence[Job], tasks: Sequence[Task]) -> None:
    """Rows of jobs, their tags and their tasks."""
    rows = [job_row(job) for job in jobs]
    insert_rows(connection, schema.jobs, rows)
    insert_rows(
        connection,
        schema.job_states,
        [
            {name: row[name] for name in ("account", "state", "created_at")} | {"job_id": row["id"]}
            for row in rows
        ],
    )
    insert_rows(connection, schema.tasks, [task_row(task) for task in tasks])
    insert_rows(
        connection,
        schema.job_tags,
        [
            {"account": job.account, "tag": tag, "created_at": row["created_at"], "job_id": job.id}
            for job, row in zip(jobs, rows, strict=True)
            for tag in dict.fromkeys(job.tags)
        ],
    )


def _write_history(connection: Transaction, submissions: Sequence[Submission], now: int) -> None:
    by_account: dict[str, History] = {}
    for submission in submissions:
        history = by_account.setdefault(submission.account, History(submission.account, now))
        for job in submission.jobs:
            history.add(
                job.id,
                f"job.{job.state}",
                account=job.account,
                job_id=job.id,
                after=job.state.value,
            )
    for history in by_account.values():
        history.write(connection)


def keep_requests(
    connection: Transaction, submissions: Sequence[Submission], now: int
) -> list[bool]:
    """Which of these are new: without a key, or the first with theirs."""
    rows = [
        {
            "account": submission.account,
            "key": submission.idempotency_key,
            "digest": submission.request_digest,
            "job_ids": json.dumps([job.id for job in submission.jobs]),
            "created_at": now,
        }
        for submission in submissions
    ]
    keyed = [row for row in rows if row["key"] is not None]
    if not keyed:
        return [True] * len(rows)
    kept = set(connection.scalars(_KEEP[connection.dialect], {"r": document(keyed)}))
    return [row["key"] is None or row["job_ids"] in kept for row in rows]


def _standing(
    connection: Transaction, keys: Sequence[tuple[str, str]]
) -> Mapping[tuple[str, str], Any]:
    if not keys:
        return {}
    wanted: list[Values] = [{"account": account, "key": key} for account, key in set(keys)]
    found = connection.execute(_STANDING, {"r": document(wanted)})
    return {(row.account, row.key): row for row in found}


def _jobs_of(connection: Transaction, requests: Collection[Any]) -> Mapping[str, Job]:
    """The jobs that these requests made."""
    ids = {job_id for request in requests for job_id in json.loads(request.job_ids)}
    return {row.id: job_of(row) for row in read_ids(connection, JOBS, ids)}


def _replayed(request: Any, digest: str, jobs: Mapping[str, Job]) -> Answer:
    if request.digest != digest:
        return Conflict(
            "this idempotency key was used with another body",
            where="Idempotency-Key",
            hint="Use a new key for a new request.",
        )
    return [jobs[job_id] for job_id in json.loads(request.job_ids)]


def refusal(refused: Refused) -> QuanopyError:
    """The answer to a submission that cannot be."""
    if refused.duplicate:
        return Conflict("one of these jobs is there already", hint="Submit it under a new id.")
    return Invalid("the database cannot keep this text or number", hint="Names and tags hold text.")
