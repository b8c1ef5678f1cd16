"""Rebuild: the catalogue again, from the object store alone."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain, islice
from typing import TypeVar

from quanopy.codecs.packs import CALIBRATIONS, COMPLETED, PENDING
from quanopy.codecs.records import CALIBRATION, CalibrationRecord, GroupFate, GroupRecord, JobRecord
from quanopy.domain.errors import Conflict
from quanopy.domain.groups import Group, GroupState
from quanopy.domain.jobs import Job, OnFailure
from quanopy.domain.sightings import Sighting
from quanopy.domain.states import FINAL_JOB_STATES, ExecutionState
from quanopy.ports.archive import ArchiveStore, Member, Restoring
from quanopy.ports.objects import Objects
from quanopy.ports.submissions import Submission
from quanopy.services.archive_index import ArchiveIndex, Found
from quanopy.services.archive_packs import Damage, packs
from quanopy.services.calibration_packs import sighting_in
from quanopy.services.restoring import Restored, executions_of, restored
from quanopy.services.told import load_told, load_told_group

log = logging.getLogger(__name__)

_BATCH = 500

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """What a rebuild found, and what of it was new to the catalogue."""

    packs: int = 0
    snapshots: int = 0
    """Packs of them that hold the snapshot of a calibration."""
    jobs: int = 0
    new: int = 0
    finished: int = 0
    held: int = 0
    """Jobs with tasks that wait until someone releases them."""
    stranded: int = 0
    """Remote executions that will be looked for at their providers."""
    groups: int = 0
    """Groups that were new."""
    damaged: tuple[Damage, ...] = ()
    """Packs that were left out. Put back a copy, then rebuild again."""
    lost: tuple[str, ...] = ()
    """Jobs that other packs tell of, and whose submission is not in the archive."""


def rebuild(
    objects: Objects, store: ArchiveStore, on_progress: Callable[[int, int], None] | None = None
) -> Rebuilt:
    """Restore the catalogue from ``pending/``, ``completed/`` and ``calibrations/``.

    Finished jobs come back as they were: states, times, problems, where their results lie,
    executions, usage and the snapshots they ran under. Unfinished ones, retries that have not run
    among them, are held until someone releases them. Remote executions that may have been sent,
    and of which no end is known, come back ``stranded`` with their tasks ``executing``, so that
    workers look for them at the provider, to stop them where all was cancelled. Of several endings
    of one task the first counts, save that what was cancelled stays so. Idempotency keys are
    restored. Groups come back paused, with their jobs in the order in which they came, unless all
    have ended; a cancelled one is cancelled. What comes after other jobs does so again.

    Not restored, for the archive does not have them: tokens, leases, resources' maintenance. A
    request whose rows were never written comes back too, held, unless it was sent again with its
    key.

    Safe on a catalogue that has some of it, and to repeat: what is there already stays (see
    ``Store.restore``). Reads each pack once and holds a few at a time. ``on_progress`` is told
    (packs read, jobs restored).

    Raises:
        Unavailable: the database or object store went away meanwhile; repeat it.
    """
    tell = on_progress or (lambda packs, jobs: None)
    with ArchiveIndex() as index:
        count, damaged = _gather(objects, index, tell)
        result = _Counter()
        for batch in _batches(index.jobs()):
            _restore(objects, store, batch, result)
            tell(count, result.jobs)
        _restore_told_groups(objects, store, index)
        groups = _restore_groups(store, index)
        lost = tuple(index.lost())
    snapshots = _restore_sightings(objects, store, damaged)
    return Rebuilt(
        packs=count + snapshots,
        snapshots=snapshots,
        jobs=result.jobs,
        new=result.new,
        finished=result.finished,
        held=result.held,
        stranded=len(result.stranded),
        groups=groups,
        damaged=tuple(damaged),
        lost=lost,
    )


class _Counter:
    def __init__(self) -> None:
        self.jobs = self.new = self.finished = self.held = 0
        self.stranded: set[str] = set()

    def count(self, job: Job) -> None:
        self.jobs += 1
        self.finished += job.state in FINAL_JOB_STATES
        self.held += job.held


def _gather(
    objects: Objects, index: ArchiveIndex, tell: Callable[[int, int], None]
) -> tuple[int, list[Damage]]:
    count = 0
    damaged: list[Damage] = []
    for pack in packs(objects, PENDING, COMPLETED):
        count += 1
        if isinstance(pack, Damage):
            damaged.append(pack)
            continue
        try:
            index.add(pack)
        except ValueError as error:
            damaged.append(Damage(key=pack.key, problem=str(error).splitlines()[0]))
        tell(count, 0)
    return count, damaged


def _restore_sightings(objects: Objects, store: ArchiveStore, damaged: list[Damage]) -> int:
    """Restore the snapshots of calibrations, and from when to when they were seen (of the last of
    each resource, when first); how many."""
    count = 0
    found: list[Sighting] = []
    until: dict[str, datetime] = {}
    for pack in packs(objects, CALIBRATIONS):
        count += 1
        if isinstance(pack, Damage):
            damaged.append(pack)
            continue
        try:
            records = [
                CalibrationRecord.model_validate_json(member.data)
                for member in pack.members
                if member.name == CALIBRATION
            ]
        except ValueError as error:
            damaged.append(Damage(key=pack.key, problem=str(error).splitlines()[0]))
            continue
        told = [sighting_in(record, pack.key) for record in records if record.told]
        if told:
            store.tell([], told)
        found += [sighting_in(record, pack.key) for record in records if not record.told]
        for one in (record.before for record in records if record.before is not None):
            until[one.pack] = max(one.seen_until, until.get(one.pack, one.seen_until))
    for start in range(0, len(found), _BATCH):
        batch = found[start : start + _BATCH]
        store.restore_sightings([_until(one, until.get(one.raw.key)) for one in batch])
    return count


def _until(sighting: Sighting, last: datetime | None) -> Sighting:
    return sighting if last is None else replace(sighting, seen_until=max(last, sighting.seen_from))


def _batches(groups: Iterator[list[Found]]) -> Iterator[list[list[Found]]]:
    """Submissions restored together, some hundred jobs at a time."""
    batch: list[list[Found]] = []
    size = 0
    for group in groups:
        batch.append(group)
        size += len(group)
        if size >= _BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _restore(
    objects: Objects,
    store: ArchiveStore,
    batch: Sequence[Sequence[Found]],
    result: _Counter,
) -> None:
    told = [one for one in chain.from_iterable(batch) if one.record.told is not None]
    if told:
        _restore_told(objects, store, told, result)
    seen = [[one for one in group if one.record.told is None] for group in batch]
    groups = [[restored(found) for found in group] for group in seen if group]
    executions = executions_of(chain.from_iterable(seen), datetime.now(UTC))
    result.new += store.restore([_submission(group) for group in groups], executions)
    for one in chain.from_iterable(groups):
        result.count(one.job)
    result.stranded |= {e.id for e in executions if e.state is ExecutionState.STRANDED}


def _restore_told(
    objects: Objects, store: ArchiveStore, found: Sequence[Found], result: _Counter
) -> None:
    """What was imported, as it was told."""
    told = load_told(objects, [(one.record, one.spec) for one in found])
    result.new += len(store.tell(told, []))
    for one in told:
        result.count(one.job)


def _restore_told_groups(objects: Objects, store: ArchiveStore, index: ArchiveIndex) -> None:
    """Groups that were imported, and their jobs' places in them; unless something else has taken
    the name since."""
    for pack, record in index.told_groups():
        try:
            store.tell([], [], load_told_group(objects, record, pack))
        except Conflict as error:
            log.warning("the jobs of %s come back on their own: %s", record.id, error)


def _restore_groups(store: ArchiveStore, index: ArchiveIndex) -> int:
    """Groups, and what comes after what, once their jobs are there; how many groups were new."""
    new = 0
    for records in _many(one for one in index.groups() if one.fate is not GroupFate.REMOVED):
        new += store.restore_groups([_restoring(record) for record in records], [])
    for jobs in _many(index.turns()):
        store.restore_groups([], [_member(record) for record in jobs])
    return new


def _many(found: Iterator[T]) -> Iterator[list[T]]:
    while batch := list(islice(found, _BATCH)):
        yield batch


def _restoring(record: GroupRecord) -> Restoring:
    group = Group(
        id=record.id,
        account=record.account,
        name=record.name,
        state=GroupState.PAUSED,
        policy=record.policy,
        resource=record.resource,
        created_at=record.created_at,
        changed_at=None if record.at == record.created_at else record.at,
    )
    return Restoring(group=group, cancelled=record.fate is GroupFate.CANCELLED)


def _member(record: JobRecord) -> Member:
    return Member(
        job_id=record.id,
        group_id=record.group,
        after=record.after or (),
        on_failure=record.on_failure or OnFailure.SKIP,
    )


def _submission(group: Sequence[Restored]) -> Submission:
    first = group[0]
    return Submission(
        account=first.job.account,
        jobs=[one.job for one in group],
        tasks=[task for one in group for task in one.tasks],
        idempotency_key=first.idempotency_key,
        request_digest=first.request_digest,
    )
