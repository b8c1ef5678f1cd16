"""Durations as people write them: ``90``, ``90s``, ``15m``, ``2h``, ``7d``."""

import math
import re
from datetime import UTC, datetime

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONG = 30 * 86400
_WRITTEN = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)\s*([smhd]?)")


def seconds_of(text: str) -> float:
    """The seconds of a duration; raises ``ValueError`` for what is none."""
    found = _WRITTEN.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text[:40]!r} is no duration: write 90s, 15m, 2h or 7d")
    return float(found[1]) * _UNITS[found[2]]


def seconds_from_now(text: str) -> float | None:
    """What ``Retry-After`` says, in seconds or as a date (RFC 9110, 10.2.3); ``None`` for
    anything else."""
    if text.isascii() and text.replace(".", "", 1).isdigit():
        return float(text)
    from email.utils import parsedate_to_datetime  # it takes a while, and is seldom needed

    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None


def duration_text(seconds: float) -> str:
    """A duration to read: its two largest units."""
    left = math.floor(max(0.0, seconds))
    if left >= _LONG:
        return f"{left // 86400} d"
    if left < 60:
        return f"{left} s"
    for name, size, lesser, smaller in (
        ("d", 86400, "h", 3600),
        ("h", 3600, "min", 60),
        ("min", 60, "s", 1),
    ):
        if left >= size:
            rest = left % size // smaller
            return f"{left // size} {name}" + (f" {rest} {lesser}" if rest else "")
    return f"{left} s"
