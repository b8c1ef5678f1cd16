"""Which jobs come after which: noted as they are submitted, followed as they end."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Integer, bindparam, insert, select
from sqlalchemy.types import Text

from quanopy.domain.errors import NotFound
from quanopy.domain.jobs import Job, OnFailure
from quanopy.domain.states import FINAL_JOB_STATES, JobState
from quanopy.ports.submissions import Submission
from quanopy.storage import schema
from quanopy.storage.compiled import Row
from quanopy.storage.job_rows import job_of
from quanopy.storage.rows import id_rows, ids_document
from quanopy.storage.statements import LOCKED_JOBS, insert_rows, read_ids, update_rows
from quanopy.storage.transaction import Transaction

_jobs, _turns, _followers = schema.jobs, schema.turns, schema.followers
OPEN = [state.value for state in JobState if state not in FINAL_JOB_STATES]
"""What runs may be blocked, too: where parts of it were done before it was given another turn."""
_ids = id_rows()
_AWAITED = (
    select(_jobs)
    .where(
        _jobs.c.id.in_(
            select(_followers.c.after_id).where(_followers.c.job_id == bindparam("job", type_=Text))
        ),
        _jobs.c.state.in_(OPEN),
    )
    .order_by(_jobs.c.id)
)
_FOLLOWERS = (
    select(_followers.c.job_id, _jobs.c.group_id, _jobs.c.position)
    .select_from(
        _ids.join(_followers, _followers.c.after_id == _ids.c.id).join(
            _jobs, _jobs.c.id == _followers.c.job_id
        )
    )
    .where(_jobs.c.blocked, _jobs.c.state.in_(OPEN))
    .distinct()
)
_SOME_FOLLOWERS = _FOLLOWERS.limit(bindparam("most", type_=Integer))
_THEIR_TURNS = insert(_turns).from_select(["job_id", "group_id", "position"], _FOLLOWERS)
_before = _jobs.alias("before")
_DEPENDS = (
    select(_followers.c.job_id, _followers.c.on_failure, _before.c.id, _before.c.state)
    .select_from(
        _ids.join(_followers, _followers.c.job_id == _ids.c.id).join(
            _before, _before.c.id == _followers.c.after_id
        )
    )
    .where(_before.c.state != JobState.COMPLETED.value)
    .order_by(_followers.c.job_id, _before.c.id)
)


def awaited(connection: Transaction, job_id: str) -> list[Job]:
    """Those that a job comes after and that have not ended."""
    return [job_of(row) for row in connection.last(_AWAITED, {"job": job_id})]


def note(connection: Transaction, submissions: Sequence[Submission]) -> list[Submission]:
    """These submissions, with those of their jobs blocked that come after others.

    The jobs they come after are locked until the commit: whoever ends one of them either sees
    that it is followed, or has ended it before and is seen.

    Raises:
        NotFound: one of those is not a job of the account.
    """
    wanted = {after for one in submissions for job in one.jobs for after in job.after}
    if not wanted:
        return list(submissions)
    there = {row.id: row for row in read_ids(connection, LOCKED_JOBS, wanted)}
    noted = [_blocked(one) for one in submissions]
    for one in submissions:
        for index, job in enumerate(one.jobs):
            for after in job.after:
                if after not in there or there[after].account != one.account:
                    place = f"jobs[{index}].after" if len(one.jobs) > 1 else "after"
                    raise NotFound(f"there is no job {after[:60]!r}", where=place)
    followers = [job for one in submissions for job in one.jobs if job.after]
    insert_rows(
        connection,
        schema.followers,
        [
            {"job_id": job.id, "after_id": after, "on_failure": job.on_failure.value}
            for job in followers
            for after in job.after
        ],
    )
    update_rows(connection, schema.jobs, [{"id": id_, "followed": True} for id_ in sorted(wanted)])
    insert_rows(
        connection,
        schema.turns,
        [
            {"job_id": job.id, "group_id": job.group_id, "position": job.position}
            for job in followers
        ],
    )
    return noted


def _blocked(submission: Submission) -> Submission:
    waiting = {job.id for job in submission.jobs if job.after}
    return replace(
        submission,
        jobs=[replace(job, blocked=True) if job.after else job for job in submission.jobs],
        tasks=[
            replace(task, ready_at=None, awaits_s=None) if task.job_id in waiting else task
            for task in submission.tasks
        ],
    )


def of(connection: Transaction, job_ids: Collection[str], *, most: int) -> list[Row]:
    """What waits for these jobs; where that is more than so many, each gets a turn of its own
    instead."""
    if not job_ids:
        return []
    given = {"r": ids_document(sorted(job_ids))}
    found = connection.execute(_SOME_FOLLOWERS, given | {"most": most + 1})
    if len(found) <= most:
        return found
    connection.later(_THEIR_TURNS, given)
    return []


@dataclass(frozen=True, slots=True, kw_only=True)
class Fates:
    """What becomes of jobs that are to begin, for those that they come after."""

    free: Sequence[str]
    """They begin."""
    refused: Mapping[str, tuple[OnFailure, str]]
    """They do not, since one before them did not complete: how, and why."""


def fates(connection: Transaction, job_ids: Collection[str]) -> Fates:
    """What becomes of these jobs; of none that has to wait for others still."""
    waiting: set[str] = set()
    refused: dict[str, tuple[OnFailure, str]] = {}
    for row in read_ids(connection, _DEPENDS, job_ids):
        state = JobState(row.state)
        if state not in FINAL_JOB_STATES:
            waiting.add(row.job_id)
        elif row.on_failure != OnFailure.RUN:
            why = f"{row.id} before it {_ENDED[state]}"
            refused.setdefault(row.job_id, (OnFailure(row.on_failure), why))
    return Fates(
        free=[one for one in job_ids if one not in waiting and one not in refused],
        refused={one: refused[one] for one in refused if one not in waiting},
    )


_ENDED = {JobState.FAILED: "failed", JobState.CANCELLED: "was cancelled"}
