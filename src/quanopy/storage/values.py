"""How values are stored: times are microseconds, JSON is text (see the schema)."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from quanopy.domain.jobs import Problem

Values = dict[str, Any]

AT_ONCE = 0
"""``ready_at`` of what need not wait: a clock that goes backwards cannot delay it."""
_SECOND = 1_000_000
_FIRST = round(datetime(1, 1, 2, tzinfo=UTC).timestamp()) * _SECOND
_LAST = round(datetime(9999, 12, 30, tzinfo=UTC).timestamp()) * _SECOND
compact = json.JSONEncoder(separators=(",", ":")).encode


def stamp(time: datetime) -> int:
    """Microseconds since 1970. A vendor's time at the very edge of the calendar, which in UTC lies
    beyond it, is the last or first that :func:`moment` can read."""
    return max(_FIRST, min(round(time.timestamp() * _SECOND), _LAST))


def stamp_or_none(time: datetime | None) -> int | None:
    """As :func:`stamp`."""
    return None if time is None else stamp(time)


def span(seconds: float) -> int:
    """Microseconds of a duration."""
    return round(seconds * _SECOND)


def moment(stamped: int) -> datetime:
    """The time of a stamp."""
    return datetime.fromtimestamp(stamped / _SECOND, UTC)


def moment_or_none(stamped: int | None) -> datetime | None:
    """As :func:`moment`."""
    return None if stamped is None else datetime.fromtimestamp(stamped / _SECOND, UTC)


def problem_text(problem: Problem | None) -> str | None:
    """A problem as it is stored."""
    return None if problem is None else compact(asdict(problem))


def problem_of(text: str | None) -> Problem | None:
    """A problem as it was stored."""
    return None if text is None else Problem(**json.loads(text))


def ready_stamp(ready_at: datetime | None, queued_at: datetime | None) -> int | None:
    """When a task may be taken: at once, unless that is later than when it was queued."""
    if ready_at is None:
        return None
    return stamp(ready_at) if queued_at is not None and ready_at > queued_at else AT_ONCE
