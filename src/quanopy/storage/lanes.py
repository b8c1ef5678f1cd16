"""What is on a device now: claims that hold, with tasks that are claimed, and open executions."""

from sqlalchemy import ColumnElement, and_, bindparam, exists, func, select
from sqlalchemy.types import BigInteger

from quanopy.domain.states import TaskState
from quanopy.storage import queue, schema

_claims, _tasks, _executions = schema.claims, schema.tasks, schema.executions
_now = bindparam("now", type_=BigInteger)

ALIVE: ColumnElement[bool] = and_(
    _claims.c.expires_at > _now, _claims.c.expires_at <= _now + 2 * _claims.c.ttl_us
)
"""Whether a claim still holds. One that would hold for longer than it was ever given was written
under another clock, before ours went backwards."""

CLAIMS_IN_USE = select(func.count()).where(
    _claims.c.device == queue.DEVICE,
    ALIVE,
    exists().where(_tasks.c.claim_id == _claims.c.id, _tasks.c.state == TaskState.CLAIMED.value),
)
EXECUTIONS_IN_USE = select(func.count()).where(
    _executions.c.device == queue.DEVICE,
    _executions.c.state.in_(["submitting", "submitted", "running", "stranded"]),
)
