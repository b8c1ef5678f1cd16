"""Adoptions: asked for by operators, answered by workers, each of a vendor's jobs at most once."""

import json

from sqlalchemy import bindparam, select, tuple_, update
from sqlalchemy.types import BigInteger, Integer, Text

from quanopy.domain.adoptions import Adoption
from quanopy.domain.errors import Conflict
from quanopy.domain.jobs import Execution, Problem
from quanopy.ports.submissions import Submission
from quanopy.storage import schema
from quanopy.storage.compiled import Row
from quanopy.storage.events import History
from quanopy.storage.executions import devices_of
from quanopy.storage.job_rows import execution_row
from quanopy.storage.statements import insert_rows
from quanopy.storage.submissions import insert_jobs
from quanopy.storage.transaction import Transaction
from quanopy.storage.values import Values, moment, problem_of, problem_text, stamp

_adoptions, _executions, _tasks = schema.adoptions, schema.executions, schema.tasks
_provider = bindparam("of_provider", type_=Text)
_id = bindparam("of_id", type_=Text)
_ONE = select(_adoptions).where(
    _adoptions.c.provider == _provider, _adoptions.c.provider_job_id == _id
)
_LOCKED = _ONE.with_for_update()
_OPEN = (
    select(_adoptions)
    .where(
        _adoptions.c.provider == _provider,
        _adoptions.c.job_id.is_(None),
        _adoptions.c.problem.is_(None),
        tuple_(_adoptions.c.asked_at, _adoptions.c.provider_job_id)
        > tuple_(bindparam("after_at", type_=BigInteger), bindparam("after_id", type_=Text)),
    )
    .order_by(_adoptions.c.asked_at, _adoptions.c.provider_job_id)
    .limit(bindparam("most", type_=Integer))
)
_KNOWN = (
    select(_executions.c.id, _executions.c.adopted, _tasks.c.job_id)
    .join(_tasks, _tasks.c.execution_id == _executions.c.id)
    .where(_executions.c.provider == _provider, _executions.c.provider_job_id == _id)
    .order_by(_tasks.c.job_id)
    .limit(1)
)
_ANSWER = (
    update(_adoptions)
    .where(_adoptions.c.provider == _provider, _adoptions.c.provider_job_id == _id)
    .values(job_id=bindparam("as_job", type_=Text), problem=bindparam("because", type_=Text))
)
_ASK_AGAIN = (
    update(_adoptions)
    .where(_adoptions.c.provider == _provider, _adoptions.c.provider_job_id == _id)
    .values(
        account=bindparam("for_account", type_=Text),
        name=bindparam("named", type_=Text),
        tags=bindparam("tagged", type_=Text),
        actor=bindparam("by", type_=Text),
        problem=None,
    )
)


def ask(connection: Transaction, asked: Adoption) -> Adoption:
    """Note that this is to be adopted; what stands, where it is or was. See the port."""
    key = {"of_provider": asked.provider, "of_id": asked.provider_job_id}
    known = _known(connection, key)
    there = list(connection.execute(_LOCKED, key))
    if known is not None and not known.adopted:
        raise _ours(known, asked)
    if not there:
        insert_rows(connection, _adoptions, [_row(asked)])
    elif there[0].problem is not None:
        again = {
            "for_account": asked.account,
            "named": asked.name,
            "tagged": json.dumps(asked.tags),
            "by": asked.actor,
        }
        connection.later(_ASK_AGAIN, key | again)
    if known is not None:
        connection.later(_ANSWER, key | {"as_job": known.job_id, "because": None})
    (row,) = connection.execute(_ONE, key)
    return _adoption(row)


def one(connection: Transaction, provider: str, provider_job_id: str) -> Adoption | None:
    """What stands of an adoption."""
    rows = connection.execute(_ONE, {"of_provider": provider, "of_id": provider_job_id})
    return next(map(_adoption, rows), None)


def still_open(
    connection: Transaction, provider: str, *, after: Adoption | None, limit: int
) -> list[Adoption]:
    """Those that this provider is still to be asked about, the oldest first."""
    given = {
        "of_provider": provider,
        "after_at": -1 if after is None else stamp(after.asked_at),
        "after_id": "" if after is None else after.provider_job_id,
        "most": limit,
    }
    return [_adoption(row) for row in connection.execute(_OPEN, given)]


def refuse(connection: Transaction, asked: Adoption, problem: Problem) -> None:
    """Note why it cannot be adopted."""
    _answer(connection, asked, None, problem)


def adopt(
    connection: Transaction, asked: Adoption, submission: Submission, execution: Execution, now: int
) -> None:
    """Insert the job that a vendor's has become, unless there is one by now."""
    key = {"of_provider": asked.provider, "of_id": asked.provider_job_id}
    there = list(connection.execute(_LOCKED, key))
    if not there or there[0].job_id is not None:
        return
    known = _known(connection, key)
    if known is not None:
        if known.adopted:
            _answer(connection, asked, known.job_id, None)
        else:
            ours = _ours(known, asked)
            problem = Problem(type="Conflict", message=ours.message, hint=ours.hint)
            _answer(connection, asked, None, problem)
        return
    (job,), tasks = submission.jobs, submission.tasks
    insert_jobs(connection, [job], tasks, now=now)
    device = devices_of(connection, {execution.resource})[execution.resource]
    row = execution_row(execution, device=device) | {"due_in": 0}
    insert_rows(connection, _executions, [row])
    history = History(asked.actor, now)
    history.add(
        job.id,
        "job.adopted",
        account=job.account,
        job_id=job.id,
        after=job.state.value,
        data={"provider": asked.provider, "provider_job_id": asked.provider_job_id},
    )
    history.write(connection)
    _answer(connection, asked, job.id, None)


def _known(connection: Transaction, key: Values) -> Row | None:
    return next(iter(connection.execute(_KNOWN, key)), None)


def _ours(known: Row, asked: Adoption) -> Conflict:
    return Conflict(
        f"{asked.provider} had {asked.provider_job_id} from here: it is {known.job_id}",
        where="id",
        hint="Its result is that job's.",
    )


def _answer(
    connection: Transaction, asked: Adoption, job_id: str | None, problem: Problem | None
) -> None:
    key = {"of_provider": asked.provider, "of_id": asked.provider_job_id}
    connection.later(_ANSWER, key | {"as_job": job_id, "because": problem_text(problem)})


def _row(asked: Adoption) -> Values:
    return {
        "provider": asked.provider,
        "provider_job_id": asked.provider_job_id,
        "account": asked.account,
        "name": asked.name,
        "tags": json.dumps(asked.tags),
        "actor": asked.actor,
        "asked_at": stamp(asked.asked_at),
        "job_id": None,
        "problem": None,
    }


def _adoption(row: Row) -> Adoption:
    return Adoption(
        provider=row.provider,
        provider_job_id=row.provider_job_id,
        account=row.account,
        name=row.name,
        tags=tuple(json.loads(row.tags)),
        actor=row.actor,
        asked_at=moment(row.asked_at),
        job_id=row.job_id,
        problem=problem_of(row.problem),
    )
