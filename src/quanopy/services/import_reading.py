"""A stranger's receipt read: what it tells of jobs, groups and snapshots, found to be sound."""

from collections.abc import Collection, Iterator, Mapping

from quanopy.codecs.calibrations import check as check_snapshot
from quanopy.codecs.calibrations import decode_metrics
from quanopy.codecs.members import circuits_member, program_member
from quanopy.codecs.plain import from_plain
from quanopy.codecs.receipt_files import ReceiptFile, json_value
from quanopy.codecs.receipt_parts import parts_of
from quanopy.codecs.receipt_records import CalibrationEntry, EventEntry, GroupEntry, JobEntry
from quanopy.codecs.receipts import (
    GROUP,
    GROUP_EVENTS,
    calibration_member,
    job_member,
)
from quanopy.codecs.result_checks import check_pubs
from quanopy.codecs.results import encode_result
from quanopy.domain.calibration import Snapshot
from quanopy.domain.errors import Invalid
from quanopy.domain.states import FINAL_JOB_STATES
from quanopy.domain.texts import is_showable
from quanopy.services.import_checks import (
    check_events,
    check_group,
    check_group_events,
    check_job,
    check_plain,
)
from quanopy.services.told import Telling, TellingGroup

_EARLIEST, _LATEST = 1970, 9998


def read_entry(file: ReceiptFile, job_id: str) -> JobEntry:
    """A job; one that was final is found to be sound. Raises :class:`Invalid`."""
    name = job_member(job_id, "job.json")
    document = file.document(name)
    check_plain(document, name)
    entry = JobEntry.decoded(document, name)
    if entry.state in FINAL_JOB_STATES:
        check_job(entry, name)
    return entry


def circuits_of(entry: JobEntry) -> Iterator[str]:
    """Digests of all QPY of a job."""
    for program in entry.programs:
        if program.circuits is not None:
            yield program.circuits
    for ran in (one for part in entry.parts for one in part.ran or ()):
        yield ran.circuits
        if ran.read is not None:
            yield ran.read


def read_job(file: ReceiptFile, entry: JobEntry) -> Telling:
    """All that is told of a job; raises :class:`Invalid`."""
    name = job_member(entry.id, "events.jsonl")
    lines = list(file.lines(name))
    check_plain(lines, name)
    events = [
        from_plain(EventEntry, line, f"{name}, line {at}") for at, line in enumerate(lines, 1)
    ]
    check_events(events, entry, name)
    return Telling(
        entry=entry,
        programs=[file.read(program_member(one.digest)) for one in entry.programs],
        circuits={digest: file.read(circuits_member(digest)) for digest in circuits_of(entry)},
        results=_results(file, entry) if entry.result else {},
        events=events,
    )


def _results(file: ReceiptFile, entry: JobEntry) -> Mapping[str, bytes]:
    """What each part gave, as JSON arrays."""
    name = job_member(entry.id, "result.json")
    document = file.document(name)
    pubs = check_pubs(document.get("pubs"), entry.kind, f"{name}.pubs")
    given = parts_of(file, entry, pubs)
    check_plain(list(given.values()), name)
    return {part: encode_result(found) for part, found in given.items()}


def read_group(file: ReceiptFile, jobs: Collection[str]) -> TellingGroup | None:
    """The group that the jobs are of, with the places of these; ``None``: of none, or of one that
    had not ended. Raises :class:`Invalid`."""
    if file.manifest.get("group") is None:
        return None
    document, lines = file.document(GROUP), list(file.lines(GROUP_EVENTS))
    check_plain([document, lines], GROUP)
    entry = GroupEntry.decoded(document, GROUP)
    if entry.ended_at is None:
        return None
    check_group(entry, GROUP)
    events = [from_plain(EventEntry, line, GROUP_EVENTS) for line in lines]
    check_group_events(events, entry, GROUP_EVENTS)
    places = zip(file.manifest["jobs"], entry.positions, strict=True)
    positions = {job_id: position for job_id, position in places if job_id in jobs}
    return TellingGroup(entry=entry, positions=positions, events=events)


def read_snapshot(file: ReceiptFile, digest: str) -> Snapshot:
    """A snapshot; raises :class:`Invalid`."""
    name = calibration_member(digest, "calibration.json")
    document = file.document(name)
    check_plain(document, name)
    entry = CalibrationEntry.decoded(document, name)
    raw = file.read(calibration_member(digest, "raw.json"))
    check_plain(json_value(raw, name), name)
    if not (0 < len(entry.resource) <= 100 and is_showable(entry.resource)):
        raise Invalid("it is of no resource", where=name)
    if not _EARLIEST <= entry.seen_from.year <= _LATEST:
        raise Invalid(f"{entry.seen_from} is no time when it was seen", where=name)
    snapshot = Snapshot(
        resource=entry.resource,
        format=entry.raw_format,
        raw=raw,
        metrics=decode_metrics(file.read(calibration_member(digest, "metrics.json"))),
        calibrated_at=entry.calibrated_at,
        fetched_at=entry.seen_from,
        vendor_id=entry.vendor_id,
    )
    try:
        check_snapshot(snapshot)
    except Invalid as error:
        error.where = f"{name}: {error.where}"
        raise
    return snapshot
