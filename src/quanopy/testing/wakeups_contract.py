"""What wake-ups must do, as a test class to subclass."""

import threading
from abc import ABC, abstractmethod
from typing import Any

import pytest

from quanopy.ports.wakeups import Topic, Wakeups

PATIENCE_S = 60.0
"""How long is waited at most for what takes a moment."""


class Bell:
    """Counts how often it rang, and lets a test wait for it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.rings = 0

    def __call__(self) -> None:
        with self._changed:
            self.rings += 1
            self._changed.notify_all()

    def rang(self, times: int = 1, *, within_s: float = PATIENCE_S) -> bool:
        """Whether it has rung so often by then, since it was last reset."""
        with self._changed:
            return self._changed.wait_for(lambda: self.rings >= times, within_s)

    def reset(self) -> None:
        """Forget earlier rings."""
        with self._changed:
            self.rings = 0


class WakeupsContract(ABC):
    """Subclass it, and make two instances that share a catalogue, both ready to hear."""

    @abstractmethod
    @pytest.fixture
    def pair(self) -> Any:
        """Two open instances of one catalogue; close them afterwards."""

    def test_a_hint_reaches_the_other_instance(self, pair: tuple[Wakeups, Wakeups]) -> None:
        here, there = pair
        bell = Bell()
        there.subscribe(Topic.WORK, bell)
        here.notify(Topic.WORK)
        assert bell.rang()

    def test_a_hint_reaches_the_own_listeners_at_once_and_once(
        self, pair: tuple[Wakeups, Wakeups]
    ) -> None:
        here, there = pair
        own, other = Bell(), Bell()
        here.subscribe(Topic.WORK, own)
        there.subscribe(Topic.EVENTS, other)
        here.notify(Topic.WORK)
        assert own.rings == 1
        here.notify(Topic.EVENTS)  # sent after the first: once it is there, so is the first
        assert other.rang()
        assert own.rings == 1

    def test_only_the_topic_that_was_hinted_rings(self, pair: tuple[Wakeups, Wakeups]) -> None:
        here, there = pair
        work, cancel = Bell(), Bell()
        there.subscribe(Topic.WORK, work)
        there.subscribe(Topic.CANCEL, cancel)
        here.notify(Topic.CANCEL)
        assert cancel.rang()
        assert work.rings == 0

    def test_several_topics_go_in_one_call(self, pair: tuple[Wakeups, Wakeups]) -> None:
        here, there = pair
        bells = {topic: Bell() for topic in Topic}
        for topic, bell in bells.items():
            there.subscribe(topic, bell)
        here.notify(*Topic)
        assert all(bell.rang() for bell in bells.values())

    def test_after_many_hints_the_last_one_is_seen(self, pair: tuple[Wakeups, Wakeups]) -> None:
        here, there = pair
        state = 0
        seen = 0
        caught_up = threading.Event()

        def look() -> None:
            nonlocal seen
            seen = state
            if seen == 2000:
                caught_up.set()

        there.subscribe(Topic.EVENTS, look)
        for state in range(1, 2001):  # noqa: B007 -- the listener reads it
            here.notify(Topic.EVENTS)
        assert caught_up.wait(PATIENCE_S)

    def test_an_unsubscribed_listener_stays_silent(self, pair: tuple[Wakeups, Wakeups]) -> None:
        here, there = pair
        gone, stays = Bell(), Bell()
        stop = there.subscribe(Topic.WORK, gone)
        there.subscribe(Topic.WORK, stays)
        stop()
        stop()
        here.notify(Topic.WORK)
        assert stays.rang()
        assert gone.rings == 0

    def test_a_failing_listener_harms_no_other(self, pair: tuple[Wakeups, Wakeups]) -> None:
        here, there = pair
        bell = Bell()

        def fail() -> None:
            raise RuntimeError("a listener's own bug")

        there.subscribe(Topic.WORK, fail)
        there.subscribe(Topic.WORK, bell)
        here.notify(Topic.WORK)
        assert bell.rang()
        here.notify(Topic.WORK)
        assert bell.rang(2)

    def test_closing_ends_hearing_and_harms_nobody(self, pair: tuple[Wakeups, Wakeups]) -> None:
        here, there = pair
        bell = Bell()
        there.subscribe(Topic.WORK, bell)
        there.close()
        there.close()
        here.notify(Topic.WORK)
        there.notify(Topic.CANCEL)
        assert bell.rings == 0

    def test_a_listener_may_notify(self, pair: tuple[Wakeups, Wakeups]) -> None:
        here, there = pair
        bell = Bell()
        here.subscribe(Topic.EVENTS, bell)
        there.subscribe(Topic.WORK, lambda: there.notify(Topic.EVENTS))
        here.notify(Topic.WORK)
        assert bell.rang()
