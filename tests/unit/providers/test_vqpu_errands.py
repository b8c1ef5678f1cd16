"""What is asked of one vQPU takes its own threads, and nobody waits for it long."""

from collections.abc import Iterator
from threading import Event, Thread

import pytest

from quanopy.domain.errors import OutcomeUnknown, Rejected, Transient, Unavailable
from quanopy.providers.vqpu.errands import Errands, Late

FOR_EVER_S = 1000.0
"""Longer than a test may take."""


class Clock:
    """Stands still unless it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def stuck() -> Iterator[Event]:
    event = Event()
    yield event
    event.set()


@pytest.fixture
def errands(clock: Clock) -> Errands:
    return Errands("vq1", clock=clock)


def slowly(errands: Errands, event: Event, name: str = "result") -> None:
    """Ask for what is not answered until the event."""
    with pytest.raises(Late):
        errands.run(name, event.wait, patience_s=0.0)


def again() -> object:
    """What must not be asked."""
    pytest.fail("asked again")


def test_an_answer_is_given(errands: Errands) -> None:
    assert errands.run("states", lambda: 5, patience_s=None) == 5


def test_an_error_is_raised(errands: Errands) -> None:
    def fail() -> None:
        raise Rejected("no")

    with pytest.raises(Rejected, match="no"):
        errands.run("start", fail, patience_s=None)


def test_what_is_late_is_picked_up_by_who_asks_again(errands: Errands, stuck: Event) -> None:
    slowly(errands, stuck)
    stuck.set()
    assert errands.run("result", again, patience_s=None) is True
    assert errands.run("result", lambda: "anew", patience_s=None) == "anew"


def test_the_same_is_not_asked_for_while_it_is_under_way(clock: Clock, stuck: Event) -> None:
    errands = Errands("vq1", patience_s=2 * FOR_EVER_S, clock=clock)
    slowly(errands, stuck)
    clock.now += FOR_EVER_S  # which somebody has waited for it already
    with pytest.raises(Late):
        errands.run("result", again, patience_s=FOR_EVER_S)


def test_a_vqpu_keeps_no_more_than_a_few_threads(errands: Errands, stuck: Event) -> None:
    for index in range(4):
        slowly(errands, stuck, f"result {index}")
    with pytest.raises(Transient, match="still at 4 requests"):
        errands.run("result 4", lambda: None, patience_s=0.0)
    stuck.set()
    assert errands.run("result 5", lambda: 5, patience_s=None) == 5


def test_there_is_room_again_for_one_that_waits(errands: Errands, stuck: Event) -> None:
    for index in range(4):
        slowly(errands, stuck, f"result {index}")
    found: list[int] = []
    waiting = Thread(
        target=lambda: found.append(errands.run("result 4", lambda: 4, patience_s=None))
    )
    waiting.start()
    stuck.set()
    waiting.join()
    assert found == [4]


@pytest.mark.parametrize("kind", [OutcomeUnknown, Unavailable])
def test_one_for_which_waiting_came_to_nothing_is_left_alone(
    kind: type[OutcomeUnknown | Unavailable], clock: Clock
) -> None:
    errands = Errands("vq1", patience_s=3.0, clock=clock)

    def fail() -> None:
        clock.now += 3.1
        raise kind("it did not answer in time")

    with pytest.raises(kind):
        errands.run("start", fail, patience_s=None)
    assert "did not answer in time" in (errands.paused or "")
    # What was not asked was not heard: that it may have been is not said.
    with pytest.raises(Unavailable if kind is Unavailable else Transient, match="left alone") as at:
        errands.run("start", again)
    assert at.value.retry_after_s == 5.0
    clock.now += 5.0
    assert errands.paused is None
    assert errands.run("start", lambda: 5, patience_s=None) == 5


def test_what_fails_at_once_is_no_reason_to_pause(errands: Errands) -> None:
    def fail() -> None:
        raise Unavailable("nobody is there")

    with pytest.raises(Unavailable):
        errands.run("states", fail, patience_s=None)
    assert errands.paused is None
    assert errands.run("states", lambda: 5, patience_s=None) == 5
