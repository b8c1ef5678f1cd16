"""Turns: when a job has ended, what of its group, or of what comes after it, begins.

Written down in the transaction that ended the job, worked off later by any worker, each once.
Always turns first, then groups by id, then tasks and jobs: so nobody waits for each other.
"""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import (
    BigInteger,
    Integer,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.types import Text

from quanopy.domain.groups import (
    Closing,
    GroupOrder,
    GroupPolicy,
    GroupState,
    Ruling,
    StopRules,
    Turn,
)
from quanopy.domain.jobs import OnFailure, Problem
from quanopy.domain.states import FINAL_JOB_STATES, JobState, TaskState
from quanopy.ports.store import GroupWork, Stepped
from quanopy.storage import schema, users
from quanopy.storage.compiled import Row
from quanopy.storage.events import History
from quanopy.storage.groups import GROUPS, LEFT, LOCKED_GROUPS, group_of, policy_of, tell
from quanopy.storage.mapping import (
    AT_ONCE,
    Values,
    moment_or_none,
    problem_text,
    resource_of,
    span,
    stamp,
)
from quanopy.storage.rows import document, id_rows, ids_document, rows_of
from quanopy.storage.statements import JOBS, LOCKED_TASKS, read_ids, update_rows
from quanopy.storage.transaction import Transaction
from quanopy.storage.transitions import Move, move_tasks

_BATCH = 1_000
"""Turns, and jobs of a group that begin or are cancelled, in one transaction."""
_ACTOR = "groups"
_jobs, _tasks, _places = schema.jobs, schema.tasks, schema.group_places
_turns, _groups, _followers = schema.turns, schema.groups, schema.followers
_now = bindparam("now", type_=BigInteger)
_group = bindparam("group", type_=Text)
_most = bindparam("most", type_=Integer)
_is_due = or_(
    _groups.c.due_at <= _now,
    # It was set under another clock, before ours went backwards.
    _groups.c.due_at > _now + _groups.c.due_in,
)
_TURNS = select(_turns).order_by(_turns.c.seq).limit(_most)
_DUE = select(_groups.c.id).where(_groups.c.due_at.is_not(None), _is_due).limit(_most)
_NEXT = select(func.min(_groups.c.due_at))
_seqs = rows_of(_turns.c.seq)
_TAKE = delete(_turns).where(_turns.c.seq.in_(select(_seqs.c.seq))).returning(*_turns.c)
_ids = id_rows()
_OPEN = [state.value for state in JobState if state not in FINAL_JOB_STATES]
"""What runs may be blocked, too: where parts of it were done before it was given another turn."""
_FOLLOWERS = (
    select(_followers.c.job_id, _jobs.c.group_id, _jobs.c.position)
    .select_from(
        _ids.join(_followers, _followers.c.after_id == _ids.c.id).join(
            _jobs, _jobs.c.id == _followers.c.job_id
        )
    )
    .where(_jobs.c.blocked, _jobs.c.state.in_(_OPEN))
    .distinct()
)
_SOME_FOLLOWERS = _FOLLOWERS.limit(_most)
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
_PLACES = select(_places.c.job_id, _places.c.begun).select_from(
    _ids.join(_jobs, _jobs.c.id == _ids.c.id).join(
        _places,
        and_(_places.c.group_id == _jobs.c.group_id, _places.c.position == _jobs.c.position),
    )
)
_PARTS = select(
    *(_tasks.c[name] for name in ("job_id", "first", "shots_from", "superseded", "execution_id"))
).select_from(_ids.join(_tasks, _tasks.c.job_id == _ids.c.id))
_USAGE = select(
    *(schema.executions.c[name] for name in ("id", "resource", "usage", "tasks"))
).select_from(_ids.join(schema.executions, schema.executions.c.id == _ids.c.id))
_RESOURCES = select(schema.resources).select_from(
    _ids.join(schema.resources, schema.resources.c.name == _ids.c.id)
)
_place = rows_of(_places.c.position)
_these = _places.c.group_id == _group, _places.c.position.in_(select(_place.c.position))
_LEAVE = delete(_places).where(*_these)
_COOL = (
    update(_places)
    .where(*_these, _places.c.begun)
    .values(free_at=bindparam("until", type_=BigInteger))
)
_UNBEGUN = delete(_places).where(*_these, ~_places.c.begun)
_FREE = delete(_places).where(
    _places.c.group_id == _group, _places.c.begun, _places.c.free_at <= _now
)
_SOONER = (
    update(_places)
    .where(
        _places.c.group_id == _group,
        _places.c.begun,
        _places.c.free_at > bindparam("until", type_=BigInteger),
    )
    .values(free_at=bindparam("until", type_=BigInteger))
)
_BEGUN = select(func.count(), func.min(_places.c.free_at)).where(
    _places.c.group_id == _group, _places.c.begun
)
_WAITING = (
    select(_places.c.position, _places.c.job_id)
    .where(_places.c.group_id == _group, ~_places.c.begun)
    .order_by(_places.c.position)
    .limit(_most)
)
_RUNNING = (
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
BEGIN = update(_places).where(*_these).values(begun=True)
_READY = (
    update(_tasks)
    .where(
        _tasks.c.job_id.in_(select(_ids.c.id)),
        _tasks.c.state == TaskState.QUEUED.value,
        _tasks.c.ready_at.is_(None),
        # What a rebuild holds waits for somebody to release it.
        ~exists().where(_jobs.c.id == _tasks.c.job_id, _jobs.c.held),
    )
    .values(ready_at=AT_ONCE)
)
_UNBLOCK = update(_jobs).where(_jobs.c.id.in_(select(_ids.c.id))).values(blocked=False)
_OPEN_TASKS = (
    select(_tasks.c.id)
    .select_from(_ids.join(_tasks, _tasks.c.job_id == _ids.c.id))
    .where(_tasks.c.state == TaskState.QUEUED.value, ~_tasks.c.superseded)
)


def work(connection: Transaction, *, now: int) -> GroupWork:
    """What there is to do: turns, and groups that are to be looked at."""
    turns = connection.execute(_TURNS, {"most": _BATCH})
    due = connection.scalars(_DUE, {"now": now, "most": _BATCH})
    ids = {row.group_id for row in turns if row.group_id is not None} | set(due)
    found = read_ids(connection, GROUPS, ids)
    next_at = connection.scalar(_NEXT)
    return GroupWork(
        turns=[Turn(seq=row.seq, job_id=row.job_id, group_id=row.group_id) for row in turns],
        groups=[group_of(row) for row in found],
        next_at=moment_or_none(next_at),
    )


def step(
    connection: Transaction,
    turns: Sequence[Turn],
    group_ids: Collection[str],
    rulings: Mapping[str, Ruling],
    *,
    now: int,
) -> Stepped:
    """Work these turns off, and look at these groups."""
    taken = _take(connection, turns)
    job_ids = {row.job_id for row in taken}
    ended = [row.id for row in read_ids(connection, JOBS, job_ids) if row.state in FINAL_JOB_STATES]
    followers = _followers_of(connection, ended)
    wanted = {*group_ids, *(r.group_id for r in (*taken, *followers) if r.group_id is not None)}
    judged = set(group_ids) - {turn.group_id for turn in turns}
    done = _Doing(connection, History(_ACTOR, now), now, judged)
    groups = read_ids(connection, LOCKED_GROUPS, wanted)
    # Under their locks: one that was given its turn again meanwhile has not ended, and has a place.
    jobs = {row.id: row for row in read_ids(connection, JOBS, job_ids)}
    new = [job for job in jobs.values() if job.blocked and job.state in _OPEN]
    for row in groups:
        mine = [job for job in jobs.values() if job.group_id == row.id]
        done.look(row, mine, rulings.get(row.id))
    done.follow({*(row.job_id for row in followers), *(job.id for job in new)})
    done.history.write(connection)
    return done.stepped


def _take(connection: Transaction, turns: Sequence[Turn]) -> list[Row]:
    if not turns:
        return []
    return connection.execute(_TAKE, {"r": document([{"seq": turn.seq} for turn in turns])})


def _followers_of(connection: Transaction, job_ids: Sequence[str]) -> list[Row]:
    """What waits for these; where that is much, each gets a turn of its own instead."""
    if not job_ids:
        return []
    given = {"r": ids_document(sorted(job_ids))}
    found = connection.execute(_SOME_FOLLOWERS, given | {"most": _BATCH + 1})
    if len(found) <= _BATCH:
        return found
    connection.later(_THEIR_TURNS, given)
    return []


@dataclass(slots=True)
class _Doing:
    """One step, and what it has come to so far."""

    connection: Transaction
    history: History
    now: int
    judged: Collection[str | None]
    """Groups that the stop rules were held against, with all that has ended of them."""
    stepped: Stepped = field(default_factory=Stepped)

    # -- groups -------------------------------------------------------------------------------
    def look(self, row: Row, jobs: Sequence[Row], ruling: Ruling | None) -> None:
        """Take note of those of a group's jobs that ended, then begin or cancel what is to be."""
        group, policy = row.id, policy_of(row.policy)
        ended = [one for one in jobs if one.state in FINAL_JOB_STATES]
        changes = self._ended(row, policy, ended)
        state, closing = GroupState(row.state), row.closing
        if ruling is not None and state is GroupState.RUNNING and closing is None:
            changes["reason"] = ruling.reason
            if ruling.pauses:
                state = GroupState.PAUSED
                tell(self.history, row, state, {"reason": ruling.reason})
            else:
                closing = Closing.REST.value
        due: list[int] = []
        if closing is not None:
            self._close(group, Closing(closing), due)
        elif state is GroupState.RUNNING and not self._is_judged(row, policy):
            # Its rules are held against what it has come to before anything more begins.
            due.append(self.now)
        elif state is GroupState.RUNNING and self._begin(row, policy, due):
            changes["begun_at"] = self.now
        if row.started_at is not None or closing is not None:
            state = self._end(row, state, changes)
        if state in (GroupState.DONE, GroupState.CANCELLED) and "ended_at" in changes:
            closing, due = None, []
        due_at = min(due, default=None)
        self._update(row, state, closing, due_at, changes)

    def _is_judged(self, row: Row, policy: GroupPolicy) -> bool:
        return policy.stop == StopRules() or row.id in self.judged

    def _update(
        self, row: Row, state: GroupState, closing: str | None, due_at: int | None, changes: Values
    ) -> None:
        values = {
            **{name: getattr(row, name) for name in _KEPT},
            **changes,
            "id": row.id,
            "state": state.value,
            "closing": closing,
            "due_at": due_at,
            "due_in": None if due_at is None else max(0, due_at - self.now),
        }
        update_rows(self.connection, _groups, [values])

    def _ended(self, row: Row, policy: GroupPolicy, jobs: Sequence[Row]) -> Values:
        """Free the places of jobs that ended, and count what they used."""
        gap = span(policy.gap_s)
        if jobs:
            given = {"group": row.id, "r": _positions(jobs)}
            if gap and policy.order is GroupOrder.SEQUENTIAL:
                self.connection.later(_COOL, given | {"until": self.now + gap})
                self.connection.later(_UNBEGUN, given)
            else:
                self.connection.later(_LEAVE, given)
        until = self.now + gap
        self.connection.later(_SOONER, {"group": row.id, "until": until})
        self.connection.later(_FREE, {"group": row.id, "now": self.now})
        if not jobs:
            return {}
        failed = sum(job.state == JobState.FAILED.value for job in jobs)
        usage = self._usage(json.loads(row.usage), [job.id for job in jobs])
        return {"failures": row.failures + failed, "usage": json.dumps(usage)}

    def _usage(self, usage: dict[str, float], job_ids: Sequence[str]) -> dict[str, float]:
        """What these jobs used, added to what others of their group did."""
        parts = _latest(read_ids(self.connection, _PARTS, job_ids))
        numbers = Counter(task.execution_id for task in parts)
        rows = read_ids(self.connection, _USAGE, numbers)
        names = {row.resource for row in rows}
        priced = {
            row.name: resource_of(row).capabilities
            for row in read_ids(self.connection, _RESOURCES, names)
        }
        for row in rows:
            used = json.loads(row.usage)
            able = priced.get(row.resource)
            cost = able and able.cost(used.get("shots", 0.0), used.get("tasks", 1.0))
            if cost is not None and used:
                used.setdefault("cost", cost)
            # An execution that tasks share is used by each of them alike.
            share = numbers[row.id] / len(json.loads(row.tasks))
            for kind, amount in used.items():
                usage[kind] = usage.get(kind, 0.0) + amount * share
        return usage

    def _begin(self, row: Row, policy: GroupPolicy, due: list[int]) -> bool:
        """Begin as many as may; note when there is reason to look again."""
        ((taken, next_free),) = self.connection.execute(_BEGUN, {"group": row.id})
        most = _BATCH if policy.places is None else min(policy.places - taken, _BATCH)
        if next_free is not None:
            due.append(next_free)
        if policy.stop.deadline is not None:
            due.append(stamp(policy.stop.deadline))
        gap = span(policy.gap_s)
        if gap and policy.order is GroupOrder.PARALLEL:
            most = min(most, 1)
            since = row.begun_at
            # One far ahead is from before the clock was set back; one a little ahead is another
            # worker's, or of this moment: this transaction may have waited for it.
            if since is not None and since - gap <= self.now < since + gap:
                due.append(since + gap)
                return False
        if most <= 0:
            return False
        rows = self.connection.execute(_WAITING, {"group": row.id, "most": most})
        if not rows:
            return False
        self.connection.later(BEGIN, {"group": row.id, "r": _positions(rows)})
        self._let([one.job_id for one in rows])
        if gap and policy.order is GroupOrder.PARALLEL:
            due.append(self.now + gap)
        elif len(rows) == _BATCH:
            due.append(self.now)
            self.stepped.again = True
        return True

    def _close(self, group: str, closing: Closing, due: list[int]) -> None:
        """Cancel what has not begun, and for :attr:`Closing.ALL` what runs."""
        rows = self.connection.execute(_WAITING, {"group": group, "most": _BATCH})
        ids = [row.job_id for row in rows]
        if closing is Closing.ALL and len(ids) < _BATCH:
            most = _BATCH - len(ids)
            ids += self.connection.scalars(_RUNNING, {"group": group, "most": most})
        self.connection.later(_LEAVE, {"group": group, "r": _positions(rows)})
        if ids:
            users.cancel(self.connection, ids, actor=_ACTOR, now=self.now)
            self.stepped.cancelled += ids
            self.stepped.changed = True
        if len(ids) == _BATCH:
            due.append(self.now)
            self.stepped.again = True

    def _end(self, row: Row, state: GroupState, changes: Values) -> GroupState:
        """The state of a group once nothing is left of it."""
        cancelled = state is GroupState.CANCELLED
        if row.ended_at is not None or not (row.size or cancelled):
            return state
        if self.connection.first(LEFT, {"group": row.id}) is not None:
            return state
        changes["ended_at"] = self.now
        state = GroupState.CANCELLED if cancelled else GroupState.DONE
        tell(self.history, row, state, {"reason": changes.get("reason", row.reason)})
        self.stepped.changed = True
        return state

    # -- what comes after others --------------------------------------------------------------
    def follow(self, job_ids: Collection[str]) -> None:
        """Settle what becomes of jobs that come after others."""
        places = {row.job_id: row.begun for row in read_ids(self.connection, _PLACES, job_ids)}
        self._let([job_id for job_id in job_ids if places.get(job_id, True)])

    def _let(self, job_ids: Sequence[str]) -> None:
        """Let these begin, unless they come after others that have not ended."""
        held: set[str] = set()
        fates: dict[str, tuple[OnFailure, str]] = {}
        for row in read_ids(self.connection, _DEPENDS, job_ids):
            state = JobState(row.state)
            if state not in FINAL_JOB_STATES:
                held.add(row.job_id)
            elif row.on_failure != OnFailure.RUN:
                fates.setdefault(
                    row.job_id, (OnFailure(row.on_failure), f"{row.id} before it {_ENDED[state]}")
                )
        self._refuse({one: fates[one] for one in fates if one not in held})
        free = [one for one in job_ids if one not in held and one not in fates]
        if free:
            given = {"r": ids_document(sorted(free))}
            self.connection.later(_READY, given)
            self.connection.later(_UNBLOCK, given)
            self.stepped.ready = True

    def _refuse(self, fates: Mapping[str, tuple[OnFailure, str]]) -> None:
        """Fail or skip jobs after one that did not complete."""
        if not fates:
            return
        ids = {row.id for row in read_ids(self.connection, _OPEN_TASKS, fates)}
        moves = []
        for task in read_ids(self.connection, LOCKED_TASKS, ids):
            if task.state != TaskState.QUEUED:
                continue
            fate, why = fates[task.job_id]
            failed = fate is OnFailure.FAIL
            problem = Problem(type="TaskFailed", message=why)
            moves.append(
                Move(
                    task=task,
                    after=TaskState.FAILED if failed else TaskState.CANCELLED,
                    changes={
                        "problem": problem_text(problem),
                        "cancel_requested": not failed,
                        "ended_at": self.now,
                    },
                )
            )
        if moves:
            self.stepped.again |= move_tasks(self.connection, moves, self.history, now=self.now)
            self.stepped.changed = True
            self.stepped.cancelled += fates


def _latest(tasks: Sequence[Row]) -> list[Row]:
    """Those that ran when their jobs ended last: what had completed before was counted before.
    Each time a job is queued again, all that has not completed of it is superseded once more."""
    times = Counter(_part(task) for task in tasks if task.superseded)
    most: dict[str, int] = {}
    for (job_id, *_), count in times.items():
        most[job_id] = max(count, most.get(job_id, 0))
    return [
        task
        for task in tasks
        if not task.superseded
        and task.execution_id is not None
        and times[_part(task)] == most.get(task.job_id, 0)
    ]


def _part(task: Row) -> tuple[str, int, int]:
    return task.job_id, task.first, task.shots_from


def _positions(rows: Sequence[Row]) -> str:
    return document([{"position": row.position} for row in rows])


_KEPT = ("reason", "failures", "usage", "begun_at", "ended_at")
_ENDED = {JobState.FAILED: "failed", JobState.CANCELLED: "was cancelled"}
