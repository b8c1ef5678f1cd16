"""Importing: jobs of another broker, from a receipt. A stranger's file: all of it is checked
before any of it is kept, and circuits are read where they can harm nobody."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from tempfile import TemporaryFile

from quanopy.codecs.calibrations import decode_metrics, encode_metrics
from quanopy.codecs.members import circuits_member
from quanopy.codecs.receipt_checks import faults
from quanopy.codecs.receipt_files import ReceiptFile, most_of
from quanopy.codecs.receipt_records import JobEntry
from quanopy.codecs.receipts import calibration_member
from quanopy.domain.errors import Conflict, Invalid, QuanopyError, TooLarge
from quanopy.domain.groups import Group
from quanopy.domain.imports import Imported, ImportStep
from quanopy.domain.jobs import Job, JobKind, JobSpec, Reading
from quanopy.domain.lots import lots
from quanopy.domain.programs import QPY, Program
from quanopy.domain.sightings import Sighting
from quanopy.domain.states import FINAL_JOB_STATES
from quanopy.ports.archive import Told, ToldGroup
from quanopy.ports.objects import Objects
from quanopy.ports.programs import Reader
from quanopy.ports.store import Store
from quanopy.services.calibration_packs import pack_snapshot
from quanopy.services.import_reading import (
    circuits_of,
    read_entry,
    read_group,
    read_job,
    read_snapshot,
)
from quanopy.services.receipts import (
    Made,
    contents,
    group_entry,
    members_of,
    own_members,
    receipt_of,
)
from quanopy.services.told import (
    Telling,
    TellingGroup,
    as_imported,
    load_told,
    pack_told,
    pack_told_group,
    placed,
)

Tell = Callable[[ImportStep, int, int], object]
"""Is told a step, of how many jobs (or circuits, as they are read) it is done, and of so many."""

_AT_ONCE = 250
_READ_AT_ONCE = 50
_READ_S = 120.0
_MOST_HELD = 64 * 1024 * 1024
"""Bytes of jobs that are packed together."""


def _nobody(step: ImportStep, done: int, of: int) -> None:
    """Tells it to nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A job of the receipt that was not imported, and why."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenIn:
    """What became of a receipt's jobs."""

    imported: Imported
    new: Sequence[str]
    known: Sequence[str]
    """They were there already, the same."""
    left_out: Sequence[LeftOut]


class Importing:
    """Takes receipts in."""

    def __init__(self, *, store: Store, objects: Objects, reader: Reader, most_bytes: int) -> None:
        """``most_bytes``: of all members of a receipt together, unpacked."""
        self._store = store
        self._objects = objects
        self._reader = reader
        self._most_bytes = most_bytes

    def take_in(self, file: ReceiptFile, account: str, tell: Tell = _nobody) -> TakenIn:
        """Import the jobs of a receipt for an account. Safe to repeat: what is there already stays.
        ``tell`` is told how far each step is.

        Raises:
            Invalid: something is wrong with the receipt, or none of its jobs was final.
            TooLarge: it unpacks to more than is taken.
            Conflict: one of its jobs is there and is another, or another's.
            Unavailable: database or object store are away; what has been imported stays.
        """
        told = self._checked(file, tell)
        imported = as_imported(file.manifest, file.digest, account, datetime.now(UTC))
        entries = {one.id: one for one in told if one.state in FINAL_JOB_STATES}
        left_out = [
            LeftOut(id=one.id, reason=f"it was {one.state} when the receipt was made")
            for one in told
            if one.id not in entries
        ]
        if not entries:
            raise Invalid(
                "none of its jobs was final when it was made",
                where=file.where,
                hint="Export them again when they are.",
            )
        known = self._known(file, list(entries), account)
        new = [job_id for job_id in entries if job_id not in known]
        group = self._group(file, entries, account)
        if group is None and file.manifest.get("group") is not None:
            reason = "the group had not ended when the receipt was made"
            left_out.append(LeftOut(id=str(file.manifest["group"]["id"]), reason=reason))
        elif group is not None and self._was_removed(group):
            reason = "the group was removed here, and its jobs are here; the receipt has it still"
            left_out.append(LeftOut(id=group.entry.id, reason=reason))
            group = None
        wanted = [entries[job_id] for job_id in new]
        taken = self._take(file, wanted, imported, account, group, tell)
        known |= set(new) - taken  # somebody else was importing them
        new = [job_id for job_id in new if job_id in taken]
        return TakenIn(imported=imported, new=new, known=sorted(known), left_out=left_out)

    def _group(
        self,
        file: ReceiptFile,
        entries: Mapping[str, JobEntry],
        account: str,
    ) -> TellingGroup | None:
        """The group that the jobs are of; ``None``: of none, or of one that had not ended.

        Raises :class:`Conflict` where it is there and is another.
        """
        group = read_group(file, entries)
        if group is None:
            return None
        for there in self._store.groups([group.entry.id]):
            if there.account != account or not self._is_same(there, group):
                raise Conflict(f"{there.id} is there already, and is not what the receipt says")
        return group

    def _is_same(self, there: Group, told: TellingGroup) -> bool:
        """Whether a group is what is told of it, though some of its jobs may not be there yet: an
        import may have been interrupted."""
        known = self._jobs(members_of(self._store, there)).values()
        placed_as_told = all(told.positions.get(job.id) == job.position for job in known)
        ours, theirs = group_entry(there, ()), replace(told.entry, positions=())
        return placed_as_told and ours == theirs

    def _was_removed(self, group: TellingGroup) -> bool:
        """Whether jobs that ran here are in it no more: only what was told of joins a group that
        is told of."""
        return any(
            job.imported is None and job.group_id != group.entry.id
            for job in self._jobs(list(group.positions)).values()
        )

    def _jobs(self, ids: Sequence[str]) -> Mapping[str, Job]:
        """Those of these that are there, by id."""
        return {
            job.id: job
            for start in range(0, len(ids), _AT_ONCE)
            for job in self._store.jobs(ids[start : start + _AT_ONCE])
        }

    def _checked(self, file: ReceiptFile, tell: Tell) -> list[JobEntry]:
        """What is told of each job, once all of it has been found to be sound."""
        size = sum(member.size for member in file.members.values())
        if size > self._most_bytes:
            raise TooLarge(
                f"it unpacks to {size} bytes, at most {self._most_bytes} are taken",
                where=file.where,
            )
        for member in file.members.values():
            most = most_of(member.name)
            if member.size > most:
                raise TooLarge(f"{member.name} has {member.size} bytes, at most {most} are taken")
        jobs: list[JobEntry] = []

        def look(job_id: str) -> None:
            # While what was read of it to find faults is at hand.
            entry = read_entry(file, job_id)
            if entry.state in FINAL_JOB_STATES:
                read_job(file, entry)
            jobs.append(entry)
            tell(ImportStep.CHECK, len(jobs), len(file.manifest["jobs"]))

        if (fault := next(faults(file, arrays=False, on_job=look), None)) is not None:
            raise Invalid(
                fault.problem, where=fault.member, hint="`quanopy verify` says all that is wrong."
            )
        return jobs

    def _known(self, file: ReceiptFile, ids: Sequence[str], account: str) -> set[str]:
        """Those that are there already, the same.

        Raises :class:`Conflict` for one that is there as another, or as another's.
        """
        there = self._jobs(ids)
        for job in there.values():
            if job.account != account:
                raise Conflict(f"{job.id} is there already, and is another's")
        ours = contents(self._store, self._objects, list(there)) if there else {}
        for job_id, members in ours.items():
            same = members == own_members(file.members, job_id)
            if not same and not self._says_the_same(file, job_id, account):
                raise Conflict(
                    f"{job_id} is there already, and is not what the receipt says",
                    hint="Export it here and compare: one of the two was changed.",
                )
        return set(there)

    def _says_the_same(self, file: ReceiptFile, job_id: str, account: str) -> bool:
        """Whether what is known here of a job is all that a receipt says which is understood here:
        it may be laid out otherwise, and have fields of a later version."""
        made = Made(at=datetime.now(UTC), broker="", account=account, versions={})
        with TemporaryFile() as ours:
            ours.writelines(receipt_of(self._store, self._objects, [job_id], made))
            with ReceiptFile(ours) as known:
                return _told(known, job_id) == _told(file, job_id)

    # -- taking -------------------------------------------------------------------------------
    def _take(
        self,
        file: ReceiptFile,
        entries: Sequence[JobEntry],
        imported: Imported,
        account: str,
        group: TellingGroup | None,
        tell: Tell,
    ) -> set[str]:
        """Import these jobs, and the group; the ids of those that were not there."""
        taken: set[str] = set()
        done = 0
        circuits = {digest for entry in entries for digest in circuits_of(entry)}
        self._read(file, sorted(circuits), tell)
        for digest in {one for entry in entries for one in _snapshots_of(entry, file)}:
            read_snapshot(file, digest)
        whole = None
        if group is not None:
            whole = group.told(account, imported)
            self._keep_group(group, imported, account)
        for start in range(0, len(entries), _AT_ONCE):
            batch = entries[start : start + _AT_ONCE]
            snapshots = self._snapshots(
                file, {one for entry in batch for one in _snapshots_of(entry, file)}
            )
            for told in _by_size(file, batch):
                key, data, places = pack_told(told, imported, account)
                self._objects.put({key: data})
                jobs = [placed(one, whole) for one in load_told(self._objects, places)]
                taken |= self._store.tell(jobs, snapshots, _part(whole, jobs))
                done += len(jobs)
                tell(ImportStep.KEEP, done, len(entries))
        if whole is not None:
            self._store.tell([], [], whole)
        return taken

    def _keep_group(self, group: TellingGroup, imported: Imported, account: str) -> None:
        """Have the archive know of the group and its jobs, unless nothing of it is new here."""
        there = self._jobs(list(group.positions)).values()
        placed_here = {job.id for job in there if job.group_id == group.entry.id}
        if placed_here != group.positions.keys():
            key, data = pack_told_group(group, imported, account)
            self._objects.put({key: data})

    def _read(self, file: ReceiptFile, digests: Sequence[str], tell: Tell) -> None:
        """Have each of these QPY read where it can harm nobody; raises :class:`Invalid` for one
        that cannot be."""
        for start in range(0, len(digests), _READ_AT_ONCE):
            some = digests[start : start + _READ_AT_ONCE]
            specs = [
                JobSpec(
                    kind=JobKind.RUN,
                    resource="",
                    programs=[Program(format=QPY, data=file.read(circuits_member(digest)))],
                )
                for digest in some
            ]
            answers = self._reader.read(specs, deadline_s=_READ_S)
            for digest, answer in zip(some, answers, strict=True):
                _check_read(answer, circuits_member(digest))
            tell(ImportStep.READ, start + len(some), len(digests))

    def _snapshots(self, file: ReceiptFile, digests: set[str]) -> list[Sighting]:
        """Those that are not known here, packed and put; the numbers of the others are compared.

        Raises :class:`Conflict` where they differ.
        """
        named = sorted(digests)
        there = {one.digest: one for one in self._store.first_sightings(named)} if named else {}
        found: list[Sighting] = []
        packs: dict[str, bytes] = {}
        for digest in named:
            normal = file.read(calibration_member(digest, "metrics.json"))
            if digest in there:
                (ours,) = self._objects.read([there[digest].normal])
                if encode_metrics(decode_metrics(ours)) != encode_metrics(decode_metrics(normal)):
                    raise Conflict(f"the numbers of {digest} are others here")
                continue
            key, data, sighting = pack_snapshot(read_snapshot(file, digest), told=True)
            packs[key] = data
            found.append(sighting)
        if packs:
            self._objects.put(packs)
        return found


def _told(file: ReceiptFile, job_id: str) -> Telling:
    return read_job(file, read_entry(file, job_id))


def _snapshots_of(entry: JobEntry, file: ReceiptFile) -> Iterator[str]:
    """Digests of those that a job ran under, but for what was lost."""
    return (one for one in entry.snapshots if calibration_member(one, "raw.json") in file)


def _check_read(answer: Reading | QuanopyError | None, where: str) -> None:
    if answer is None:
        raise Invalid("the circuits take too long to read", where=where)
    # What is said of pubs is said of circuits that were read: these have parameters to be bound.
    if isinstance(answer, QuanopyError) and not (answer.where or "").startswith("pubs["):
        raise Invalid(f"the circuits cannot be read: {answer.message}", where=where)


def _part(group: ToldGroup | None, jobs: Sequence[Told]) -> ToldGroup | None:
    """The group with these of its jobs alone."""
    if group is None:
        return None
    return replace(group, positions={one.job.id: group.positions[one.job.id] for one in jobs})


def _by_size(file: ReceiptFile, entries: Sequence[JobEntry]) -> Iterator[list[Telling]]:
    """As many at a time as may be held together."""
    return lots((read_job(file, entry) for entry in entries), _length, most=_MOST_HELD)


def _length(one: Telling) -> int:
    return sum(map(len, (*one.programs, *one.circuits.values(), *one.results.values())))
