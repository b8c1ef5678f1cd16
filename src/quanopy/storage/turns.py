"""Turns: when a job has ended, what of its group, or of what comes after it, begins.

Written down in the transaction that ended the job, worked off later by any worker, each once.
Always turns first, then groups, executions, tasks and jobs, each by id: so nobody waits for each
other.
"""

import json
import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass, field

from sqlalchemy import BigInteger, Integer, bindparam, delete, func, or_, select

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
from quanopy.ports.groups import GroupWork, Stepped
from quanopy.storage import cancelling, followers, group_places, schema
from quanopy.storage.compiled import Row
from quanopy.storage.events import History
from quanopy.storage.group_places import BEGUN, LEFT, RUNNING, WAITING
from quanopy.storage.group_rows import GROUPS, LOCKED_GROUPS, group_of, policy_of, tell
from quanopy.storage.group_usage import add_usage
from quanopy.storage.rows import document, id_rows, rows_of
from quanopy.storage.statements import (
    JOBS,
    LOCKED_JOBS,
    LOCKED_TASKS,
    by_ids,
    insert_rows,
    read_ids,
    update_rows,
)
from quanopy.storage.transaction import Transaction
from quanopy.storage.transitions import Move, move_tasks
from quanopy.storage.values import AT_ONCE, Values, moment_or_none, problem_text, span, stamp

_BATCH = 1_000
"""Turns, what waits for those that ended, and jobs that groups begin or cancel, in one
transaction."""
_ACTOR = "groups"
_jobs, _tasks, _places = schema.jobs, schema.tasks, schema.group_places
_turns, _groups, _executions = schema.turns, schema.groups, schema.executions
_unarchived = schema.unarchived
_now = bindparam("now", type_=BigInteger)
_most = bindparam("most", type_=Integer)
_is_due = or_(
    _groups.c.due_at <= _now,
    # It was set under another clock, before ours went backwards.
    _groups.c.due_at > _now + _groups.c.due_in,
)
_TURNS = select(_turns).order_by(_turns.c.seq).limit(_most)
_DUE = select(_groups.c.id).where(_groups.c.due_at.is_not(None), _is_due).limit(_most)
_UNARCHIVED = select(_unarchived).order_by(_unarchived.c.seq).limit(_most)
_NEXT = select(func.min(_groups.c.due_at))
_LATER = select(_turns.c.group_id).where(
    _turns.c.seq > bindparam("seq", type_=BigInteger), _turns.c.group_id.is_not(None)
)
_seqs = rows_of(_turns.c.seq)
_TAKE = delete(_turns).where(_turns.c.seq.in_(select(_seqs.c.seq))).returning(*_turns.c)
_told = rows_of(_unarchived.c.seq)
_FORGET = delete(_unarchived).where(_unarchived.c.seq.in_(select(_told.c.seq)))
_ids = id_rows()
_PLACES = select(_places.c.job_id, _places.c.begun).select_from(
    _ids.join(_jobs, _jobs.c.id == _ids.c.id).join(
        _places,
        (_places.c.group_id == _jobs.c.group_id) & (_places.c.position == _jobs.c.position),
    )
)
_LOCK_EXECUTIONS = (
    select(_executions.c.id)
    .where(
        _executions.c.id.in_(select(_tasks.c.execution_id).join(_ids, _ids.c.id == _tasks.c.job_id))
    )
    .order_by(_executions.c.id)
    .with_for_update()
)
_LOCK_TASKS = (
    select(_tasks.c.id, _tasks.c.job_id, _tasks.c.state, _tasks.c.ready_at)
    .select_from(_ids.join(_tasks, _tasks.c.job_id == _ids.c.id))
    .where(_tasks.c.state.in_(cancelling.OPEN), ~_tasks.c.superseded)
    .order_by(_tasks.c.id)
    .with_for_update(of=_tasks)
)
_QUEUED = (
    select(_tasks.c.id)
    .select_from(_ids.join(_tasks, _tasks.c.job_id == _ids.c.id))
    .where(_tasks.c.state == TaskState.QUEUED.value, ~_tasks.c.superseded)
)


def work(connection: Transaction, *, now: int) -> GroupWork:
    """What there is to do: turns, and groups that are to be looked at."""
    turns = connection.execute(_TURNS, {"most": _BATCH})
    due = set(connection.scalars(_DUE, {"now": now, "most": _BATCH}))
    if len(turns) == _BATCH:
        # What has ended of them comes first.
        due -= set(connection.scalars(_LATER, {"seq": turns[-1].seq}))
    ids = {row.group_id for row in turns if row.group_id is not None} | due
    found = read_ids(connection, GROUPS, ids)
    next_at = connection.scalar(_NEXT)
    unarchived = connection.execute(_UNARCHIVED, {"most": _BATCH})
    return GroupWork(
        turns=[Turn(seq=row.seq, job_id=row.job_id, group_id=row.group_id) for row in turns],
        groups=[group_of(row) for row in found],
        unarchived={row.seq: row.job_id for row in unarchived},
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
    following = followers.of(connection, ended, most=_BATCH)
    wanted = {*group_ids, *(r.group_id for r in (*taken, *following) if r.group_id is not None)}
    judged = set(group_ids) - {turn.group_id for turn in turns}
    groups = read_ids(connection, LOCKED_GROUPS, wanted)
    share = max(1, _BATCH // max(1, len(groups)))
    done = _Doing(connection, History(_ACTOR, now), now, judged, share)
    # Under their locks: one that was given its turn again meanwhile has not ended, and has a place.
    jobs = {row.id: row for row in read_ids(connection, JOBS, job_ids)}
    new = [job for job in jobs.values() if job.blocked and job.state in followers.OPEN]
    for row in groups:
        mine = [job for job in jobs.values() if job.group_id == row.id]
        done.look(row, mine, rulings.get(row.id))
    done.follow({*(row.job_id for row in following), *(job.id for job in new)})
    done.settle()
    done.history.write(connection)
    insert_rows(connection, _unarchived, [{"job_id": one} for one in done.stepped.cancelled])
    return done.stepped


def archived(connection: Transaction, lines: Collection[int]) -> None:
    """The archive knows what these lines of what it does not know say."""
    connection.later(_FORGET, {"r": document([{"seq": seq} for seq in lines])})


def _take(connection: Transaction, turns: Sequence[Turn]) -> list[Row]:
    if not turns:
        return []
    return connection.execute(_TAKE, {"r": document([{"seq": turn.seq} for turn in turns])})


@dataclass(slots=True)
class _Doing:
    """One step, and what it has come to so far."""

    connection: Transaction
    history: History
    now: int
    judged: Collection[str | None]
    """Groups that the stop rules were held against, with all that has ended of them."""
    share: int
    """Jobs that each group may begin or cancel now: however many there are, and however large,
    each goes on, and the transaction ends soon."""
    stepped: Stepped = field(default_factory=Stepped)
    beginning: list[str] = field(default_factory=list)
    """Jobs whose turn it is."""
    ending: list[str] = field(default_factory=list)
    """Jobs of groups that are to be cancelled."""

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
        group_places.end(self.connection, row.id, policy, jobs, self.now)
        if not jobs:
            return {}
        states = Counter(job.state for job in jobs)
        usage = add_usage(self.connection, json.loads(row.usage), [job.id for job in jobs])
        return {
            "completed": row.completed + states[JobState.COMPLETED.value],
            "failures": row.failures + states[JobState.FAILED.value],
            "usage": json.dumps(usage),
        }

    def _begin(self, row: Row, policy: GroupPolicy, due: list[int]) -> bool:
        """Begin as many as may; note when there is reason to look again. Whether the gap to the
        next counts from now."""
        ((taken, next_free),) = self.connection.execute(BEGUN, {"group": row.id})
        room = math.inf if policy.places is None else policy.places - taken
        most = min(room, self.share)
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
                due.append(min(since, self.now) + gap)
                return bool(since > self.now)
        if most <= 0:
            return False
        rows = self.connection.execute(WAITING, {"group": row.id, "most": most})
        if not rows:
            return False
        group_places.begin(self.connection, row.id, rows)
        self.beginning += [one.job_id for one in rows]
        if gap and policy.order is GroupOrder.PARALLEL:
            due.append(self.now + gap)
        elif len(rows) == self.share < room:
            due.append(self.now)
        return True

    def _close(self, group: str, closing: Closing, due: list[int]) -> None:
        """Cancel what has not begun, and for :attr:`Closing.ALL` what runs."""
        rows = self.connection.execute(WAITING, {"group": group, "most": self.share})
        ids = [row.job_id for row in rows]
        if closing is Closing.ALL and len(ids) < self.share:
            most = self.share - len(ids)
            ids += self.connection.scalars(RUNNING, {"group": group, "most": most})
        group_places.leave(self.connection, group, rows)
        self.ending += ids
        if len(ids) == self.share:
            due.append(self.now)

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
        return state

    # -- what comes after others --------------------------------------------------------------
    def follow(self, job_ids: Collection[str]) -> None:
        """It may be the turn of jobs that come after others, unless their groups hold them."""
        places = {row.job_id: row.begun for row in read_ids(self.connection, _PLACES, job_ids)}
        self.beginning += [job_id for job_id in job_ids if places.get(job_id, True)]

    # -- what comes of it ---------------------------------------------------------------------
    def settle(self) -> None:
        """Begin and cancel all of these jobs at once, locked in the order of their ids."""
        fates = followers.fates(self.connection, set(self.beginning))
        touched = {*fates.free, *fates.refused, *self.ending}
        if not touched:
            return
        if self.ending:
            self.connection.later(*by_ids(_LOCK_EXECUTIONS, self.ending))
        tasks, jobs = self.connection.together(
            by_ids(_LOCK_TASKS, touched), by_ids(LOCKED_JOBS, touched)
        )
        if self.ending:
            cancelling.cancel(self.connection, self.ending, actor=_ACTOR, now=self.now)
            self.stepped.cancelled += self.ending
        self._refuse(fates.refused)
        if fates.free:
            self._free(set(fates.free) - set(self.ending), tasks, jobs)

    def _free(self, free: Set[str], tasks: Sequence[Row], jobs: Sequence[Row]) -> None:
        """Let these jobs begin, of which these are locked; what a rebuild holds waits for somebody
        to release it."""
        begin = free - {job.id for job in jobs if job.held}
        ready = [
            task.id
            for task in tasks
            if task.job_id in begin and task.state == TaskState.QUEUED and task.ready_at is None
        ]
        # Nobody is in the queue before it is their turn.
        turn: Values = {"ready_at": AT_ONCE, "queued_at": self.now, "turn_at": self.now}
        update_rows(self.connection, _tasks, [{"id": one, **turn} for one in ready])
        blocked = [{"id": one, "blocked": False} for one in sorted(free)]
        update_rows(self.connection, _jobs, blocked)
        self.stepped.ready = True

    def _refuse(self, fates: Mapping[str, tuple[OnFailure, str]]) -> None:
        """Fail or skip jobs after one that did not complete."""
        if not fates:
            return
        ids = {row.id for row in read_ids(self.connection, _QUEUED, fates)}
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
            move_tasks(self.connection, moves, self.history, now=self.now)
            self.stepped.cancelled += fates


_KEPT = ("reason", "completed", "failures", "usage", "begun_at", "ended_at")
