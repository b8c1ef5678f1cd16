"""An alarm: what a loop sleeps on until somebody rings, or a time it was set to comes."""

import heapq
import time
from threading import Condition


class Alarm:
    """Rings now or later, from any thread; one loop waits. Rings close together are one."""

    def __init__(self) -> None:
        self._condition = Condition()
        self._rung = False
        self._times: list[float] = []

    def ring(self) -> None:
        """Wake the loop; if it is busy, its next wait ends at once."""
        with self._condition:
            self._rung = True
            self._condition.notify_all()

    def ring_in(self, seconds: float) -> None:
        """Wake the loop after so many seconds."""
        with self._condition:
            heapq.heappush(self._times, time.monotonic() + seconds)
            self._condition.notify_all()

    def wait(self, at_most_s: float) -> bool:
        """Sleep until a ring (then true), a time set, or so many seconds have passed."""
        until = time.monotonic() + at_most_s
        with self._condition:
            while not self._rung:
                now = time.monotonic()
                left = min(until, *self._times[:1], until) - now
                if left <= 0:
                    break
                self._condition.wait(left)
            rung, self._rung = self._rung, False
            self._forget_past()
            return rung

    def _forget_past(self) -> None:
        now = time.monotonic()
        while self._times and self._times[0] <= now:
            heapq.heappop(self._times)
