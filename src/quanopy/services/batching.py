"""A thread that takes everything that waits for it at once: batches form by themselves."""

import logging
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from typing import Generic, TypeVar

T = TypeVar("T")
logger = logging.getLogger(__name__)


class Batching(Generic[T]):
    """Hands items to ``work`` in their order, all that have gathered while it was busy.

    Callers who were answered together come back together. So where a batch held several items,
    the next one waits until as many are there, though never longer than the last one took: one
    sync to disk for all instead of one for the first and another for the rest. Who comes alone
    never waits.

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
        gather_s: float = 0.0,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """``most`` bounds a batch, ``gather_s`` each wait for as many items as the last one had."""
        self._work = work
        self._failed = failed
        self._most = most
        self._gather_s = gather_s
        self._clock = clock
        self._expected, self._took_s = 1, 0.0
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
            began = self._clock()
            try:
                self._work(batch)
            except Exception as error:
                logger.exception("a batch of %d failed in %s", len(batch), self._thread.name)
                self._failed(batch, error)
            self._took_s = self._clock() - began

    def _take(self) -> list[T]:
        """The items that wait, blocking for the first; none once closed."""
        batch: list[T] = []
        try:
            while len(batch) < self._most:
                if not batch:
                    item = self._items.get()
                    until = self._clock() + min(self._gather_s, self._took_s)
                elif len(batch) < self._expected:
                    item = self._items.get(timeout=max(0.0, until - self._clock()))
                else:
                    item = self._items.get_nowait()
                if item is None:
                    self._items.put(None)
                    break
                batch.append(item)
        except Empty:
            pass
        self._expected = len(batch)
        return batch
