"""What is asked of one vQPU takes its own threads, and nobody waits for it long."""

import time
from collections.abc import Iterator
from threading import Event, Thread

import pytest

from quanopy.domain.errors import OutcomeUnknown, Rejected, Transient, Unavailable
from quanopy.providers.vqpu.errands import Errands, Late

PATIENCE_S = 0.05


@pytest.fixture
def stuck() -> Iterator[Event]:
    event = Event()
    yield event
    event.set()


@pytest.fixture
def errands() -> Errands:
    return Errands("vq1")


def slowly(errands: Errands, event: Event, name: str = "result") -> None:
    """Ask for what is not answered until the event."""
    with pytest.raises(Late):
        errands.run(name, event.wait, patience_s=PATIENCE_S)


def again() -> object:
    """What must not be asked."""
    pytest.fail("asked again")


def test_an_answer_is_given(errands: Errands) -> None:
    assert errands.run("states", lambda: 5) == 5


def test_an_error_is_raised(errands: Errands) -> None:
    def fail() -> None:
        raise Rejected("no")

    with pytest.raises(Rejected, match="no"):
        errands.run("start", fail)


def test_what_is_late_is_picked_up_by_who_asks_again(errands: Errands, stuck: Event) -> None:
    slowly(errands, stuck)
    stuck.set()
    assert errands.run("result", again, patience_s=None) is True
    assert errands.run("result", lambda: "anew") == "anew"


def test_the_same_is_not_asked_for_while_it_is_under_way(errands: Errands, stuck: Event) -> None:
    slowly(errands, stuck)
    began = time.monotonic()
    with pytest.raises(Late):
        errands.run("result", again, patience_s=PATIENCE_S)
    assert time.monotonic() - began < PATIENCE_S


def test_a_vqpu_keeps_no_more_than_a_few_threads(errands: Errands, stuck: Event) -> None:
    for index in range(4):
        slowly(errands, stuck, f"result {index}")
    with pytest.raises(Transient, match="still at 4 requests"):
        errands.run("result 4", lambda: None, patience_s=PATIENCE_S)
    stuck.set()
    assert errands.run("result 5", lambda: 5) == 5


def test_there_is_room_again_for_one_that_waits(errands: Errands, stuck: Event) -> None:
    for index in range(4):
        slowly(errands, stuck, f"result {index}")
    found: list[int] = []
    waiting = Thread(target=lambda: found.append(errands.run("result 4", lambda: 4)))
    waiting.start()
    stuck.set()
    waiting.join(5)
    assert found == [4]


@pytest.mark.parametrize("kind", [OutcomeUnknown, Unavailable])
def test_one_for_which_waiting_came_to_nothing_is_left_alone(
    kind: type[OutcomeUnknown | Unavailable],
) -> None:
    errands = Errands("vq1", patience_s=PATIENCE_S)

    def fail() -> None:
        Event().wait(2 * PATIENCE_S)
        raise kind("it did not answer in time")

    with pytest.raises(kind):
        errands.run("start", fail, patience_s=None)
    assert "did not answer in time" in (errands.paused or "")
    # What was not asked was not heard: that it may have been is not said.
    with pytest.raises(Unavailable if kind is Unavailable else Transient, match="left alone") as at:
        errands.run("start", again)
    assert 0 < (at.value.retry_after_s or 0) <= 5


def test_what_fails_at_once_is_no_reason_to_pause(errands: Errands) -> None:
    def fail() -> None:
        raise Unavailable("nobody is there")

    with pytest.raises(Unavailable):
        errands.run("states", fail)
    assert errands.paused is None
    assert errands.run("states", lambda: 5) == 5
