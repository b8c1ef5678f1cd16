"""An alarm wakes its loop at a ring or a time, and forgets neither while the loop is busy."""

import time
from threading import Timer

from quanopy.services.alarm import Alarm

FOR_EVER_S = 3600.0


def waited_s(alarm: Alarm, at_most_s: float) -> float:
    began = time.monotonic()
    alarm.wait(at_most_s)
    return time.monotonic() - began


def test_waits_no_longer_than_told() -> None:
    assert waited_s(Alarm(), 0.02) >= 0.02


def test_a_ring_ends_the_wait() -> None:
    alarm = Alarm()
    Timer(0.02, alarm.ring).start()
    alarm.wait(FOR_EVER_S)


def test_a_ring_while_the_loop_is_busy_is_not_lost_and_counts_once() -> None:
    alarm = Alarm()
    alarm.ring()
    alarm.ring()
    alarm.wait(FOR_EVER_S)
    assert waited_s(alarm, 0.02) >= 0.02


def test_a_time_that_was_set_ends_the_wait_and_an_earlier_one_goes_first() -> None:
    alarm = Alarm()
    alarm.ring_in(FOR_EVER_S)
    began = time.monotonic()
    alarm.ring_in(0.02)
    alarm.wait(FOR_EVER_S)
    assert time.monotonic() - began >= 0.02


def test_a_time_may_be_set_during_the_wait() -> None:
    alarm = Alarm()
    Timer(0.02, lambda: alarm.ring_in(0.02)).start()
    alarm.wait(FOR_EVER_S)


def test_times_that_have_passed_are_one_wake() -> None:
    alarm = Alarm()
    for _ in range(5):
        alarm.ring_in(0.0)
    alarm.wait(FOR_EVER_S)
    assert waited_s(alarm, 0.02) >= 0.02
