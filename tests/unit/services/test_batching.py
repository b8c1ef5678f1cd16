"""Batches form by themselves, and those who come together stay together."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from queue import SimpleQueue

from quanopy.services.batching import Batching

WAIT_S = 20.0


class Bench:
    """Batches as they are handed over, each held until it is let go."""

    def __init__(self, gather_s: float) -> None:
        self.now = 0.0
        self.seen: SimpleQueue[list[str]] = SimpleQueue()
        self._held: SimpleQueue[None] = SimpleQueue()
        self.batching = Batching(
            "bench", self._work, failed=self._fail, gather_s=gather_s, clock=lambda: self.now
        )

    def _work(self, items: Sequence[str]) -> None:
        self.seen.put(list(items))
        self._held.get()

    def _fail(self, items: Sequence[str], error: Exception) -> None:
        raise AssertionError(items) from error

    def put(self, *items: str) -> None:
        for item in items:
            self.batching.put(item)

    def handed(self) -> list[str]:
        return self.seen.get(timeout=WAIT_S)

    def go_on(self) -> None:
        self._held.put(None)

    def answer_together(self, *items: str) -> None:
        """Have these be one batch that takes long, and answered."""
        self.put("first")
        assert self.handed() == ["first"]
        self.put(*items)
        self.go_on()
        assert self.handed() == list(items)
        self.now += 1000.0
        self.go_on()


@contextmanager
def bench(gather_s: float) -> Iterator[Bench]:
    made = Bench(gather_s)
    try:
        yield made
    finally:
        for _ in range(20):
            made.go_on()
        made.batching.close()


def test_what_comes_meanwhile_is_one_batch() -> None:
    with bench(0.0) as here:
        here.put("a")
        assert here.handed() == ["a"]
        here.put("b", "c")
        here.go_on()
        assert here.handed() == ["b", "c"]


def test_as_many_as_came_last_time_are_waited_for() -> None:
    with bench(WAIT_S) as here:
        here.answer_together("b", "c", "d")
        here.put("e")
        here.put("f")
        assert here.seen.empty()
        here.put("g")
        assert here.handed() == ["e", "f", "g"]


def test_who_comes_alone_never_waits() -> None:
    with bench(10 * WAIT_S) as here:
        for item in "abc":
            here.put(item)
            assert here.handed() == [item]
            here.go_on()


def test_who_does_not_come_back_is_waited_for_once() -> None:
    with bench(0.05) as here:
        here.answer_together("b", "c")
        here.put("d")
        assert here.handed() == ["d"]


def test_nobody_is_waited_for_longer_than_the_last_batch_took() -> None:
    with bench(10 * WAIT_S) as here:
        here.answer_together("b", "c")
        here.put("d", "e")
        assert here.handed() == ["d", "e"]
        here.go_on()
        here.put("f")
        assert here.handed() == ["f"]


def test_closing_ends_a_wait() -> None:
    with bench(10 * WAIT_S) as here:
        here.answer_together("b", "c")
        here.put("d")
        here.go_on()
        here.batching.close()
        assert here.handed() == ["d"]
