"""Packing: what submissions, endings, remote intents and requests leave in the archive, as packs.

A pack is written before the rows that name it, so everything here needs only what is known
before: extents come out, never in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from quanopy.codecs.lines import line_spans, result_lines
from quanopy.codecs.packs import COMPLETED, PENDING, PackBuilder, Span
from quanopy.codecs.records import (
    ENDINGS,
    EXECUTIONS,
    GROUPS,
    JOBS,
    REQUESTS,
    RESULTS,
    Asked,
    GroupFate,
    GroupRecord,
)
from quanopy.domain.groups import Group
from quanopy.domain.jobs import Extent, Task
from quanopy.services.recording import (
    Accepted,
    Ended,
    Sent,
    end_record,
    execution_record,
    job_record,
    request_record,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """A pending pack: where to put it, its bytes, and where each job's record lies in it."""

    key: str
    data: bytes
    jobs: tuple[Extent, ...]
    """One a job, in the order given: ``Job.spec`` and ``Task.spec``."""


def pack_submissions(accepted: Sequence[Accepted], made_at: datetime) -> Packed:
    """Pack jobs that were submitted together: programs, circuits, then a record a job.

    A program or circuit that several of the jobs share is kept once.
    """
    builder = PackBuilder(made_at)
    lines = [job_record(job, builder).line() for job in accepted]
    place = builder.add(JOBS, b"".join(lines))
    key, data = builder.close(PENDING)
    spans = line_spans(place, lines)
    return Packed(key=key, data=data, jobs=tuple(span.within(key) for span in spans))


def pack_endings(
    endings: Sequence[Ended], made_at: datetime
) -> tuple[str, bytes, dict[str, Extent]]:
    """Pack what executions brought back: the pack's key, its bytes, and extents: by task id that
    of exactly the JSON array of the task's pub results, so that arrays join without parsing; by
    execution id that of its record."""
    builder = PackBuilder(made_at)
    text, spans = result_lines(
        [
            (one.task.id, one.result)
            for ended in endings
            for one in ended.tasks
            if one.result is not None
        ]
    )
    place = builder.add(RESULTS, text)
    found = {task: Span(place.offset + s.offset, s.length) for task, s in spans.items()}
    lines = [end_record(ended, found, builder).line() for ended in endings]
    records = line_spans(builder.add(ENDINGS, b"".join(lines)), lines)
    for ended, span in zip(endings, records, strict=True):
        if ended.execution is not None:
            found[ended.execution.id] = span
    key, data = builder.close(COMPLETED)
    return key, data, {name: span.within(key) for name, span in found.items()}


def pack_executions(
    intents: Sequence[Sent], made_at: datetime
) -> tuple[str, bytes, dict[str, Extent]]:
    """Pack remote executions that are about to be sent, with what they run: the pack's key, its
    bytes, and by execution id the extent of its record. Put it before the vendor is called."""
    builder = PackBuilder(made_at)
    lines = [execution_record(intent, builder).line() for intent in intents]
    records = line_spans(builder.add(EXECUTIONS, b"".join(lines)), lines)
    key, data = builder.close(PENDING)
    spans = zip(intents, records, strict=True)
    return key, data, {sent.execution.id: span.within(key) for sent, span in spans}


def pack_requests(asked: Asked, tasks: Sequence[Task]) -> tuple[str, bytes]:
    """Pack that this was asked of these tasks: the pack's key and bytes. The same tasks give the
    same pack."""
    records = [request_record(asked, task) for task in sorted(tasks, key=lambda task: task.id)]
    builder = PackBuilder(max(record.at for record in records))
    builder.add(REQUESTS, b"".join(record.line() for record in records))
    return builder.close(PENDING)


def pack_group(group: Group, fate: GroupFate | None = None) -> tuple[str, bytes]:
    """Pack how a group stands: the pack's key and bytes. The same gives the same pack."""
    at = group.changed_at or group.created_at
    record = GroupRecord(
        id=group.id,
        account=group.account,
        name=group.name,
        policy=group.policy,
        resource=group.resource,
        created_at=group.created_at,
        at=at,
        fate=fate,
    )
    builder = PackBuilder(at)
    builder.add(GROUPS, record.line())
    return builder.close(PENDING)
