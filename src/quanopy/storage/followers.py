"""Which jobs come after which: noted as they are submitted."""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import bindparam, select
from sqlalchemy.types import Text

from quanopy.domain.errors import NotFound
from quanopy.domain.jobs import Job
from quanopy.domain.states import FINAL_JOB_STATES
from quanopy.ports.store import Submission
from quanopy.storage import schema
from quanopy.storage.mapping import job_of
from quanopy.storage.statements import LOCKED_JOBS, insert_rows, read_ids, update_rows
from quanopy.storage.transaction import Transaction

_AWAITED = (
    select(schema.jobs)
    .where(
        schema.jobs.c.id.in_(
            select(schema.followers.c.after_id).where(
                schema.followers.c.job_id == bindparam("job", type_=Text)
            )
        ),
        schema.jobs.c.state.not_in([state.value for state in FINAL_JOB_STATES]),
    )
    .order_by(schema.jobs.c.id)
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
