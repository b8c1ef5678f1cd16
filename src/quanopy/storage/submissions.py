"""Submitting: a batch of requests inserted in one commit, each all or nothing."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import column, select, true
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.types import Text

from quanopy.domain.errors import Conflict, Invalid, QuanopyError
from quanopy.domain.jobs import Job, Task
from quanopy.domain.states import JobState, TaskState
from quanopy.ports.claims import Claim
from quanopy.ports.submissions import Entry, Make, Offering, Repeat, Submission
from quanopy.storage import calibrations, claims, done, followers, group_places, schema
from quanopy.storage.compiled import Row
from quanopy.storage.events import History
from quanopy.storage.faults import Refused
from quanopy.storage.job_rows import job_of, job_row, task_row
from quanopy.storage.rows import document, rows_of
from quanopy.storage.statements import JOBS, insert_rows, read_ids
from quanopy.storage.transaction import Asked, Transaction
from quanopy.storage.values import Values, ready_stamp

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


def requested(connection: Transaction, account: str, key: str) -> list[Job]:
    """The jobs that a key stands for, in their order; none for a new one."""
    standing = _standing(connection, [(account, key)])
    jobs = _jobs_of(connection, standing.values())
    return [jobs[one] for request in standing.values() for one in json.loads(request.job_ids)]


def accept(
    connection: Transaction,
    entries: Sequence[Entry],
    make: Make,
    keep: Callable[[], object],
    offering: Offering | None,
    clock: claims.Clock,
) -> tuple[list[Answer], list[Claim]]:
    """Insert what is made of those that are new, and claim what is offered to; raises ``Refused``
    where one of them cannot be."""
    now = clock()
    # Nothing else needs an answer, so these are asked together.
    asking = claims.asking_line(offering.offer, now) if offering else []
    fresh, answers = _keep_requests(connection, entries, now, *asking)
    line = claims.line(answers, offering.offer) if offering else None
    repeated = _standing(
        connection,
        [
            (entry.account, entry.idempotency_key or "")
            for entry, new in zip(entries, fresh, strict=True)
            if not new
        ],
    )
    submissions = make([index for index, new in enumerate(fresh) if new])
    # Groups are locked before jobs: see storage.turns.
    submissions = followers.note(connection, group_places.place(connection, submissions, now))
    taken = _insert(connection, submissions, keep, offering, line, clock) if submissions else []
    # Only now: a key repeated within the batch stands for jobs of the batch.
    known = _jobs_of(connection, repeated.values())
    made = iter(submissions)
    return [
        next(made).jobs
        if new
        else _replayed(repeated[e.account, e.idempotency_key or ""], e.request_digest, known)
        for e, new in zip(entries, fresh, strict=True)
    ], taken


def _insert(
    connection: Transaction,
    submissions: Sequence[Submission],
    keep: Callable[[], object],
    offering: Offering | None,
    line: claims.Line | None,
    clock: claims.Clock,
) -> list[Claim]:
    now = clock()
    jobs = [job for submission in submissions for job in submission.jobs]
    tasks = [task for submission in submissions for task in submission.tasks]
    taken: list[Claim] = []
    if offering and line and not line.waiting:
        taken = claims.new_claims(
            line, [one for one in tasks if _is_ready(one, now)], offering, now
        )
        offering.begin(taken)
    keep()
    if offering:
        offering.kept()
    # What is worked on may come to its end while this is made.
    rows = [job_row(job) for job in jobs], [task_row(task) for task in tasks]
    _write_history(connection, submissions, now)
    if offering and taken:
        _begun_history(offering, taken, jobs, now).write(connection)
    ended = offering.ended(done.may_be_whole(taken, jobs)) if offering and taken else {}
    held = [claim for claim in taken if claim.id not in ended]
    # Keeping may have taken long.
    later = clock()
    if offering and line and held:
        claims.keep_new(connection, line, held, offering, later)
    begun = {task.id: task for claim in taken for task in claim.tasks}
    claimed = claims.as_rows(begun.values(), now)
    changes = claimed | done.as_rows(begun, ended, claimed, later)
    _insert_rows(connection, jobs, tasks, *(_changed(some, changes) for some in rows), now=now)
    if offering and line and taken:
        done.write(connection, offering.worker, line, begun, ended, later)
        claims.charge_new(connection, line, done.uses(taken, ended), now)
    if offering and line and line.waiting and line.resource is not None:
        taken = claims.claim_waiting(connection, offering, clock)
    return taken


def _is_ready(task: Task, now: int) -> bool:
    ready_at = ready_stamp(task.ready_at, task.queued_at)
    return ready_at is not None and ready_at <= now


def _begun_history(
    offering: Offering, taken: Sequence[Claim], jobs: Sequence[Job], now: int
) -> History:
    """What these claims say, as if they had come after their jobs were submitted."""
    begun = [task for claim in taken for task in claim.tasks]
    running = {task.job_id for task in begun}
    steps = [("task", task.id, task.account, task.job_id, task.state.value) for task in begun]
    steps += [
        ("job", job.id, job.account, job.id, JobState.RUNNING.value)
        for job in jobs
        if job.id in running
    ]
    history = History(offering.worker, now)
    queued = TaskState.QUEUED.value
    for what, subject, account, job_id, after in steps:
        history.step(what, subject, account=account, job_id=job_id, before=queued, after=after)
    return history


def insert_jobs(
    connection: Transaction, jobs: Sequence[Job], tasks: Sequence[Task], *, now: int
) -> None:
    """Rows of jobs, their tags and their tasks."""
    rows = [job_row(job) for job in jobs], [task_row(task) for task in tasks]
    _insert_rows(connection, jobs, tasks, *rows, now=now)


def _changed(rows: Sequence[Values], changes: Mapping[str, Values]) -> list[Values]:
    """Rows, of which some columns are otherwise, by id."""
    return [row | changes[row["id"]] if row["id"] in changes else row for row in rows]


def _insert_rows(
    connection: Transaction,
    jobs: Sequence[Job],
    tasks: Sequence[Task],
    rows: Sequence[Values],
    parts: Sequence[Values],
    *,
    now: int,
) -> None:
    insert_rows(connection, schema.jobs, rows)
    insert_rows(
        connection,
        schema.job_states,
        [
            {name: row[name] for name in ("account", "state", "created_at")} | {"job_id": row["id"]}
            for row in rows
        ],
    )
    insert_rows(connection, schema.tasks, parts)
    calibrations.await_younger(
        connection,
        {task.id: (task.resource, task.awaits_s) for task in tasks if task.awaits_s is not None},
        now=now,
    )
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
            tell_choice(history, job)
    for history in by_account.values():
        history.write(connection)


def tell_choice(history: History, job: Job) -> None:
    """Say why a job was given to its resource, where it named none."""
    if job.chosen is not None:
        history.add(
            job.id,
            "job.chosen",
            account=job.account,
            job_id=job.id,
            after=job.resource,
            data=dict(job.chosen),
        )


def keep_requests(connection: Transaction, entries: Sequence[Entry], now: int) -> list[bool]:
    """Which of these are new: without a key, or the first with theirs."""
    return _keep_requests(connection, entries, now)[0]


def _keep_requests(
    connection: Transaction, entries: Sequence[Entry], now: int, *asked: Asked
) -> tuple[list[bool], list[list[Row]]]:
    """The same, and what is answered to what is asked with it."""
    rows = [
        {
            "account": entry.account,
            "key": entry.idempotency_key,
            "digest": entry.request_digest,
            "job_ids": json.dumps(list(entry.job_ids)),
            "created_at": now,
        }
        for entry in entries
    ]
    keyed = [row for row in rows if row["key"] is not None]
    if not keyed:
        return [True] * len(rows), connection.together(*asked) if asked else []
    keeping = (_KEEP[connection.dialect], {"r": document(keyed)})
    found, *answers = connection.together(keeping, *asked)
    kept = {row[0] for row in found}
    return [row["key"] is None or row["job_ids"] in kept for row in rows], answers


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
