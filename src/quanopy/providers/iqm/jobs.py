"""What IQM says of a job, read without trusting it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from quanopy.domain.states import ExecutionState
from quanopy.ports.providers import Report

STATES = {
    "waiting": ExecutionState.SUBMITTED,
    "processing": ExecutionState.RUNNING,
    "completed": ExecutionState.COMPLETED,
    "failed": ExecutionState.FAILED,
    "cancelled": ExecutionState.CANCELLED,
}
BEGUN = ("execution_started", "received")
"""Entries of a job's timeline that say it began on the machine, the surest first."""
ENDED = ("execution_ended", "completed", "ready", "failed")
_LONGEST = 500
_MOST_AHEAD = 1_000_000_000


def report(job: Mapping[str, Any]) -> Report:
    """Where it is."""
    position = job.get("queue_position")
    sound = type(position) is int and 0 <= position <= _MOST_AHEAD
    return Report(
        state=STATES.get(job["status"]),
        detail=(why(job) if job["status"] == "failed" else job["status"])[:_LONGEST],
        queue_position=position if sound else None,
    )


def why(job: Mapping[str, Any]) -> str:
    """What ended it, if it was not done."""
    if job["status"] == "cancelled":
        return "cancelled"
    return ("; ".join(texts(job, "errors")) or "failed, and IQM says no more")[:_LONGEST]


def texts(job: Mapping[str, Any], name: str) -> list[str]:
    """Its ``messages`` or ``errors``."""
    entries = job.get(name)
    if not isinstance(entries, list):
        return []
    told = (one.get("message") for one in entries if isinstance(one, dict))
    return [text for text in told if isinstance(text, str)]


def reached(job: Mapping[str, Any], *names: str) -> datetime | None:
    """When a job reached the first of these that its timeline has."""
    timeline = job.get("timeline")
    entries = (
        [one for one in timeline if isinstance(one, dict)] if isinstance(timeline, list) else []
    )
    for name in names:
        for one in entries:
            if one.get("status") == name and isinstance(one.get("timestamp"), str):
                return _aware(one["timestamp"])
    return None


def _aware(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def calibration_of(job: Mapping[str, Any]) -> str | None:
    """The calibration set that its circuits were compiled with."""
    compilation = job.get("compilation")
    named = compilation.get("calibration_set_id") if isinstance(compilation, dict) else None
    return named if isinstance(named, str) else None


def shots_of(pub: Mapping[str, Any]) -> int:
    """How many shots a result is made of; expectation values do not say."""
    sets = max(1, len(pub.get("counts", ())))
    return int(pub.get("shots", 0)) * sets
