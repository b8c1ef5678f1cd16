"""Groups and chains again, after a rebuild has brought back their jobs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import select

from quanopy.domain.groups import Closing, Group, GroupState
from quanopy.domain.states import FINAL_JOB_STATES, JobState
from quanopy.ports.archive import Member, Restoring
from quanopy.storage import group_places, schema
from quanopy.storage.compiled import Row
from quanopy.storage.events import History
from quanopy.storage.group_rows import GROUPS, LOCKED_GROUPS, named, row_of, tell
from quanopy.storage.rows import id_rows
from quanopy.storage.statements import LOCKED_JOBS, insert_rows, read_ids, update_rows
from quanopy.storage.transaction import Transaction
from quanopy.storage.values import Values

REBUILT = "the catalogue was rebuilt from the archive: resume it when you have looked"
_ACTOR = "rebuild"
_ids = id_rows()
_EDGES = select(schema.followers.c.job_id, schema.followers.c.after_id).select_from(
    _ids.join(schema.followers, schema.followers.c.job_id == _ids.c.id)
)


def restore(
    connection: Transaction, given: Sequence[Restoring], members: Sequence[Member], *, now: int
) -> int:
    """Insert these groups where they are not there, and give these jobs their places and what
    they come after; how many groups were new."""
    history = History(_ACTOR, now)
    new = _groups(connection, given, history, now)
    wanted = {one.group_id for one in members if one.group_id is not None}
    groups = {row.id: row for row in read_ids(connection, LOCKED_GROUPS, wanted)}
    ids = {one.job_id for one in members} | {after for one in members for after in one.after}
    jobs = {row.id: row for row in read_ids(connection, LOCKED_JOBS, ids)}
    there = [one for one in members if one.job_id in jobs]
    placing = _Placing(groups, jobs)
    for one in there:
        placing.place(one)
    placing.write(connection, history, now)
    _follow(connection, there, jobs)
    history.write(connection)
    return new


def _groups(connection: Transaction, given: Sequence[Restoring], history: History, now: int) -> int:
    """Insert what is not there; cancel what is there and was cancelled since."""
    rows = {row.id: row for row in read_ids(connection, LOCKED_GROUPS, {g.group.id for g in given})}
    new = [one for one in given if one.group.id not in rows]
    for one in new:
        made = _standing(one, _name(connection, one.group))
        insert_rows(connection, schema.groups, [row_of(made) | _closing(one, now)])
    lately = [
        one
        for one in given
        if one.cancelled
        and one.group.id in rows
        and rows[one.group.id].state != GroupState.CANCELLED.value
    ]
    cancelled = {"state": GroupState.CANCELLED.value, "reason": None, "ended_at": None}
    for one in lately:
        values = {"id": one.group.id, **cancelled, **_closing(one, now)}
        update_rows(connection, schema.groups, [values])
    told = [one.group.id for one in (*new, *lately)]
    for row in read_ids(connection, GROUPS, told):
        tell(history, row, GroupState(row.state), {"reason": row.reason})
    return len(new)


def _standing(one: Restoring, name: str) -> Group:
    if one.cancelled:
        return replace(one.group, name=name, state=GroupState.CANCELLED)
    return replace(one.group, name=name, state=GroupState.PAUSED, reason=REBUILT)


def _name(connection: Transaction, group: Group) -> str:
    """Its name; a group that took it since keeps it."""
    taken = named(connection, group.account, group.name)
    return group.name if taken is None else f"{group.name} ({group.id})"


def _closing(one: Restoring, now: int) -> Values:
    closing = Closing.ALL.value if one.cancelled else None
    return {"closing": closing, "due_at": now if one.cancelled else None, "due_in": 0}


@dataclass(slots=True)
class _Placing:
    """Jobs that get places in their groups, and what that comes to."""

    groups: Mapping[str, Row]
    jobs: Mapping[str, Row]
    sizes: dict[str, int] = field(default_factory=dict)
    waiting: set[str] = field(default_factory=set)
    """Groups that got a job which has not ended."""
    begun: set[str] = field(default_factory=set)
    """Groups of which something has begun."""
    changed: list[Values] = field(default_factory=list)
    places: list[Values] = field(default_factory=list)
    turns: list[Values] = field(default_factory=list)
    went_on: dict[str, list[Row]] = field(default_factory=dict)

    def place(self, one: Member) -> None:
        """Give a job its place, if it has none."""
        job = self.jobs[one.job_id]
        if job.group_id is None and one.group_id is not None and one.group_id in self.groups:
            self._append(job, one.group_id)
        elif job.group_id is not None and job.blocked and job.state == JobState.RUNNING.value:
            # An older copy of the catalogue did not know that it had begun.
            self.went_on.setdefault(job.group_id, []).append(job)
            self.changed.append(_values(job, job.group_id, job.position, blocked=False))

    def _append(self, job: Row, group_id: str) -> None:
        position = self.sizes.get(group_id, self.groups[group_id].size)
        self.sizes[group_id] = position + 1
        self.changed.append(_values(job, group_id, position, blocked=job.held))
        if job.held or job.state not in FINAL_JOB_STATES:
            self.waiting.add(group_id)
            self.places.append(
                {
                    "group_id": group_id,
                    "position": position,
                    "job_id": job.id,
                    "begun": not job.held,
                    "free_at": None,
                }
            )
        else:
            # What it used is counted as if it had ended now.
            self.turns.append({"job_id": job.id, "group_id": group_id, "position": position})
        if job.state != JobState.QUEUED.value:
            self.begun.add(group_id)

    def write(self, connection: Transaction, history: History, now: int) -> None:
        """Write it down."""
        update_rows(connection, schema.jobs, self.changed)
        insert_rows(connection, schema.group_places, self.places)
        insert_rows(connection, schema.turns, self.turns)
        for group_id, went_on in self.went_on.items():
            group_places.begin(connection, group_id, went_on)
        for group_id, size in self.sizes.items():
            row = self.groups[group_id]
            pauses = group_id in self.waiting and row.state != GroupState.CANCELLED.value
            began = row.started_at or (row.created_at if group_id in self.begun else None)
            values: Values = {"id": group_id, "size": size, "started_at": began}
            values |= {"state": row.state, "reason": row.reason, "ended_at": row.ended_at}
            if pauses:
                values |= {"state": GroupState.PAUSED.value, "reason": REBUILT, "ended_at": None}
            update_rows(connection, schema.groups, [values])
            if pauses and row.state != GroupState.PAUSED.value:
                tell(history, row, GroupState.PAUSED, {"reason": REBUILT})


def _values(job: Row, group_id: str, position: int, *, blocked: bool) -> Values:
    return {
        "id": job.id,
        "group_id": group_id,
        "position": position,
        "blocked": blocked,
        # Its group holds it from now on.
        "held": False,
    }


def _follow(connection: Transaction, members: Iterable[Member], jobs: Mapping[str, Row]) -> None:
    """Note what comes after what; what waits for others is blocked until its turn has been."""
    members = [one for one in members if one.after]
    known = {
        (row.job_id, row.after_id)
        for row in read_ids(connection, _EDGES, {one.job_id for one in members})
    }
    edges = [
        (one, after)
        for one in members
        for after in dict.fromkeys(one.after)
        if after in jobs and (one.job_id, after) not in known
    ]
    insert_rows(
        connection,
        schema.followers,
        [
            {"job_id": one.job_id, "after_id": after, "on_failure": one.on_failure.value}
            for one, after in edges
        ],
    )
    followed = sorted({after for _, after in edges})
    update_rows(connection, schema.jobs, [{"id": one, "followed": True} for one in followed])
    waits = [jobs[id_] for id_ in sorted({one.job_id for one, _ in edges}) if jobs[id_].held]
    update_rows(connection, schema.jobs, [{"id": job.id, "blocked": True} for job in waits])
    insert_rows(
        connection,
        schema.turns,
        [{"job_id": job.id, "group_id": None, "position": None} for job in waits],
    )
