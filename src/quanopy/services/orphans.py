"""Orphans: objects that no row needs, left where a crash came between object and row."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice

from quanopy.codecs.packs import CALIBRATIONS, COMPLETED, PENDING
from quanopy.codecs.records import (
    ENDINGS,
    EXECUTIONS,
    GROUPS,
    REQUESTS,
    TOLD_GROUPS,
    EndRecord,
    ExecutionRecord,
    GroupFate,
    GroupRecord,
    RequestRecord,
    ToldGroupRecord,
)
from quanopy.ports.objects import ObjectInfo, Objects
from quanopy.ports.store import Store
from quanopy.services.archive_packs import Damage, Pack, opened

YOUNG = timedelta(hours=1)
_BATCH = 500


def find_orphans(
    objects: Objects, store: Store, *, older_than: timedelta = YOUNG
) -> Iterator[ObjectInfo]:
    """Packs that nothing in the catalogue needs.

    Never one that a row names; never one younger than ``older_than``, for a pack is written
    before its rows; never one that tells how tasks failed or were cancelled, what was asked of
    them, or that executions were sent, while the catalogue has their jobs, nor one of a group that
    it has, or that was removed; never one that is damaged, for nobody can say what it was. After
    the database was lost, rebuild first: to an empty catalogue, all is orphaned.

    Raises:
        Unavailable: database or object store went away meanwhile.
    """
    now = datetime.now(UTC)
    return _packs(objects, store, now - older_than)


def _packs(objects: Objects, store: Store, before: datetime) -> Iterator[ObjectInfo]:
    for prefix in (PENDING, COMPLETED, CALIBRATIONS):
        old = (info for info in objects.list(prefix) if info.modified_at < before)
        while batch := list(islice(old, _BATCH)):
            named = store.referenced([info.key for info in batch])
            yield from _unneeded(objects, store, [i for i in batch if i.key not in named])


def delete_orphans(objects: Objects, orphans: Sequence[ObjectInfo]) -> None:
    """Delete what :func:`find_orphans` found and somebody has looked at."""
    objects.delete([orphan.key for orphan in orphans])


def _unneeded(
    objects: Objects, store: Store, unnamed: Sequence[ObjectInfo]
) -> Iterator[ObjectInfo]:
    for pack in opened(objects, unnamed):
        if not isinstance(pack, Damage) and not _needed(pack, store):
            yield pack.info


def _needed(pack: Pack, store: Store) -> bool:
    """Whether a pack that no row names still tells of something the catalogue has."""
    jobs: set[str] = set()
    with_results: set[str] = set()
    ended: set[str | None] = set()
    groups: set[str] = set()
    for member in pack.members:
        for line in member.data.splitlines() if member.name == EXECUTIONS else ():
            jobs |= {task.job_id for task in ExecutionRecord.model_validate_json(line).tasks}
        for line in member.data.splitlines() if member.name == REQUESTS else ():
            jobs.add(RequestRecord.model_validate_json(line).job_id)
        for line in member.data.splitlines() if member.name == GROUPS else ():
            group = GroupRecord.model_validate_json(line)
            if group.fate is GroupFate.REMOVED:
                return True  # or what was said of it before would bring it back
            groups.add(group.id)
        for line in member.data.splitlines() if member.name == TOLD_GROUPS else ():
            groups.add(ToldGroupRecord.model_validate_json(line).id)
        for line in member.data.splitlines() if member.name == ENDINGS else ():
            end = EndRecord.model_validate_json(line)
            if not end.tasks:
                return True  # its execution ended and its tasks went on: rebuild must know
            jobs |= {task.job_id for task in end.tasks if task.result is None}
            with_results |= {task.job_id for task in end.tasks if task.result is not None}
            ended.add(end.execution_id)
    if (jobs and store.jobs(jobs)) or (groups and store.groups(groups)):
        return True
    # A result that no row names came too late, or its task had been cancelled; then the rows show
    # this end of it.
    return any(task.execution_id in ended for task in store.tasks(with_results))
