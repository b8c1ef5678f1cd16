"""Places: each job of a group has one until it has ended, and the gap after it is over."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from sqlalchemy import BigInteger, Integer, bindparam, delete, func, select, tuple_, update
from sqlalchemy.types import Text

from quanopy.domain.errors import Conflict
from quanopy.domain.groups import GroupOrder, GroupPolicy, GroupState, no_group
from quanopy.domain.jobs import Job
from quanopy.ports.submissions import Submission
from quanopy.storage import schema
from quanopy.storage.compiled import Row
from quanopy.storage.group_rows import LOCKED_GROUPS, change
from quanopy.storage.rows import document, rows_of
from quanopy.storage.statements import insert_rows, read_ids
from quanopy.storage.transaction import Transaction
from quanopy.storage.values import Values, span

_places, _jobs = schema.group_places, schema.jobs
_group = bindparam("group", type_=Text)
_until = bindparam("until", type_=BigInteger)
_most = bindparam("most", type_=Integer)
_wanted = rows_of(_places.c.group_id, _places.c.position)
_these = tuple_(_places.c.group_id, _places.c.position).in_(
    select(_wanted.c.group_id, _wanted.c.position)
)
_LEAVE = delete(_places).where(_these)
_COOL = update(_places).where(_these, _places.c.begun).values(free_at=_until)
_UNBEGUN = delete(_places).where(_these, ~_places.c.begun)
_FREE = delete(_places).where(
    _places.c.group_id == _group,
    _places.c.begun,
    _places.c.free_at <= bindparam("now", type_=BigInteger),
)
_SOONER = (
    update(_places)
    .where(_places.c.group_id == _group, _places.c.begun, _places.c.free_at > _until)
    .values(free_at=_until)
)
_LOWEST = select(func.min(_places.c.position)).where(_places.c.group_id == _group)
_ASIDE = (
    update(_places)
    .where(_these, _places.c.begun)
    .values(
        position=_places.c.position - bindparam("by", type_=BigInteger),
        free_at=func.coalesce(_places.c.free_at, _until),
    )
)
_BEGIN = update(_places).where(_these).values(begun=True)
BEGUN = select(func.count(), func.min(_places.c.free_at)).where(
    _places.c.group_id == _group, _places.c.begun
)
WAITING = (
    select(_places.c.position, _places.c.job_id)
    .where(_places.c.group_id == _group, ~_places.c.begun)
    .order_by(_places.c.position)
    .limit(_most)
)
RUNNING = (
    select(_places.c.job_id)
    .join(_jobs, _jobs.c.id == _places.c.job_id)
    .where(
        _places.c.group_id == _group,
        _places.c.begun,
        _places.c.free_at.is_(None),
        ~_jobs.c.cancel_requested,
    )
    .limit(_most)
)
LEFT = (
    select(_places.c.position)
    .where(_places.c.group_id == _group, _places.c.free_at.is_(None))
    .limit(1)
)
"""A place whose job has not ended; one that only waits for the end of a gap has."""


def place(connection: Transaction, submissions: Sequence[Submission], now: int) -> list[Submission]:
    """These submissions, with the places in their groups that their jobs get.

    Raises:
        NotFound: there is no such group of the account.
        Conflict: it takes no more jobs.
    """
    wanted = {one.group_id for one in submissions if one.group_id is not None}
    if not wanted:
        return list(submissions)
    rows = {row.id: row for row in read_ids(connection, LOCKED_GROUPS, wanted)}
    sizes = {group_id: row.size for group_id, row in rows.items()}
    placed, grown, resources = [], {}, dict[str, str]()
    for one in submissions:
        if one.group_id is None:
            placed.append(one)
            continue
        row = _open(rows.get(one.group_id), one)
        jobs = [
            replace(job, group_id=one.group_id, position=position, blocked=True)
            for position, job in enumerate(one.jobs, start=sizes[one.group_id])
        ]
        sizes[one.group_id] += len(jobs)
        resources.setdefault(one.group_id, jobs[0].resource)
        grown[one.group_id] = row
        tasks = [replace(task, ready_at=None, awaits_s=None) for task in one.tasks]
        placed.append(replace(one, jobs=jobs, tasks=tasks))
        give(connection, jobs)
        insert_rows(connection, schema.turns, [_turn(jobs[0])])
    for group_id, row in grown.items():
        again = row.state == GroupState.DONE.value
        meant = row.resource or resources[group_id]
        change(
            connection,
            *(row, now),
            actor=row.account,
            again=again,
            size=sizes[group_id],
            resource=meant,
        )
    return placed


def _open(row: Row | None, submission: Submission) -> Row:
    if row is None or row.account != submission.account:
        raise no_group(submission.group_id or "")
    if row.state == GroupState.CANCELLED.value or row.closing is not None:
        raise Conflict(
            f"the group {row.name!r} is ending: it takes no more jobs",
            where="group",
            hint="Make another group.",
        )
    return row


def give(connection: Transaction, jobs: Iterable[Job]) -> None:
    """Places for jobs of groups that are to begin in their turn."""
    insert_rows(connection, _places, [_place(job) for job in jobs])


def begin(connection: Transaction, group: str, places: Sequence[Row]) -> None:
    """The jobs of these places begin."""
    connection.later(_BEGIN, _at(group, places))


def leave(connection: Transaction, group: str, places: Sequence[Row]) -> None:
    """These places, which begin nothing any more, are gone."""
    connection.later(_LEAVE, _at(group, places))


def end(
    connection: Transaction, group: str, policy: GroupPolicy, jobs: Sequence[Row], now: int
) -> None:
    """The places of these jobs, which have ended, are free once the gap is over; others whose gap
    is over are free now."""
    until = now + span(policy.gap_s)
    if jobs:
        given = _at(group, jobs)
        if _cools(policy):
            connection.later(_COOL, given | {"until": until})
            connection.later(_UNBEGUN, given)
        else:
            connection.later(_LEAVE, given)
    # Whatever the clock did: none lasts longer than a gap from now.
    connection.later(_SOONER, {"group": group, "until": until})
    connection.later(_FREE, {"group": group, "now": now})


def begin_again(
    connection: Transaction, row: Row, policy: GroupPolicy, jobs: Sequence[Job], now: int
) -> None:
    """Places for jobs of a group that ended, and are to begin in their turn again. Those that they
    had stay taken, out of the order, until the gap after them is over."""
    given = _at(row.id, jobs)
    if _cools(policy):
        lowest = connection.scalar(_LOWEST, {"group": row.id})
        by = row.size - min(0, lowest or 0)
        connection.later(_ASIDE, given | {"by": by, "until": now + span(policy.gap_s)})
    connection.later(_LEAVE, given)
    give(connection, jobs)


def _cools(policy: GroupPolicy) -> bool:
    return policy.gap_s > 0 and policy.order is GroupOrder.SEQUENTIAL


def _at(group: str, places: Sequence[Row | Job]) -> Values:
    """The parameter that says where these are."""
    return {"r": document([{"group_id": group, "position": one.position} for one in places])}


def _place(job: Job) -> Values:
    return {
        "group_id": job.group_id,
        "position": job.position,
        "job_id": job.id,
        "begun": False,
        "free_at": None,
    }


def _turn(job: Job) -> Values:
    return {"job_id": job.id, "group_id": job.group_id, "position": job.position}
