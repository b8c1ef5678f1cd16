"""Reruns: what failed or was cancelled runs again; of a group in its turn, under its policy."""

from collections.abc import Collection, Sequence

from sqlalchemy import bindparam, select
from sqlalchemy.types import Text

from quanopy.domain.errors import InvalidTransition
from quanopy.domain.groups import GroupState
from quanopy.domain.ids import new_id
from quanopy.domain.jobs import Job
from quanopy.domain.states import JobState, TaskState
from quanopy.storage import group_places, schema
from quanopy.storage.compiled import Row
from quanopy.storage.events import History
from quanopy.storage.group_rows import LOCKED_GROUPS, change, locked, policy_of
from quanopy.storage.job_rows import job_of
from quanopy.storage.rows import id_rows
from quanopy.storage.statements import JOBS, LOCKED_JOBS, by_ids, insert_rows, read_ids, update_rows
from quanopy.storage.transaction import Transaction
from quanopy.storage.transitions import roll_up_jobs
from quanopy.storage.values import AT_ONCE, Values

_jobs, _tasks = schema.jobs, schema.tasks
_ids = id_rows()
_ENDED = (JobState.FAILED.value, JobState.CANCELLED.value)
_MISSING = select(_jobs.c.id).where(
    _jobs.c.group_id == bindparam("group", type_=Text), _jobs.c.state.in_(_ENDED)
)
_PARTS = (
    select(_tasks)
    .select_from(_ids.join(_tasks, _tasks.c.job_id == _ids.c.id))
    .where(
        _tasks.c.state.in_([TaskState.FAILED.value, TaskState.CANCELLED.value]),
        ~_tasks.c.superseded,
    )
    .order_by(_tasks.c.id)
)
_FOLLOWING = (
    select(schema.followers.c.job_id)
    .select_from(_ids.join(schema.followers, schema.followers.c.job_id == _ids.c.id))
    .distinct()
)
_WAITING = (
    select(_tasks.c.id)
    .select_from(_ids.join(_tasks, _tasks.c.job_id == _ids.c.id))
    .where(_tasks.c.state == TaskState.QUEUED.value, _tasks.c.ready_at.is_(None))
)


def rerun(connection: Transaction, group_id: str, *, actor: str, now: int) -> list[Job]:
    """Give what failed or was cancelled of a group its turn again, under its policy; those jobs.

    Raises:
        NotFound: there is none.
        InvalidTransition: it has been cancelled.
    """
    row = locked(connection, group_id)
    if _is_ending(row):
        raise InvalidTransition(
            f"the group {row.name!r} has been cancelled or is ending",
            hint="Retry its jobs one by one, or make another group.",
        )
    missing = connection.scalars(_MISSING, {"group": group_id})
    history = History(actor, now)
    jobs = _in_turn(connection, row, read_ids(connection, LOCKED_JOBS, missing), history, now)
    history.write(connection)
    if jobs:
        _go_on(connection, row, actor, now, failures=0)
    return jobs


def retry(connection: Transaction, job_ids: Collection[str], *, actor: str, now: int) -> list[Job]:
    """Queue failed and cancelled parts of jobs again, and release what a rebuild held.

    Those of a group wait for their turn, as its policy has it; of one that was cancelled, or ends,
    nothing else runs, and so they do at once. What comes after others does so again.
    """
    known = {row.id: row for row in read_ids(connection, JOBS, job_ids)}
    # Groups are locked before jobs: see storage.turns.
    named = {row.group_id for row in known.values() if row.group_id is not None}
    groups = {row.id: row for row in read_ids(connection, LOCKED_GROUPS, named)}
    jobs = read_ids(connection, LOCKED_JOBS, job_ids)
    _check_own(jobs)
    history = History(actor, now)
    live = {id_ for id_, row in groups.items() if not _is_ending(row)}
    for group_id in sorted(live):
        mine = [job for job in jobs if job.group_id == group_id]
        if _in_turn(connection, groups[group_id], mine, history, now):
            _go_on(connection, groups[group_id], actor, now)
    _alone(connection, [job for job in jobs if job.group_id not in live], history, now)
    _release(connection, [job for job in jobs if job.held], history, now)
    history.write(connection)
    return [job_of(row) for row in read_ids(connection, JOBS, job_ids)]


def _is_ending(group: Row) -> bool:
    return group.state == GroupState.CANCELLED.value or group.closing is not None


def _in_turn(
    connection: Transaction, group: Row, jobs: Sequence[Row], history: History, now: int
) -> list[Job]:
    """Those of these locked jobs of a group that ended wait for their turn again, in order."""
    ended = [job for job in jobs if job.state in _ENDED]
    if not ended:
        return []
    rows = read_ids(connection, JOBS, [job.id for job in ended])
    again = sorted(map(job_of, rows), key=lambda job: job.position or 0)
    group_places.begin_again(connection, group, policy_of(group.policy), again, now)
    _queue_again(connection, ended, history, now, blocked=True)
    return again


def _alone(connection: Transaction, jobs: Sequence[Row], history: History, now: int) -> None:
    """Those of these locked jobs that ended run again, but for those that come after others."""
    ended = [job for job in jobs if job.state in _ENDED]
    after = set(connection.scalars(*by_ids(_FOLLOWING, [job.id for job in ended])))
    _queue_again(connection, [job for job in ended if job.id not in after], history, now)
    following = [job for job in ended if job.id in after]
    _queue_again(connection, following, history, now, blocked=True)
    turns = [{"job_id": job.id, "group_id": None, "position": None} for job in following]
    insert_rows(connection, schema.turns, turns)


def _go_on(connection: Transaction, group: Row, actor: str, now: int, **changes: object) -> None:
    again = group.state == GroupState.DONE.value
    change(connection, group, now, actor=actor, again=again, due_at=now, due_in=0, **changes)


def _check_own(jobs: Sequence[Row]) -> None:
    for job in jobs:
        if job.imported is not None:
            raise InvalidTransition(
                f"{job.id} was imported: it did not run here",
                hint="Submit its programs as a job of your own.",
            )


def _queue_again(
    connection: Transaction,
    jobs: Sequence[Row],
    history: History,
    now: int,
    *,
    blocked: bool = False,
) -> None:
    """Put new tasks in the place of those that failed, or were cancelled, of these locked jobs;
    ``blocked``: they wait for the turn of their jobs."""
    _check_own(jobs)
    parts = read_ids(connection, _PARTS, {job.id for job in jobs})
    new = [_again(part, now) | ({"ready_at": None} if blocked else {}) for part in parts]
    update_rows(connection, schema.tasks, [{"id": p.id, "superseded": True} for p in parts])
    insert_rows(connection, schema.tasks, new)
    update_rows(
        connection,
        schema.jobs,
        [{"id": job.id, "cancel_requested": False, "blocked": blocked} for job in jobs],
    )
    for part, task in zip(parts, new, strict=True):
        history.add(
            task["id"],
            "task.queued",
            account=part.account,
            job_id=part.job_id,
            after=TaskState.QUEUED.value,
            data={"replaces": part.id},
        )
    roll_up_jobs(connection, jobs, history, now=now)


def _again(part: Row, now: int) -> Values:
    values: Values = part._asdict()
    return values | {
        "id": new_id("task"),
        "state": TaskState.QUEUED.value,
        "attempt": 0,
        "lost": 0,
        "ready_at": AT_ONCE,
        "claim_id": None,
        "execution_id": None,
        "problem": None,
        "cancel_requested": False,
        "queued_at": now,
        "turn_at": None,
        "started_at": None,
        "ended_at": None,
    }


def _release(connection: Transaction, jobs: Sequence[Row], history: History, now: int) -> None:
    if not jobs:
        return
    update_rows(connection, schema.jobs, [{"id": job.id, "held": False} for job in jobs])
    # What is blocked goes on waiting, for its group or for other jobs.
    free = [job.id for job in jobs if not job.blocked]
    waiting = [row.id for row in read_ids(connection, _WAITING, free)]
    turn: Values = {"ready_at": AT_ONCE, "turn_at": now}
    update_rows(connection, _tasks, [{"id": one, **turn} for one in waiting])
    for job in jobs:
        history.add(job.id, "job.released", account=job.account, job_id=job.id)
