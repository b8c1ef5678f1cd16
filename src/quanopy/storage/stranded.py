"""Executions that wait for an operator."""

from sqlalchemy import bindparam, select
from sqlalchemy.types import Integer, Text

from quanopy.domain.errors import Conflict, InvalidTransition, NotFound
from quanopy.domain.jobs import Execution
from quanopy.domain.states import ExecutionState
from quanopy.ports.executions import Due
from quanopy.storage import schema
from quanopy.storage.executions import take
from quanopy.storage.job_rows import execution_of
from quanopy.storage.lanes import ALIVE
from quanopy.storage.statements import LOCKED_EXECUTIONS, read_ids
from quanopy.storage.transaction import Transaction

_executions = schema.executions
_OPEN = _executions.c.state.in_(["submitting", "submitted", "running", "stranded"])
_IN_STATE = (
    # Said twice: the first of them lets an index of open executions do.
    select(_executions)
    .where(_OPEN, _executions.c.state == bindparam("state", type_=Text))
    .order_by(_executions.c.id)
    .limit(bindparam("most", type_=Integer))
)
_UNANSWERED = (
    select(_executions)
    .where(
        _OPEN,
        _executions.c.state.in_(["submitting", "stranded"]),
        _executions.c.provider == bindparam("provider", type_=Text),
        _executions.c.provider_job_id.is_(None),
    )
    .order_by(_executions.c.id)
)
_HOLDER = select(schema.claims.c.worker).where(
    schema.claims.c.id == bindparam("claim", type_=Text), ALIVE
)


def in_state(connection: Transaction, state: ExecutionState, *, limit: int) -> list[Execution]:
    """Executions in an open state, oldest first."""
    given = {"state": state.value, "most": limit}
    return [execution_of(row) for row in connection.execute(_IN_STATE, given)]


def unanswered(connection: Transaction, provider: str) -> list[Execution]:
    """Executions of a provider whose id there nobody knows; see the port."""
    return [execution_of(row) for row in connection.execute(_UNANSWERED, {"provider": provider})]


_SENT_AS = (
    select(_executions.c.id)
    .where(
        _executions.c.provider == bindparam("provider", type_=Text),
        _executions.c.provider_job_id == bindparam("there", type_=Text),
        _executions.c.id != bindparam("other_than", type_=Text),
    )
    .limit(1)
)


def hold(
    connection: Transaction,
    execution_id: str,
    *,
    actor: str,
    ttl: int,
    found: str | None,
    now: int,
) -> Due:
    """Claim a stranded execution for an operator; see the port."""
    row = next(iter(read_ids(connection, LOCKED_EXECUTIONS, [execution_id])), None)
    if row is None:
        raise NotFound(
            f"there is no execution {execution_id[:100]!r}",
            where="id",
            hint="`quanopy stranded` lists those that are stranded.",
        )
    if row.state != ExecutionState.STRANDED.value:
        raise InvalidTransition(
            f"{row.id} is {row.state}, not stranded", hint="Only what is stranded is settled."
        )
    given = {"claim": row.claim_id, "now": now}
    if row.claim_id is not None and connection.scalar(_HOLDER, given) is not None:
        raise Conflict(
            f"{row.id} is being looked at by somebody else", hint="Try again in a moment."
        )
    if found is not None:
        asked = {"provider": row.provider, "there": found, "other_than": row.id}
        other = connection.scalar(_SENT_AS, asked)
        if other is not None:
            raise Conflict(
                f"{found} is {other}, and no other execution",
                where="provider_job_id",
                hint="Look again which of the provider's jobs was sent under this one's id.",
            )
    return take(connection, actor, row.provider, [row], ttl=ttl, now=now)
