"""What is wrong with a receipt: digests and sizes first, then whether its parts belong together."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from quanopy.codecs.calibrations import decode_metrics
from quanopy.codecs.members import circuits_member, program_member
from quanopy.codecs.plain import from_plain
from quanopy.codecs.receipt_files import ReceiptFile
from quanopy.codecs.receipt_parts import parts_of
from quanopy.codecs.receipt_records import CalibrationEntry, EventEntry, GroupEntry, JobEntry
from quanopy.codecs.receipts import (
    GROUP,
    GROUP_EVENTS,
    MANIFEST,
    README,
    RESULT_FORMAT,
    calibration_member,
    content_digest,
    job_member,
)
from quanopy.codecs.result_arrays import check_npz
from quanopy.codecs.result_checks import check_pubs
from quanopy.domain.errors import Invalid, NotFound, QuanopyError
from quanopy.domain.ids import is_id
from quanopy.domain.states import FINAL_JOB_STATES
from quanopy.domain.texts import shown

_LONGEST = 300
_PROMISED = {"programs": "", "circuits": ".qpy"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that is wrong, and where: one line each, that can be shown as it is."""

    member: str
    problem: str

    def __post_init__(self) -> None:
        for name in ("member", "problem"):
            object.__setattr__(self, name, shown(getattr(self, name), _LONGEST))


def faults(
    file: ReceiptFile,
    on_progress: Callable[[int, int], object] | None = None,
    *,
    arrays: bool = True,
    on_job: Callable[[str], object] | None = None,
) -> Iterator[Fault]:
    """Everything that is wrong with a receipt, as it is found. ``on_progress`` is told (members
    read, of so many), ``on_job`` the id of each job once it has been looked at. Without
    ``arrays``, NumPy's form of results is held to its digest alone."""
    tell = on_progress or (lambda done, of: None)
    damaged: set[str] = set()
    for fault in _damage(file, tell):
        damaged.add(fault.member)
        yield fault
    if content_digest(list(file.members.values())) != file.manifest.get("content"):
        yield Fault(member=MANIFEST, problem="content is not the digest of the members named")
    yield from _group(file, damaged)
    known: set[str] = {MANIFEST, README, GROUP, GROUP_EVENTS}
    for job_id in file.manifest["jobs"]:
        yield from _job(file, job_id, damaged, known, arrays)
        if on_job is not None:
            on_job(job_id)
    yield from _snapshots(file, damaged)
    yield from _unowned(file, known)


def _damage(file: ReceiptFile, tell: Callable[[int, int], object]) -> Iterator[Fault]:
    """Bytes that are not those named, or not there, or named nowhere."""
    there = set(file.names)
    for name in sorted(there - file.members.keys() - {MANIFEST}):
        yield Fault(member=name, problem="is not in the manifest")
    for done, (name, member) in enumerate(file.members.items(), 1):
        if name not in there:
            yield Fault(member=name, problem="is missing")
            continue
        try:
            found = file.sha256(name)
        except Invalid as error:
            yield Fault(member=name, problem=error.message)
            continue
        if found != member.sha256:
            yield Fault(member=name, problem=f"has the digest {found}, not {member.sha256}")
        elif _promised(name) not in (None, found):
            yield Fault(member=name, problem=f"is not what its name promises, but {found}")
        tell(done, len(file.members))


def _promised(name: str) -> str | None:
    """The digest that a name stands for, where it stands for one."""
    folder, _, rest = name.partition("/")
    if folder in _PROMISED:
        return rest.removesuffix(_PROMISED[folder])
    digest, _, leaf = rest.partition("/")
    return digest if folder == "calibrations" and leaf == "raw.json" else None


def _group(file: ReceiptFile, damaged: set[str]) -> Iterator[Fault]:
    told = file.manifest.get("group")
    if told is None:
        yield from (
            Fault(member=name, problem="is of no group") for name in _OF_GROUPS if name in file
        )
        return
    for name in _OF_GROUPS:
        if name not in file:
            yield Fault(member=name, problem="is missing")
        elif name in damaged:
            return
    try:
        if GROUP in file:
            yield from _wrong_group(file, GroupEntry.decoded(file.document(GROUP), GROUP))
        if GROUP_EVENTS in file:
            for number, line in enumerate(file.lines(GROUP_EVENTS), 1):
                from_plain(EventEntry, line, f"line {number}")
    except QuanopyError as error:
        yield _fault(GROUP, error)


def _wrong_group(file: ReceiptFile, group: GroupEntry) -> Iterator[Fault]:
    if file.manifest["group"] != {"id": group.id, "name": group.name}:
        yield Fault(member=GROUP, problem="is another group than the manifest names")
    if not is_id(group.id, "group"):
        yield Fault(member=GROUP, problem=f"{group.id[:60]!r} is no group's id")
    positions = list(group.positions)
    if len(positions) != len(file.manifest["jobs"]) or positions != sorted(set(positions)):
        yield Fault(member=GROUP, problem="its positions are not those of its jobs, in order")


_OF_GROUPS = (GROUP, GROUP_EVENTS)


# -- jobs -------------------------------------------------------------------------------------
def _job(
    file: ReceiptFile, job_id: str, damaged: set[str], known: set[str], arrays: bool
) -> Iterator[Fault]:
    name = job_member(job_id, "job.json") if is_id(job_id, "job") else MANIFEST
    if name == MANIFEST:
        yield Fault(member=MANIFEST, problem=f"{job_id[:60]!r} is no job's id")
        return
    known |= {job_member(job_id, leaf) for leaf in _LEAVES}
    if name in damaged:
        return
    try:
        job = JobEntry.decoded(file.document(name), name)
    except QuanopyError as error:
        yield _fault(name, error)
        return
    yield from (Fault(member=name, problem=problem) for problem in _wrong(file, job, job_id, known))
    yield from _result(file, job, damaged, arrays)
    yield from _events(file, job_id, damaged)


_LEAVES = ("job.json", "result.json", "result.npz", "events.jsonl", "parts.jsonl")


def _wrong(file: ReceiptFile, job: JobEntry, job_id: str, known: set[str]) -> Iterator[str]:
    """What a job says that does not hold together."""
    if job.id != job_id:
        yield f"is of {job.id[:60]}"
    needed = [program_member(one.digest) for one in job.programs]
    needed += [circuits_member(one.circuits) for one in job.programs if one.circuits is not None]
    entries = [one for part in job.parts for one in part.ran or ()]
    needed += [circuits_member(one.circuits) for one in entries]
    needed += [circuits_member(one.read) for one in entries if one.read is not None]
    known |= set(needed)
    yield from (f"names {name}, which is not there" for name in needed if name not in file)
    for digest in sorted(job.snapshots):
        name = calibration_member(digest, "calibration.json")
        if name not in file and digest not in job.calibrations_lost:
            yield f"ran under {digest}, which is not there"
    executions = {one.id for one in job.executions}
    for part in job.parts:
        if part.execution_id is not None and part.execution_id not in executions:
            yield f"{part.id} was in {part.execution_id}, which is not told of"
        for ran in part.ran or ():
            if not 0 <= ran.program < len(job.programs):
                yield f"{part.id} ran program {ran.program} of {len(job.programs)}"
    for index, pub in enumerate(job.pubs or ()):
        if not 0 <= pub.program < len(job.programs):
            yield f"pub {index} is of program {pub.program} of {len(job.programs)}"
    if (job_id in file.unfinished) == (job.state in FINAL_JOB_STATES):
        yield f"is {job.state}, and the manifest says otherwise"


def _result(file: ReceiptFile, job: JobEntry, damaged: set[str], arrays: bool) -> Iterator[Fault]:
    name, npz = job_member(job.id, "result.json"), job_member(job.id, "result.npz")
    for member in (name, npz):
        if (member in file) != job.result:
            said = "has" if job.result else "has not"
            yield Fault(member=member, problem=f"the job {said} a result, by its job.json")
    if name not in file or name in damaged:
        return
    try:
        document = file.document(name)
        yield from (Fault(member=name, problem=one) for one in _wrong_result(document, job))
        pubs = check_pubs(document.get("pubs"), job.kind, "pubs")
        parts_of(file, job, pubs)
    except QuanopyError as error:
        yield _fault(name, error)
        return
    if arrays and npz in file and npz not in damaged:
        try:
            check_npz(file.read(npz), job.kind.value, pubs)
        except QuanopyError as error:
            yield _fault(npz, error)


def _wrong_result(document: dict[str, Any], job: JobEntry) -> Iterator[str]:
    if document.get("format") != RESULT_FORMAT:
        yield f"its format is not {RESULT_FORMAT}"
    for name, expected in (
        *(("job_id", job.id), ("kind", job.kind.value)),
        *(("resource", job.resource), ("state", job.state.value)),
    ):
        if document.get(name) != expected:
            yield f"{name} is {str(document.get(name))[:60]!r}, the job's is {expected!r}"
    pubs = document.get("pubs")
    if isinstance(pubs, list) and job.read and job.pubs is not None and len(pubs) != len(job.pubs):
        yield f"it has {len(pubs)} pubs, the job has {len(job.pubs)}"


def _events(file: ReceiptFile, job_id: str, damaged: set[str]) -> Iterator[Fault]:
    name = job_member(job_id, "events.jsonl")
    if name not in file:
        yield Fault(member=name, problem="is missing")
    elif name not in damaged:
        try:
            for number, line in enumerate(file.lines(name), 1):
                from_plain(EventEntry, line, f"line {number}")
        except QuanopyError as error:
            yield _fault(name, error)


# -- what jobs share --------------------------------------------------------------------------
def _snapshots(file: ReceiptFile, damaged: set[str]) -> Iterator[Fault]:
    for name in file.members:
        folder, _, rest = name.partition("/")
        digest, _, leaf = rest.partition("/")
        if folder == "calibrations" and leaf == "calibration.json" and name not in damaged:
            yield from _snapshot(file, name, f"sha256:{digest}", damaged)


def _snapshot(file: ReceiptFile, name: str, digest: str, damaged: set[str]) -> Iterator[Fault]:
    try:
        entry = CalibrationEntry.decoded(file.document(name), name)
    except QuanopyError as error:
        yield _fault(name, error)
        return
    if entry.digest != digest:
        yield Fault(member=name, problem=f"is of {entry.digest[:80]}")
    for leaf in ("raw.json", "metrics.json"):
        if calibration_member(digest, leaf) not in file:
            yield Fault(member=calibration_member(digest, leaf), problem="is missing")
    numbers = calibration_member(digest, "metrics.json")
    if numbers in file and numbers not in damaged:
        try:
            count = len(decode_metrics(file.read(numbers)))
        except QuanopyError as error:
            yield _fault(numbers, error)
            return
        if count != entry.metrics:
            yield Fault(member=numbers, problem=f"has {count} numbers, not {entry.metrics}")


def _unowned(file: ReceiptFile, known: set[str]) -> Iterator[Fault]:
    """Members that no job needs."""
    for name in file.members:
        folder = name.partition("/")[0]
        if folder in ("jobs", "programs", "circuits") and name not in known:
            yield Fault(member=name, problem="is of no job that the manifest names")


def _fault(member: str, error: QuanopyError) -> Fault:
    where = "" if error.where is None or error.where == member else f"{error.where}: "
    missing = "is missing" if isinstance(error, NotFound) else f"{where}{error.message}"
    return Fault(member=member, problem=missing)
