"""A thread that takes everything that waits for it at once: batches form by themselves."""

import logging
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Generic, TypeVar

T = TypeVar("T")
logger = logging.getLogger(__name__)


class Batching(Generic[T]):
    """Hands items to ``work`` in their order, all that have gathered while it was busy.

    ``work`` answers each item itself, for failures too; what it raises all the same is logged
    and handed to ``failed`` with the items.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[Sequence[T]], None],
        *,
        failed: Callable[[Sequence[T], Exception], None],
        most: int = 1000,
    ) -> None:
        """``most`` bounds a batch."""
        self._work = work
        self._failed = failed
        self._most = most
        self._items: SimpleQueue[T | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: T) -> None:
        """Leave an item; never blocks."""
        self._items.put(item)

    def close(self, timeout_s: float = 10.0) -> None:
        """Do what was left before now, then stop; idempotent."""
        self._items.put(None)
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while batch := self._take():
            try:
                self._work(batch)
            except Exception as error:
                logger.exception("a batch of %d failed in %s", len(batch), self._thread.name)
                self._failed(batch, error)

    def _take(self) -> list[T]:
        """The items that wait, blocking for the first; none once closed."""
        batch: list[T] = []
        try:
            while len(batch) < self._most:
                item = self._items.get() if not batch else self._items.get_nowait()
                if item is None:
                    self._items.put(None)
                    break
                batch.append(item)
        except Empty:
            pass
        return batch
