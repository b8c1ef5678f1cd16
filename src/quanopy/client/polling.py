"""Long polls: how long each request asks to be held, until the caller's time is used up."""

import time
from collections.abc import Iterator

LONGEST_S = 30.0
BREATH_S = 0.25
"""Pause after an answer that came at once though it was to be held: the broker is stopping."""


def rounds(timeout_s: float | None, *, longest_s: float = LONGEST_S) -> Iterator[float]:
    """Seconds to ask for in each request, at least once; ``None`` goes on for ever."""
    ends_at = None if timeout_s is None else time.monotonic() + timeout_s
    while True:
        began = time.monotonic()
        left = longest_s if ends_at is None else max(0.0, ends_at - began)
        wait_s = round(min(longest_s, left), 3)
        yield wait_s
        if ends_at is not None and time.monotonic() >= ends_at:
            return
        if time.monotonic() - began < min(BREATH_S, wait_s / 2):
            time.sleep(min(BREATH_S, wait_s))
