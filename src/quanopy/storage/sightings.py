"""Sightings: which snapshots of a resource were seen, and when."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.types import BigInteger, Integer, Text

from quanopy.domain.sightings import Sighting
from quanopy.storage import schema, told_snapshots
from quanopy.storage.compiled import Row
from quanopy.storage.events import History
from quanopy.storage.rows import id_rows, ids_document
from quanopy.storage.sighting_rows import sighting_of, sighting_row
from quanopy.storage.statements import insert_rows, keep_rows
from quanopy.storage.transaction import Transaction
from quanopy.storage.values import Values, moment_or_none, stamp

_sightings = schema.sightings
_first = _sightings.alias("first")
_now = bindparam("now", type_=BigInteger)
_resource = bindparam("resource", type_=Text)
_names = id_rows()
OWNER = (
    select(schema.resources.c.owner).where(schema.resources.c.name == _resource).scalar_subquery()
)
"""Whose resource it is now: what was seen of it under another is not its history."""
LATEST = (
    select(_sightings)
    .where(_sightings.c.resource == _resource, _sightings.c.owner.is_not_distinct_from(OWNER))
    .order_by(_sightings.c.seen_from.desc())
    .limit(1)
)
NEWEST = select(func.max(_sightings.c.seen_from).label("at")).where(
    _sightings.c.resource == _resource
)
_EXTEND = (
    update(_sightings)
    .where(
        _sightings.c.resource == _resource,
        _sightings.c.seen_from == bindparam("first", type_=BigInteger),
    )
    .values(seen_until=_now)
)
_until = bindparam("until", type_=BigInteger)
_earlier = (
    select(func.max(_first.c.seen_from))
    .where(
        _first.c.resource == _resource,
        _first.c.owner.is_not_distinct_from(OWNER),
        _first.c.seen_from <= bindparam("since", type_=BigInteger),
    )
    .scalar_subquery()
)
_BETWEEN = (
    select(_sightings)
    .where(
        _sightings.c.resource == _resource,
        _sightings.c.owner.is_not_distinct_from(OWNER),
        _sightings.c.seen_from <= _until,
        _sightings.c.seen_from >= func.coalesce(_earlier, 0),
    )
    .order_by(_sightings.c.seen_from.desc())
    .limit(bindparam("most", type_=Integer))
)
_BY_DIGEST = (
    select(_sightings)
    .where(_sightings.c.digest == bindparam("wanted", type_=Text))
    .order_by(_sightings.c.seen_from.desc())
    .limit(1)
)
_OF_DIGESTS = (
    select(_sightings)
    .select_from(_names.join(_sightings, _sightings.c.digest == _names.c.id))
    .order_by(_sightings.c.seen_from, _sightings.c.resource)
)
_PACKS = select(_sightings.c.pack).select_from(
    _names.join(_sightings, _sightings.c.pack == _names.c.id)
)


def see(
    connection: Transaction, found: Values, last: Row | None, history: History, first: int, now: int
) -> Values:
    """The row of what is seen now: that of before, or a new one that begins at ``first``."""
    resource = found["resource"]
    if last is not None and last.digest == found["digest"]:
        connection.later(_EXTEND, {"resource": resource, "first": last.seen_from, "now": now})
        same: Values = last._asdict()
        return same | {"seen_until": now}
    row = found | {"seen_from": first, "seen_until": first}
    insert_rows(connection, _sightings, [row])
    at = moment_or_none(found["calibrated_at"])
    history.add(
        resource,
        "resource.calibrated",
        account=found["owner"],
        before=None if last is None else last.digest,
        after=found["digest"],
        data=None if at is None else {"calibrated_at": at.isoformat()},
    )
    return row


def age(row: Values, now: int) -> int:
    """How old what was seen is, by the vendor's word where it gives one."""
    at: int = row["seen_from"] if row["calibrated_at"] is None else row["calibrated_at"]
    return max(0, now - at)


def between(
    connection: Transaction, resource: str, since: datetime | None, until: datetime, limit: int
) -> list[Sighting]:
    """What was seen of a resource in a time, newest first; what was there when it began, too."""
    given = {
        "resource": resource,
        "since": -1 if since is None else stamp(since),
        "until": stamp(until),
        "most": limit,
    }
    return [sighting_of(row) for row in connection.last(_BETWEEN, given)]


def by_digest(connection: Transaction, digest: str) -> Sighting | None:
    """Where and when a snapshot was last seen."""
    rows = connection.execute(_BY_DIGEST, {"wanted": digest})
    if rows:
        return sighting_of(rows[0])
    return told_snapshots.by_digest(connection, [digest]).get(digest)


def first(connection: Transaction, digests: Collection[str]) -> list[Sighting]:
    """Where and when each of these snapshots was seen first."""
    rows = connection.execute(_OF_DIGESTS, {"r": ids_document(sorted(digests))})
    found: dict[str, Sighting] = {}
    for row in rows:
        found.setdefault(row.digest, sighting_of(row))
    told = told_snapshots.by_digest(connection, set(digests) - found.keys())
    return [*found.values(), *told.values()]


def restore(connection: Transaction, found: Sequence[Sighting]) -> None:
    """Insert what is not there."""
    wanted = ids_document([sighting.raw.key for sighting in found])
    there = set(connection.scalars(_PACKS, {"r": wanted}))
    rows = [sighting_row(one) for one in found if one.raw.key not in there]
    keep_rows(connection, _sightings, rows)
