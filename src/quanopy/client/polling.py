"""Long polls: how long each request asks to be held, until the caller's time is used up."""

import math
import time
from collections.abc import Iterator

from quanopy.domain.errors import Invalid

LONGEST_S = 30.0
BREATH_S = 0.25
"""Pause after an answer that came at once though it was to be held: the broker is stopping."""


def ends_at(timeout: float | None) -> float:
    """When a caller's patience ends, by the monotonic clock; ``None``: never.

    Raises :class:`Invalid` for what is no number of seconds.
    """
    if timeout is None:
        return math.inf
    given: object = timeout
    if not isinstance(given, int | float) or isinstance(given, bool) or math.isnan(given):
        raise Invalid(
            f"{str(given)[:60]!r} is no number of seconds",
            where="timeout",
            hint="Give seconds, such as 60; None waits for as long as it takes.",
        )
    return time.monotonic() + given


def rounds(timeout_s: float | None, *, longest_s: float = LONGEST_S) -> Iterator[float]:
    """Seconds to ask for in each request, at least once; ``None`` goes on for ever.

    Raises as :func:`ends_at`.
    """
    end = ends_at(timeout_s)
    while True:
        began = time.monotonic()
        wait_s = round(max(0.0, min(longest_s, end - began)), 3)
        yield wait_s
        if time.monotonic() >= end:
            return
        if time.monotonic() - began < min(BREATH_S, wait_s / 2):
            time.sleep(min(BREATH_S, wait_s))
