"""Signals as exceptions, held back while a thing must not be torn in two."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

CAUGHT = (signal.SIGTERM, signal.SIGINT)


class Signalled(BaseException):
    """A signal asks for the end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


class Signals:
    """Raises :class:`Signalled` in the main thread when SIGTERM or SIGINT comes.

    A second signal after the first was raised is left out, for the end is under way; batch
    systems send SIGKILL to what takes too long.
    """

    def __init__(self) -> None:
        self._held = False
        self._seen: int | None = None
        self._raised = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._receive) for number in CAUGHT}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold signals back; :meth:`check` raises what came."""
        before, self._held = self._held, True
        try:
            yield
        finally:
            self._held = before

    def check(self) -> None:
        """Raise :class:`Signalled` if a signal has come and was not raised yet."""
        if self._seen is not None and not self._raised:
            self._raised = True
            raise Signalled(self._seen)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self._seen = self._seen or number
        if not self._held:
            self.check()
