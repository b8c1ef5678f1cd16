"""Parts of a device: what overlaps is never run on at the same time. All of it happens under the
device's row lock, and only where a device has parts."""

from collections.abc import Mapping, Sequence

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.types import BigInteger, Text

from quanopy.domain.resources import overlapping
from quanopy.storage import queue, schema
from quanopy.storage.compiled import Row
from quanopy.storage.lanes import CLAIMS_IN_USE, EXECUTIONS_IN_USE
from quanopy.storage.resource_rows import part_of
from quanopy.storage.transaction import Transaction

PATIENCE = 30 * 1_000_000
"""What needs much of a device waits so long for the parts of it to be free at once; then nothing
new starts on what it needs before it does. A try counts for as long."""

Part = tuple[str, ...] | None

_PARTS = select(schema.resources.c.name, schema.resources.c.part).where(
    func.coalesce(schema.resources.c.device, schema.resources.c.name) == queue.DEVICE
)
_CLAIMS, _EXECUTIONS = (
    counted.add_columns(of.c.resource).group_by(of.c.resource)
    for counted, of in (
        (CLAIMS_IN_USE, schema.claims),
        (EXECUTIONS_IN_USE, schema.executions),
    )
)
_WANT = (
    update(schema.devices)
    .where(schema.devices.c.name == bindparam("device", type_=Text))
    .values(
        wanted_by=bindparam("by", type_=Text),
        wanted_at=bindparam("since", type_=BigInteger),
        tried_at=bindparam("tried", type_=BigInteger),
    )
)


def in_use(
    connection: Transaction, resource: Row, waiting: bool, given: Mapping[str, object], now: int
) -> int | None:
    """How many lanes of a resource's part are in use; ``None`` where nothing may start on it: what
    overlaps it is in use, or has waited for long to be. ``waiting``: whether any task waits."""
    known, claimed, executing = connection.together(
        (_PARTS, given), (_CLAIMS, given), (_EXECUTIONS, given)
    )
    parts = {row.name: part_of(row.part) for row in known}
    own = part_of(resource.part)
    count = _count(own, [*claimed, *executing], parts)
    first = _first(resource, now)
    if first is not None and first != resource.name:
        late = now - resource.wanted_at > PATIENCE
        other = parts.get(first)
        return None if late and other != own and overlapping(other, own) else count
    if count is None and waiting:
        _want(connection, resource, resource.name, resource.wanted_at if first else now, now)
    elif count is not None and first is not None:
        _want(connection, resource, None, None, None)
    return count


def _count(own: Part, running: Sequence[Row], parts: Mapping[str, Part]) -> int | None:
    count = 0
    for number, name in running:
        part = parts.get(name)
        if part == own:
            count += number
        elif overlapping(part, own):
            return None
    return count


def _first(resource: Row, now: int) -> str | None:
    """The resource of the device that waits for others to end, and still tries."""
    tried = resource.tried_at
    fresh = tried is not None and abs(now - tried) <= PATIENCE
    found: str | None = resource.wanted_by if fresh else None
    return found


def _want(
    connection: Transaction, resource: Row, by: str | None, since: int | None, tried: int | None
) -> None:
    values = {"device": resource.physical, "by": by, "since": since, "tried": tried}
    connection.later(_WANT, values)
