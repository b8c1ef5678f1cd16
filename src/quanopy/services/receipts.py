"""Receipts: jobs with all that the catalogue and the archive have of them, as one zip, in pieces.

However many jobs there are, only a batch of them is held: their rows are read together, and what
they share (programs, circuits, snapshots) is written where the first of them needs it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from quanopy.codecs.plain import to_plain
from quanopy.codecs.receipt_records import GroupEntry
from quanopy.codecs.receipts import (
    GROUP,
    GROUP_EVENTS,
    Member,
    ReceiptWriter,
    job_member,
)
from quanopy.domain.groups import Group
from quanopy.domain.imports import Imported
from quanopy.domain.states import FINAL_JOB_STATES
from quanopy.ports.objects import Objects
from quanopy.ports.store import Store
from quanopy.services.receipt_jobs import Batch, event_entry, group_events, seen_events

_AT_ONCE = 100
_OWN = ("job.json", "result.json", "parts.jsonl", "events.jsonl")
_MEMBERS_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """Who makes a receipt, when, and with what."""

    at: datetime
    broker: str
    """The broker's address as its caller names it, without credentials."""
    account: str
    """Who asked for it."""
    versions: Mapping[str, str]
    """Of the packages that the broker runs with."""


def receipt_of(
    store: Store,
    objects: Objects,
    job_ids: Sequence[str],
    made: Made,
    *,
    group: Group | None = None,
) -> Iterator[bytes]:
    """A receipt of these jobs, in this order, as pieces of one zip file; ``group`` is what they
    are the jobs of.

    Raises:
        NotFound: a job is not there any more, or the archive has lost a part of it.
        Unavailable: database or object store are away.
    """
    writer = ReceiptWriter()
    positions: list[int | None] = []
    unfinished: list[str] = []
    told: dict[Imported, list[str]] = {}
    for start in range(0, len(job_ids), _AT_ONCE):
        batch = Batch(store, objects, job_ids[start : start + _AT_ONCE])
        batch.write_shared(writer)
        positions += [one.job.position for one in batch.jobs]
        for one in batch.jobs:
            batch.write(one, writer)
            if one.job.state not in FINAL_JOB_STATES:
                unfinished.append(one.job.id)
            if one.job.imported is not None:
                told.setdefault(one.job.imported, []).append(one.job.id)
            yield writer.take()
    if group is not None:
        all_told = sum(map(len, told.values())) == len(job_ids)
        _write_group(store, group, positions, writer, told=all_told)
    yield writer.close(_about(job_ids, unfinished, told, made, group))


def members_of(store: Store, group: Group) -> list[str]:
    """The ids of a group's jobs, in order."""
    ids: list[str] = []
    after = -1
    while True:
        page = store.group_jobs(group.id, after=after, limit=_MEMBERS_AT_ONCE)
        ids += [job.id for job in page]
        if len(page) < _MEMBERS_AT_ONCE or (last := page[-1].position) is None:
            return ids
        after = last


def group_entry(group: Group, positions: Sequence[int | None]) -> GroupEntry:
    """What a receipt says of a group."""
    return GroupEntry(
        id=group.id,
        name=group.name,
        state=group.state,
        reason=group.reason,
        resource=group.resource,
        policy=group.policy,
        size=group.size,
        positions=tuple(one or 0 for one in positions),
        usage=group.usage,
        failures=group.failures,
        created_at=group.created_at,
        started_at=group.started_at,
        ended_at=group.ended_at,
    )


def _write_group(
    store: Store,
    group: Group,
    positions: Sequence[int | None],
    writer: ReceiptWriter,
    *,
    told: bool,
) -> None:
    entry = group_entry(group, positions)
    seen = seen_events(group_events(store, group.id), told=told)
    writer.add(GROUP, entry.encoded())
    writer.add(GROUP_EVENTS, b"".join(event_entry(one).line() for one in seen))


def contents(
    store: Store, objects: Objects, job_ids: Sequence[str]
) -> Mapping[str, Mapping[str, str]]:
    """What receipts of these jobs would have of each alone: by job, members and their SHA-256.
    Raises as :func:`receipt_of`."""
    found: dict[str, Mapping[str, str]] = {}
    for start in range(0, len(job_ids), _AT_ONCE):
        batch = Batch(store, objects, job_ids[start : start + _AT_ONCE])
        writer = ReceiptWriter()
        batch.write_shared(writer)
        for one in batch.jobs:
            batch.write(one, writer)
            writer.take()
        there = {one.name: one for one in writer.members}
        found |= {id_: own_members(there, id_) for id_ in batch.ids}
    return found


def own_members(members: Mapping[str, Member], job_id: str) -> Mapping[str, str]:
    """Of these, by name, those that are a job's own, with their SHA-256. What NumPy makes of a
    result may depend on its version, and is left out."""
    named = (job_member(job_id, leaf) for leaf in _OWN)
    return {name: members[name].sha256 for name in named if name in members}


def _about(
    job_ids: Sequence[str],
    unfinished: Sequence[str],
    told: Mapping[Imported, Sequence[str]],
    made: Made,
    group: Group | None,
) -> Mapping[str, object]:
    return {
        "group": None if group is None else {"id": group.id, "name": group.name},
        "made": {
            "at": made.at.astimezone(UTC).isoformat(),
            "broker": made.broker,
            "account": made.account,
            "versions": dict(sorted(made.versions.items())),
            "told": [to_plain(one) | {"jobs": list(ids)} for one, ids in told.items()],
        },
        "jobs": list(job_ids),
        "unfinished": list(unfinished),
    }
