"""Batches and jobs of Pasqal's cloud, read as untrusted JSON."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from quanopy.codecs.results import PubResult, encode_result
from quanopy.domain.errors import Rejected, TaskFailed
from quanopy.domain.programs import PULSER
from quanopy.domain.states import ExecutionState
from quanopy.ports.providers import Outcome

STATES = {
    "PENDING": ExecutionState.SUBMITTED,
    "PAUSED": ExecutionState.SUBMITTED,
    "RUNNING": ExecutionState.RUNNING,
    "DONE": ExecutionState.COMPLETED,
    "ERROR": ExecutionState.FAILED,
    "TIMED_OUT": ExecutionState.FAILED,
    "CANCELED": ExecutionState.CANCELLED,
}
_BITS = re.compile(r"[0-9a-zA-Z]{1,1024}")
_MOST_OUTCOMES = 5_000_000
_MOST_SECONDS = 3e7


def rows(value: Any, *needed: str) -> list[dict[str, Any]]:
    """A list of objects that have these texts; raises ``TypeError`` for anything else."""
    if not isinstance(value, list):
        raise TypeError("no list")
    for one in value:
        if not isinstance(one, dict) or not all(isinstance(one.get(name), str) for name in needed):
            raise TypeError(f"an entry without {' or '.join(needed)}")
    return value


def pub_of(result: Any, shots: int | None) -> PubResult:
    """One job's result; raises :class:`Rejected` where it cannot be read."""
    counter = result.get("counter") if isinstance(result, Mapping) else None
    if not isinstance(counter, dict) or len(counter) > _MOST_OUTCOMES:
        raise Rejected("Pasqal's cloud gave a result without counts")
    for bits, number in counter.items():
        good = isinstance(number, int) and not isinstance(number, bool) and 0 <= number < 2**53
        if not good or not _BITS.fullmatch(bits):
            raise Rejected(f"Pasqal's cloud counted {str(number)[:20]} of {bits[:40]!r}")
    total = sum(counter.values())
    if shots is not None and total > shots:
        raise Rejected(f"Pasqal's cloud counted {total} of {shots} runs")
    document = {name: value for name, value in result.items() if value is not None}
    try:
        json.dumps(document, allow_nan=False)
    except ValueError:
        raise Rejected("Pasqal's cloud gave a result with numbers that are none") from None
    return {
        "shape": [],
        "shots": total,
        "native": PULSER,
        "outcomes": counter,
        "documents": [document],
    }


def outcome_of(jobs: Sequence[Mapping[str, Any]], results: Mapping[str, Any]) -> Outcome:
    """A work's outcome: that of its jobs in order, failed where one of them failed."""
    for job in jobs:
        if STATES.get(job["status"]) is not ExecutionState.COMPLETED:
            return Outcome(error=TaskFailed(said_of([job]) or f"its job is {job['status'][:40]}"))
    try:
        pubs = [pub_of(results[job["id"]], _runs(job)) for job in jobs]
    except Rejected as error:
        return Outcome(error=TaskFailed(error.message))
    spans = [
        (time_of(job.get("start_timestamp")), time_of(job.get("end_timestamp"))) for job in jobs
    ]
    known = [(start, end) for start, end in spans if start is not None and end is not None]
    seconds = sum(max(0.0, (end - start).total_seconds()) for start, end in known)
    return Outcome(
        result=encode_result(pubs),
        usage={
            "seconds": min(seconds, _MOST_SECONDS),
            "shots": float(sum(pub["shots"] for pub in pubs)),
        },
        started_at=min((start for start, _ in known), default=None),
        ended_at=max((end for _, end in known), default=None),
    )


def said_of(jobs: Sequence[Mapping[str, Any]]) -> str:
    """What was said of jobs' errors."""
    told = [one for job in jobs for one in job.get("errors") or () if isinstance(one, str)]
    return "; ".join(told)[:2000]


def time_of(value: Any) -> datetime | None:
    """A time as the cloud writes it: ISO 8601, in UTC where it names no zone, or seconds."""
    try:
        if isinstance(value, str) and not value.replace(".", "", 1).isdigit():
            found = datetime.fromisoformat(value)
            return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
        seconds = float(value)
        return datetime.fromtimestamp(seconds, UTC) if math.isfinite(seconds) else None
    except (TypeError, ValueError, OverflowError, OSError):
        return None


def _runs(job: Mapping[str, Any]) -> int | None:
    runs = job.get("runs")
    return runs if isinstance(runs, int) and not isinstance(runs, bool) else None
