"""Claims: a worker's holds on tasks, taken under the device's row lock and fenced by their ids."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from sqlalchemy import bindparam, delete, exists, func, select, update
from sqlalchemy.types import BigInteger, Text

from quanopy.domain.ids import new_id
from quanopy.domain.jobs import Task
from quanopy.domain.states import JobState, ResourceState, TaskState
from quanopy.ports.claims import Claim, Offer
from quanopy.ports.submissions import Offering
from quanopy.services.sharing import fair_order
from quanopy.storage import ledger, parts, queue, schema
from quanopy.storage.compiled import Row
from quanopy.storage.events import History
from quanopy.storage.lanes import ALIVE, CLAIMS_IN_USE, EXECUTIONS_IN_USE
from quanopy.storage.resource_rows import accounts_of
from quanopy.storage.rows import id_rows, ids_document
from quanopy.storage.statements import LOCKED_JOBS, LOCKED_TASKS, by_ids, insert_rows
from quanopy.storage.transaction import Asked, Transaction
from quanopy.storage.transitions import Move, move_tasks
from quanopy.storage.values import Values, moment, span

_claims, _tasks, _executions = schema.claims, schema.tasks, schema.executions
_now = bindparam("now", type_=BigInteger)

Clock = Callable[[], int]
"""What time it is, as rows have it."""

_RESOURCE = (
    select(
        schema.resources,
        schema.devices.c.name.label("physical"),
        *(schema.devices.c[name] for name in ("parted", "wanted_by", "wanted_at", "tried_at")),
    )
    .join(
        schema.devices,
        schema.devices.c.name == func.coalesce(schema.resources.c.device, schema.resources.c.name),
    )
    .where(schema.resources.c.name == bindparam("resource", type_=Text))
    .with_for_update()
)
_RENEW = (
    update(_claims)
    .where(_claims.c.worker == bindparam("by", type_=Text), ALIVE)
    .values(
        expires_at=bindparam("until", type_=BigInteger), ttl_us=bindparam("ttl", type_=BigInteger)
    )
    .returning(_claims.c.id)
)
_RETIRE = (
    update(_claims).where(_claims.c.worker == bindparam("by", type_=Text)).values(expires_at=0)
)
_given_up = id_rows()
_GIVE_UP = (
    # Not 0, which says that the worker stopped: this counts as one that died with its tasks.
    update(_claims).where(_claims.c.id.in_(select(_given_up.c.id))).values(expires_at=1)
)
_RELEASE = delete(_claims).where(
    _claims.c.id == bindparam("claim", type_=Text),
    ~exists().where(_tasks.c.claim_id == _claims.c.id),
    ~exists().where(_executions.c.claim_id == _claims.c.id),
)
_CANCELLED = (
    select(_tasks.c.id)
    .join(_claims, _claims.c.id == _tasks.c.claim_id)
    .where(_claims.c.worker == bindparam("by", type_=Text), _tasks.c.cancel_requested)
)


@dataclass(slots=True, kw_only=True)
class _Load:
    """A claim in the making."""

    tasks: list[Task] = field(default_factory=list)
    seconds: float = 0.0


def claim(
    connection: Transaction, worker: str, offer: Offer, *, ttl: int, clock: Clock, most: int
) -> list[Claim]:
    """Take ready tasks of one resource in fair order, in at most ``most`` claims."""
    given = {"resource": offer.resource, "now": clock()}
    found, [(claimed,)], [(executing,)], used, groups = connection.together(
        (_RESOURCE, given),
        (CLAIMS_IN_USE, given),
        (EXECUTIONS_IN_USE, given),
        (queue.USED, given),
        (queue.GROUPS, given),
    )
    now = clock()  # The device may have been locked for long.
    resource = _in_service(found)
    if resource is None:
        return []
    in_use = claimed + executing
    if resource.parted:
        in_part = parts.in_use(connection, resource, bool(groups), given, now)
        if in_part is None:
            return []
        in_use = in_part
    lanes = min(most, _lanes(resource, offer, in_use))
    if lanes < 1:
        return []
    used_s = queue.aged(used, now)
    groups = [group for group in groups if _serves(resource, group.account)]
    queues = queue.candidates(connection, offer.resource, groups, used_s, most=offer.tasks, now=now)
    order = fair_order(queues, used_s, now=datetime.fromtimestamp(now / 1_000_000, UTC))
    loads = _loads(order, offer, lanes)
    charged = {row.account: row.at for row in used}
    return _take(connection, worker, resource, loads, charged, ttl=ttl, now=now)


def claim_waiting(connection: Transaction, offering: Offering, clock: Clock) -> list[Claim]:
    """Claim what waits longest, as a worker offers to that is free now."""
    offer = offering.offer
    return claim(
        connection, offering.worker, offer, ttl=span(offering.ttl_s), clock=clock, most=offer.claims
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """How things stand at a resource, under its lock."""

    resource: Row | None
    """``None``: out of service."""
    lanes: int
    """How many claims it has room for."""
    waiting: bool
    """Whether any task waits there."""
    used: Sequence[Row]


def asking_line(offer: Offer, now: int) -> list[Asked]:
    """Lock the offered resource's device, and see who waits there: for :func:`line`."""
    given = {"resource": offer.resource, "now": now}
    asked = (_RESOURCE, CLAIMS_IN_USE, EXECUTIONS_IN_USE, queue.USED, queue.ANYTHING)
    return [(statement, given) for statement in asked]


def line(answers: Sequence[Sequence[Row]], offer: Offer) -> Line:
    """What was answered to :func:`asking_line`."""
    found, [(claimed,)], [(executing,)], used, [(waiting,)] = answers
    resource = _in_service(found)
    return Line(
        resource=resource,
        # What is divided is claimed as ever, where overlaps are looked for.
        lanes=_lanes(resource, offer, claimed + executing)
        if resource and not resource.parted
        else 0,
        waiting=bool(waiting),
        used=used,
    )


def new_claims(found: Line, tasks: Sequence[Task], offering: Offering, now: int) -> list[Claim]:
    """Claims of tasks that are about to be inserted, where nobody waits before them: nothing of
    them need be looked for, locked or changed. They are the caller's to insert as the claims show
    them, to write the history of, and to have the claims kept (:func:`keep_new`)."""
    if found.resource is None or found.lanes < 1:
        return []
    used_s = queue.aged(found.used, now)
    queues: dict[str, list[Task]] = {}
    for task in tasks:
        if _serves(found.resource, task.account):
            queues.setdefault(task.account, []).append(task)
    order = fair_order(queues, used_s, now=datetime.fromtimestamp(now / 1_000_000, UTC))
    loads = _loads(order, offering.offer, found.lanes)
    ids = {task.id: new for load in loads for new in [new_id("claim")] for task in load.tasks}
    return [_claimed(load, ids, ids.keys(), found.resource.name, now) for load in loads]


def as_rows(tasks: Iterable[Task], now: int) -> dict[str, Values]:
    """By id, what is otherwise in the rows of new tasks that are claimed, and of their jobs."""
    found: dict[str, Values] = {}
    for task in tasks:
        found[task.id] = {
            "state": TaskState.CLAIMED.value,
            "claim_id": task.claim_id,
            "started_at": now,
        }
        found[task.job_id] = {"state": JobState.RUNNING.value, "started_at": now}
    return found


def keep_new(
    connection: Transaction, found: Line, claims: Sequence[Claim], offering: Offering, now: int
) -> None:
    """Keep these claims (:func:`new_claims`): they live from now on."""
    if found.resource is not None:
        ttl = span(offering.ttl_s)
        _keep(connection, offering.worker, found.resource, claims, ttl=ttl, now=now)


def charge_new(
    connection: Transaction, found: Line, uses: Iterable[tuple[str, float]], now: int
) -> None:
    """Charge accounts (account, seconds) for what is done of new tasks (:func:`new_claims`): last
    of all, for who ends tasks of the same accounts waits for these rows."""
    if found.resource is None:
        return
    ledger.charge(
        connection,
        found.resource.physical,
        uses,
        {row.account: row.at for row in found.used},
        now=now,
    )


def _in_service(found: Sequence[Row]) -> Row | None:
    return found[0] if found and found[0].state == ResourceState.ONLINE.value else None


def _serves(resource: Row, account: str) -> bool:
    """Whether a resource may be used for an account: it may have been closed to it since."""
    accounts = accounts_of(resource.accounts)
    return accounts is None or account in accounts


def _lanes(resource: Row, offer: Offer, in_use: int) -> int:
    return offer.claims if resource.lanes is None else min(offer.claims, resource.lanes - in_use)


def _loads(order: Iterable[Task], offer: Offer, lanes: int) -> list[_Load]:
    """Spread tasks over claims: every claim gets at least one, all together what is offered."""
    loads: list[_Load] = []
    seconds, count, longs = 0.0, 0, 0
    for task in order:
        full = count >= offer.tasks or seconds >= offer.seconds
        if full and not _opens(loads, task, offer, lanes):
            break
        long = task.estimate_s > offer.long_s
        if long and (longs >= offer.longs or len(loads) >= lanes):
            continue
        load = _room(loads, task, offer, lanes)
        if load is None:
            break
        load.tasks.append(task)
        load.seconds += task.estimate_s
        seconds += task.estimate_s
        count += 1
        longs += long
    return loads


def long_tasks(taken: Iterable[Claim], long_s: float) -> int:
    """How many tasks of these claims are long."""
    return sum(task.estimate_s > long_s for one in taken for task in one.tasks)


def _opens(loads: Sequence[_Load], task: Task, offer: Offer, lanes: int) -> bool:
    """Whether a task begins a claim: there is a lane, and it is worth a call by itself, so that
    nothing short waits for it, or the others have what is."""
    filled = all(load.seconds >= offer.worth_s for load in loads)
    return len(loads) < lanes and (filled or task.estimate_s >= offer.worth_s)


def _room(loads: list[_Load], task: Task, offer: Offer, lanes: int) -> _Load | None:
    """The claim that takes this task: a new one where it begins one, else the least loaded."""
    if _opens(loads, task, offer, lanes):
        loads.append(_Load())
        return loads[-1]
    fitting = [load for load in loads if not offer.single or _joins(load, task)]
    return min(fitting, key=lambda load: (load.seconds, len(load.tasks)), default=None)


def _joins(load: _Load, task: Task) -> bool:
    first = load.tasks[0]
    return not task.solo and not first.solo and first.account == task.account


def _take(
    connection: Transaction,
    worker: str,
    resource: Row,
    loads: Sequence[_Load],
    charged: Mapping[str, int],
    *,
    ttl: int,
    now: int,
) -> list[Claim]:
    ids = {task.id: new for load in loads for new in [new_id("claim")] for task in load.tasks}
    if not ids:
        return []
    there, jobs = connection.together(
        by_ids(LOCKED_TASKS, ids),
        by_ids(LOCKED_JOBS, {task.job_id for load in loads for task in load.tasks}),
    )
    locked = [row for row in there if row.state == TaskState.QUEUED.value]
    if not locked:
        return []
    history = History(worker, now)
    moves = [
        Move(
            task=row,
            after=TaskState.CLAIMED,
            changes={"claim_id": ids[row.id], "started_at": now},
        )
        for row in locked
    ]
    move_tasks(connection, moves, history, now=now, jobs=jobs)
    history.write(connection)
    taken = {row.id for row in locked}
    made = [_claimed(load, ids, taken, resource.name, now) for load in loads]
    claims = [claim for claim in made if claim.tasks]
    _keep(connection, worker, resource, claims, ttl=ttl, now=now)
    ledger.charge(
        connection,
        resource.physical,
        [(row.account, row.estimate_s) for row in locked],
        charged,
        now=now,
    )
    return claims


def _keep(
    connection: Transaction,
    worker: str,
    resource: Row,
    claims: Sequence[Claim],
    *,
    ttl: int,
    now: int,
) -> None:
    insert_rows(
        connection,
        _claims,
        [_row(c.id, worker, now, ttl, resource.name, resource.physical) for c in claims],
    )


def _claimed(
    load: _Load, ids: Mapping[str, str], taken: Collection[str], resource: str, now: int
) -> Claim:
    claim_id = ids[load.tasks[0].id]
    return Claim(
        id=claim_id,
        resource=resource,
        tasks=[
            replace(task, state=TaskState.CLAIMED, claim_id=claim_id, started_at=moment(now))
            for task in load.tasks
            if task.id in taken
        ],
    )


def _row(
    id: str, worker: str, now: int, ttl: int, resource: str | None, device: str | None
) -> Values:
    return {
        "id": id,
        "worker": worker,
        "resource": resource,
        "device": device,
        "expires_at": now + ttl,
        "ttl_us": ttl,
    }


def track(connection: Transaction, worker: str, *, ttl: int, now: int) -> str:
    """A new claim that holds executions alone, and takes no lane; its id."""
    claim_id = new_id("claim")
    insert_rows(connection, _claims, [_row(claim_id, worker, now, ttl, None, None)])
    return claim_id


def renew(connection: Transaction, worker: str, *, ttl: int, now: int) -> set[str]:
    """Prolong a worker's claims; those it still has."""
    given = {"by": worker, "now": now, "until": now + ttl, "ttl": ttl}
    return {row.id for row in connection.last(_RENEW, given)}


def retire(connection: Transaction, worker: str) -> None:
    """End a worker's claims."""
    connection.later(_RETIRE, {"by": worker})


def give_up(connection: Transaction, claim_ids: Collection[str]) -> None:
    """Let these expire now; a sweep sees to what is under them."""
    if claim_ids:
        connection.later(_GIVE_UP, {"r": ids_document(sorted(claim_ids))})


def release(connection: Transaction, claim_id: str) -> None:
    """Forget a claim once nothing is left under it."""
    connection.later(_RELEASE, {"claim": claim_id})


def cancel_requests(connection: Transaction, worker: str) -> set[str]:
    """Tasks under a worker's claims that are to be cancelled."""
    return {row.id for row in connection.last(_CANCELLED, {"by": worker})}
