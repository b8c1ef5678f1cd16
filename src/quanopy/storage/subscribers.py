"""Who listens to which wake-ups within this process."""

import logging
import threading
from collections.abc import Callable, Iterable

from quanopy.ports.wakeups import Topic

Callback = Callable[[], None]
_log = logging.getLogger(__name__)


class Subscribers:
    """Callbacks by topic; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._callbacks: dict[Topic, tuple[Callback, ...]] = dict.fromkeys(Topic, ())

    def add(self, topic: Topic, callback: Callback) -> Callable[[], None]:
        """Call this at each hint; returns how to stop that, once or more often."""
        entry = _Entry(callback)
        with self._lock:
            self._callbacks[topic] += (entry,)

        def remove() -> None:
            with self._lock:
                self._callbacks[topic] = tuple(
                    other for other in self._callbacks[topic] if other is not entry
                )

        return remove

    def call(self, topics: Iterable[Topic]) -> None:
        """Call everybody once a topic; one that fails is logged and stops nobody else."""
        for topic in topics:
            for callback in self._callbacks[topic]:
                try:
                    callback()
                except Exception:  # noqa: BLE001 -- a listener's bug is its own
                    _log.exception("a listener to %s hints failed", topic)


class _Entry:
    """A callback with an identity of its own: the same one may be subscribed twice."""

    def __init__(self, callback: Callback) -> None:
        self._callback = callback

    def __call__(self) -> None:
        self._callback()
