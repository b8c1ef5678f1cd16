"""What the archive tells of each job, gathered from its packs in whatever order they come.

Packs of an archive may name millions of tasks, so this lies in a temporary SQLite file (which
spills from memory to disk by itself), not in dictionaries.
"""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from quanopy.codecs.packs import Member, Span
from quanopy.codecs.records import (
    ENDINGS,
    EXECUTIONS,
    GROUPS,
    JOBS,
    REQUESTS,
    TOLD_GROUPS,
    Asked,
    EndRecord,
    ExecutionRecord,
    GroupFate,
    GroupRecord,
    JobRecord,
    RequestRecord,
    TaskEndRecord,
    ToldGroupRecord,
)
from quanopy.domain.jobs import Extent
from quanopy.services.archive_packs import Pack

_SCHEMA = """
CREATE TABLE jobs (
    position INTEGER PRIMARY KEY, id TEXT UNIQUE, pack TEXT, start INTEGER, record BLOB,
    account TEXT, idempotency_key TEXT, created_at REAL, waits INTEGER);
CREATE INDEX by_turn ON jobs (created_at, pack, start) WHERE waits;
CREATE TABLE groups (id TEXT PRIMARY KEY, at REAL, record BLOB) WITHOUT ROWID;
CREATE TABLE told_groups (id TEXT PRIMARY KEY, at REAL, record BLOB, pack TEXT) WITHOUT ROWID;
CREATE INDEX by_key ON jobs (account, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE TABLE ends (
    task_id TEXT PRIMARY KEY, job_id TEXT, pack TEXT, ended_at REAL, number INTEGER,
    record BLOB) WITHOUT ROWID;
CREATE INDEX ends_by_job ON ends (job_id);
CREATE TABLE ended (number INTEGER PRIMARY KEY, execution_id TEXT, record BLOB, pack TEXT,
    start INTEGER, length INTEGER);
CREATE INDEX ended_by_execution ON ended (execution_id);
CREATE TABLE intents (id TEXT PRIMARY KEY, record BLOB, pack TEXT, start INTEGER) WITHOUT ROWID;
CREATE TABLE parts (job_id TEXT, task_id TEXT, execution_id TEXT,
    PRIMARY KEY (job_id, task_id, execution_id)) WITHOUT ROWID;
CREATE TABLE requests (task_id TEXT, asked TEXT, job_id TEXT, at REAL, record BLOB,
    PRIMARY KEY (task_id, asked)) WITHOUT ROWID;
CREATE INDEX requests_by_job ON requests (job_id);
"""
_MANY = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEnding:
    """How a task ended, and the record of what ended it."""

    pack: str
    task: TaskEndRecord
    by: EndRecord
    record: Extent
    """Where the archive says what the execution ran."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InFlight:
    """A remote execution that may have been sent, and of which no end is known."""

    record: ExecutionRecord
    place: Extent
    unwanted: bool
    """All its tasks were cancelled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A job, and all the archive has of it."""

    spec: Extent
    record: JobRecord
    endings: tuple[TaskEnding, ...]
    """The first ending of each task."""
    in_flight: tuple[InFlight, ...] = ()
    requests: tuple[RequestRecord, ...] = ()
    """What users asked of its tasks: the latest of each kind."""


class ArchiveIndex:
    """Add every pack, then go through the jobs; gone when the block ends."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.executescript(_SCHEMA)
        self._db.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._db.close()

    def add(self, pack: Pack) -> None:
        """Take in a pack's records; raises ValueError at one that does not parse."""
        for member in pack.members:
            if member.name == JOBS:
                self._add_jobs(pack.key, member.span, member.data)
            elif member.name == ENDINGS:
                for line, place in _lines(pack.key, member):
                    self._add_end(place, EndRecord.model_validate_json(line))
            elif member.name == EXECUTIONS:
                for line, place in _lines(pack.key, member):
                    self._add_intent(line, place, ExecutionRecord.model_validate_json(line))
            elif member.name == REQUESTS:
                for line in member.data.splitlines():
                    self._add_request(line, RequestRecord.model_validate_json(line))
            elif member.name == GROUPS:
                for line in member.data.splitlines():
                    self._add_group(line, GroupRecord.model_validate_json(line))
            elif member.name == TOLD_GROUPS:
                for line in member.data.splitlines():
                    told = ToldGroupRecord.model_validate_json(line)
                    self._add_told_group(pack.key, line, told)

    def jobs(self) -> Iterator[list[Found]]:
        """The jobs, a list for each submission: jobs of one idempotency key stay together.

        A request whose objects were written and whose rows were not may have been sent again
        with the same key: of those, only the one that was carried out is given.
        """
        for batch in self._batches():
            endings = self._endings([record.id for _, record in batch])
            intents = self._in_flight([record.id for _, record in batch])
            requests = self._requests([record.id for _, record in batch])
            group: list[Found] = []
            for spec, record in batch:
                found = Found(
                    spec=spec,
                    record=record,
                    endings=tuple(endings.get(record.id, ())),
                    in_flight=tuple(intents.get(record.id, ())),
                    requests=tuple(requests.get(record.id, ())),
                )
                if group and not _together(group[-1], found):
                    yield group
                    group = []
                group.append(found)
            yield group

    def groups(self) -> Iterator[GroupRecord]:
        """Groups as they stood last."""
        for (line,) in self._db.execute("SELECT record FROM groups ORDER BY id"):
            yield GroupRecord.model_validate_json(line)

    def told_groups(self) -> Iterator[tuple[str, ToldGroupRecord]]:
        """Groups as they were imported last, each with its pack, unless they were removed since."""
        rows = self._db.execute(
            "SELECT told_groups.pack, told_groups.record, groups.record FROM told_groups"
            " LEFT JOIN groups ON groups.id = told_groups.id AND groups.at >= told_groups.at"
            " ORDER BY told_groups.id"
        )
        for pack, line, later in rows:
            since = None if later is None else GroupRecord.model_validate_json(later)
            if since is None or since.fate is not GroupFate.REMOVED:
                yield pack, ToldGroupRecord.model_validate_json(line)

    def turns(self) -> Iterator[JobRecord]:
        """Jobs of groups, and those that come after others, as they came."""
        rows = self._db.execute(
            "SELECT record FROM jobs WHERE waits ORDER BY created_at, pack, start"
        )
        for (line,) in rows:
            yield JobRecord.model_validate_json(line)

    def lost(self) -> list[str]:
        """Jobs that ended, were sent, or of which something was asked, and that are not here."""
        rows = self._db.execute(
            "SELECT job_id FROM ends UNION SELECT job_id FROM parts UNION"
            " SELECT job_id FROM requests EXCEPT SELECT id FROM jobs ORDER BY 1"
        )
        return [job_id for (job_id,) in rows]

    # -- adding -------------------------------------------------------------------------------
    def _add_jobs(self, pack: str, span: Span, data: bytes) -> None:
        start = span.offset
        for line in data.splitlines(keepends=True):
            record = JobRecord.model_validate_json(line)
            self._db.execute(
                "INSERT OR IGNORE INTO jobs (id, pack, start, record, account, idempotency_key,"
                " created_at, waits) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(record.id, pack, start, line, record.account, record.idempotency_key),
                    record.created_at.timestamp(),
                    record.group is not None or record.after is not None,
                ),
            )
            start += len(line)

    def _add_end(self, place: Extent, end: EndRecord) -> None:
        number = self._db.execute(
            "INSERT INTO ended (execution_id, record, pack, start, length) VALUES (?, ?, ?, ?, ?)",
            (end.execution_id, end.line(), place.key, place.offset, place.length),
        ).lastrowid
        at = end.ended_at.timestamp()
        self._db.executemany(
            "INSERT INTO ends VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (task_id) DO UPDATE SET"
            " pack = excluded.pack, ended_at = excluded.ended_at, number = excluded.number,"
            " record = excluded.record WHERE excluded.ended_at < ends.ended_at",
            [(task.id, task.job_id, place.key, at, number, task.line()) for task in end.tasks],
        )

    def _add_intent(self, line: bytes, place: Extent, intent: ExecutionRecord) -> None:
        self._db.execute(
            "INSERT OR IGNORE INTO intents VALUES (?, ?, ?, ?)",
            (intent.id, line, place.key, place.offset),
        )
        self._db.executemany(
            "INSERT OR IGNORE INTO parts VALUES (?, ?, ?)",
            [(task.job_id, task.id, intent.id) for task in intent.tasks],
        )

    def _add_request(self, line: bytes, request: RequestRecord) -> None:
        self._db.execute(
            "INSERT INTO requests VALUES (?, ?, ?, ?, ?) ON CONFLICT (task_id, asked) DO UPDATE SET"
            " at = excluded.at, record = excluded.record WHERE excluded.at > requests.at",
            (request.id, request.asked, request.job_id, request.at.timestamp(), line),
        )

    def _add_group(self, line: bytes, group: GroupRecord) -> None:
        self._db.execute(
            "INSERT INTO groups VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
            " at = excluded.at, record = excluded.record WHERE excluded.at > groups.at",
            (group.id, group.at.timestamp(), line),
        )

    def _add_told_group(self, pack: str, line: bytes, group: ToldGroupRecord) -> None:
        self._db.execute(
            "INSERT INTO told_groups VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
            " at = excluded.at, record = excluded.record, pack = excluded.pack"
            " WHERE excluded.at > told_groups.at",
            (group.id, group.imported.imported_at.timestamp(), line, pack),
        )

    # -- reading ------------------------------------------------------------------------------
    def _batches(self) -> Iterator[list[tuple[Extent, JobRecord]]]:
        """Some hundred jobs at a time, cut between submissions."""
        batch: list[tuple[Extent, JobRecord]] = []
        last: tuple[str, str, str] | None = None
        for pack, start, line in self._db.execute(
            "SELECT pack, start, record FROM jobs ORDER BY position"
        ):
            record = JobRecord.model_validate_json(line)
            submission = (pack, record.account, record.idempotency_key or record.id)
            if len(batch) >= _MANY and submission != last:
                yield batch
                batch = []
            if submission == last or not self._superseded(pack, record):
                batch.append((Extent(key=pack, offset=start, length=len(line)), record))
                last = submission
        if batch:
            yield batch

    def _superseded(self, pack: str, record: JobRecord) -> bool:
        """Whether another submission with the same key is the one that was accepted, as far as can
        be told: one of which something was sent or asked, or else one that has ends and came later;
        for what was done before it was stored may never have been, and been submitted again."""
        if record.idempotency_key is None:
            return False
        found = self._db.execute(
            "SELECT pack, created_at, id, EXISTS (SELECT 1 FROM parts WHERE job_id = jobs.id)"
            " OR EXISTS (SELECT 1 FROM requests WHERE job_id = jobs.id) AS accepted FROM jobs"
            " WHERE account = ? AND idempotency_key = ?"
            " AND (accepted OR EXISTS (SELECT 1 FROM ends WHERE job_id = jobs.id))",
            (record.account, record.idempotency_key),
        ).fetchall()
        accepted = {row[0] for row in found if row[3]}
        if accepted:
            return pack not in accepted
        own = (record.created_at.timestamp(), record.id)
        return any(row[0] != pack and tuple(row[1:3]) > own for row in found)

    def _endings(self, job_ids: Sequence[str]) -> dict[str, list[TaskEnding]]:
        found: dict[str, list[TaskEnding]] = {}
        ended: dict[int, tuple[EndRecord, Extent]] = {}  # shared by the tasks of an execution
        rows = self._db.execute(
            "SELECT job_id, pack, number, record FROM ends"
            " WHERE job_id IN (SELECT value FROM json_each(?)) ORDER BY task_id",
            (json.dumps(job_ids),),
        )
        for job_id, pack, number, line in rows:
            if number not in ended:
                ended[number] = self._ended(number)
            task = TaskEndRecord.model_validate_json(line)
            by, place = ended[number]
            ending = TaskEnding(pack=pack, task=task, by=by, record=place)
            found.setdefault(job_id, []).append(ending)
        return found

    def _ended(self, number: int) -> tuple[EndRecord, Extent]:
        """An end, and where it is said what ran: what was sent has a record from before."""
        line, pack, start, length = self._db.execute(
            "SELECT ended.record, coalesce(intents.pack, ended.pack),"
            " coalesce(intents.start, ended.start), coalesce(length(intents.record), ended.length)"
            " FROM ended LEFT JOIN intents ON intents.id = execution_id WHERE number = ?",
            (number,),
        ).fetchone()
        return EndRecord.model_validate_json(line), Extent(key=pack, offset=start, length=length)

    def _requests(self, job_ids: Sequence[str]) -> dict[str, list[RequestRecord]]:
        found: dict[str, list[RequestRecord]] = {}
        rows = self._db.execute(
            "SELECT job_id, record FROM requests"
            " WHERE job_id IN (SELECT value FROM json_each(?)) ORDER BY task_id",
            (json.dumps(job_ids),),
        )
        for job_id, line in rows:
            found.setdefault(job_id, []).append(RequestRecord.model_validate_json(line))
        return found

    def _in_flight(self, job_ids: Sequence[str]) -> dict[str, list[InFlight]]:
        """By job, the executions without an end that still carry a task without one."""
        found: dict[str, list[InFlight]] = {}
        rows = self._db.execute(
            "SELECT DISTINCT job_id, intents.record, intents.pack, intents.start FROM parts"
            " JOIN intents ON intents.id = execution_id"
            " WHERE job_id IN (SELECT value FROM json_each(?))"
            " AND NOT EXISTS (SELECT 1 FROM ended WHERE"
            " ended.execution_id = parts.execution_id)"
            " AND NOT EXISTS (SELECT 1 FROM ends WHERE ends.task_id = parts.task_id)"
            " ORDER BY intents.id",
            (json.dumps(job_ids),),
        )
        for job_id, line, pack, start in rows:
            record = ExecutionRecord.model_validate_json(line)
            place = Extent(key=pack, offset=start, length=len(line))
            sent = InFlight(record=record, place=place, unwanted=self._is_unwanted(record))
            found.setdefault(job_id, []).append(sent)
        return found

    def _is_unwanted(self, intent: ExecutionRecord) -> bool:
        (cancelled,) = self._db.execute(
            "SELECT count(*) FROM requests"
            " WHERE asked = ? AND task_id IN (SELECT value FROM json_each(?))",
            (Asked.CANCEL, json.dumps([task.id for task in intent.tasks])),
        ).fetchone()
        return bool(cancelled == len(intent.tasks))


def _lines(pack: str, member: Member) -> Iterator[tuple[bytes, Extent]]:
    """The lines of a member, each with where it lies."""
    start = member.span.offset
    for line in member.data.splitlines(keepends=True):
        yield line, Extent(key=pack, offset=start, length=len(line))
        start += len(line)


def _together(one: Found, other: Found) -> bool:
    return (
        one.record.idempotency_key is not None
        and one.record.idempotency_key == other.record.idempotency_key
        and one.record.account == other.record.account
        and one.spec.key == other.spec.key
    )
