"""Signals as exceptions, raised only where the work may be broken off."""

import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self, TypeVar

A = TypeVar("A")

CAUGHT = (signal.SIGTERM, signal.SIGINT)
AGAIN_S = 1.0
"""Until a signal that was raised, and may have been dropped, is raised again."""


class Signalled(BaseException):
    """A signal asks for the end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


class Signals:
    """Notes SIGTERM and SIGINT, and raises :class:`Signalled` out of what is
    :meth:`interruptible`, in the main thread."""

    def __init__(self) -> None:
        self._listens = False
        self._seen: int | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        caught = dict.fromkeys(CAUGHT, self._receive) | {signal.SIGALRM: self._again}
        self._before = {number: signal.signal(number, how) for number, how in caught.items()}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def interruptible(self, work: Callable[[], A]) -> A:
        """What ``work`` returns; raises a signal that comes meanwhile, or has come already.

        What a handler raises while an object is finalised is dropped by Python, so it is raised
        again and again until ``work`` is left. This is no context manager, for a signal could be
        raised in the call of its end.
        """
        try:
            self._listens = True
            self._raise()
            return work()
        finally:
            self._listens = False
            signal.setitimer(signal.ITIMER_REAL, 0.0)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self._seen = self._seen or number
        self._raise()

    def _again(self, number: int, frame: FrameType | None) -> None:
        self._raise()

    def _raise(self) -> None:
        if self._listens and self._seen is not None:
            signal.setitimer(signal.ITIMER_REAL, AGAIN_S)
            raise Signalled(self._seen)
