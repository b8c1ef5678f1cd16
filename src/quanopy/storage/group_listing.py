"""Groups as they are looked at: listed, with how far each is, and the jobs of one in order."""

from collections.abc import Collection
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, Integer, Select, and_, bindparam, case, func, or_, select
from sqlalchemy.types import Text

from quanopy.domain.groups import Group, Progress
from quanopy.domain.jobs import Job
from quanopy.domain.states import JobState
from quanopy.ports.groups import GroupQuery
from quanopy.storage import schema
from quanopy.storage.group_rows import group_of
from quanopy.storage.job_rows import job_of
from quanopy.storage.rows import id_rows, ids_document
from quanopy.storage.statements import read_ids
from quanopy.storage.transaction import Transaction
from quanopy.storage.values import stamp

_groups, _jobs = schema.groups, schema.jobs
_AFTER_ALL = "\U0010ffff"
_ids = id_rows()
_PROGRESS = (
    select(
        _jobs.c.group_id,
        _jobs.c.state,
        _jobs.c.blocked,
        func.count().label("number"),
        func.sum(case((_jobs.c.state == JobState.COMPLETED.value, _jobs.c.shots), else_=0)).label(
            "shots"
        ),
    )
    .select_from(_ids.join(_jobs, _jobs.c.group_id == _ids.c.id))
    .group_by(_jobs.c.group_id, _jobs.c.state, _jobs.c.blocked)
)
_MEMBERS = (
    select(_jobs)
    .where(
        _jobs.c.group_id == bindparam("group", type_=Text),
        _jobs.c.position > bindparam("after", type_=BigInteger),
    )
    .order_by(_jobs.c.position)
    .limit(bindparam("most", type_=Integer))
)


def listing(connection: Transaction, query: GroupQuery) -> list[Group]:
    """A page of groups, newest first."""
    prefix, before = query.name_prefix, query.before
    given = {
        "account": query.account,
        "states": ids_document([one.value for one in query.states]) if query.states else None,
        "name": query.name,
        "low": prefix,
        "high": None if prefix is None else prefix + _AFTER_ALL,
        "at": None if before is None else stamp(before[0]),
        "last": None if before is None else before[1],
    }
    asked = frozenset(name for name, value in given.items() if value is not None)
    found = connection.last(_listing(asked), given | {"most": query.limit})
    return [group_of(row) for row in found]


@cache
def _listing(asked: frozenset[str]) -> Select[Any]:
    wanted = select(_groups).order_by(_groups.c.created_at.desc(), _groups.c.id.desc())
    if "account" in asked:
        wanted = wanted.where(_groups.c.account == bindparam("account", type_=Text))
    if "states" in asked:
        states = id_rows("states")
        wanted = wanted.where(_groups.c.state.in_(select(states.c.id)))
    if "name" in asked:
        wanted = wanted.where(_groups.c.name == bindparam("name", type_=Text))
    if "low" in asked:
        low, high = bindparam("low", type_=Text), bindparam("high", type_=Text)
        wanted = wanted.where(_groups.c.name >= low, _groups.c.name < high)
    if "at" in asked:
        at, last = bindparam("at", type_=BigInteger), bindparam("last", type_=Text)
        wanted = wanted.where(
            or_(_groups.c.created_at < at, and_(_groups.c.created_at == at, _groups.c.id < last))
        )
    return wanted.limit(bindparam("most", type_=Integer))


def progress(connection: Transaction, ids: Collection[str]) -> dict[str, Progress]:
    """How far these groups are."""
    counts: dict[str, dict[str, int]] = {group_id: {} for group_id in ids}
    for row in read_ids(connection, _PROGRESS, ids):
        of = counts[row.group_id]
        name = "blocked" if row.blocked and row.state == JobState.QUEUED.value else row.state
        of[name] = of.get(name, 0) + row.number
        of["shots"] = of.get("shots", 0) + int(row.shots or 0)
    return {group_id: Progress(**of) for group_id, of in counts.items()}


def members(connection: Transaction, group_id: str, after: int, limit: int) -> list[Job]:
    """The jobs of a group past a position, in order."""
    found = connection.last(_MEMBERS, {"group": group_id, "after": after, "most": limit})
    return [job_of(row) for row in found]
