"""How a vQPU is told to end."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator


class Stop:
    """Asked to end: gracefully the first time, at once the second."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked = threading.Event()
        self._hurry: Callable[[], None] | None = None
        self.why: str | None = None

    def ask(self, why: str) -> None:
        """End gracefully; asked again, at once."""
        with self._lock:
            again = self._asked.is_set()
            self.why = self.why or why
            self._asked.set()
        if again and self._hurry is not None:
            self._hurry()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Until it is asked to end, or so long; whether it was."""
        return self._asked.wait(timeout_s)

    def hurry_with(self, hurry: Callable[[], None]) -> None:
        """What to do when it is to end at once."""
        self._hurry = hurry

    @contextlib.contextmanager
    def listening_to_signals(self) -> Iterator[None]:
        """Asked by SIGTERM and SIGINT."""

        def told(number: int, _: object) -> None:
            # A handler runs between two steps of the main thread, which may hold the lock.
            threading.Thread(target=self.ask, args=(signal.Signals(number).name,)).start()

        numbers = (signal.SIGTERM, signal.SIGINT)
        before = {number: signal.signal(number, told) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
