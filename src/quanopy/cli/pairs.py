"""What options say that name a thing and its value, and times."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


def pairs(
    texts: Sequence[str] | None, where: str, *, form: str = "NAME=VALUE", hint: str | None = None
) -> dict[str, str]:
    """``name=value`` of each text; raises ``Invalid`` for what is of no such ``form``, or names a
    thing twice."""
    from quanopy.domain.errors import Invalid

    found: dict[str, str] = {}
    for text in texts or ():
        name, _, value = text.partition("=")
        if not name or not value:
            raise Invalid(f"{text[:60]!r} is no {form}", where=where, hint=hint)
        if name in found:
            raise Invalid(f"{name[:60]} is given twice", where=where)
        found[name] = value
    return found


def time_of(text: str, where: str) -> "datetime":
    """A time, or so long ago: ISO 8601, local unless it says, or ``7d``. Raises ``Invalid``."""
    from datetime import UTC, datetime, timedelta

    from quanopy.domain.durations import seconds_of
    from quanopy.domain.errors import Invalid

    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        pass
    try:
        return datetime.now(UTC) - timedelta(seconds=seconds_of(text))
    except (ValueError, OverflowError) as error:
        raise Invalid(
            f"{text[:60]!r} is no time",
            where=where,
            hint="Write 2026-01-31, 2026-01-31T12:00, or how long ago: 2h, 7d.",
        ) from error
