"""Requests one by one, some side by side: each has an answer or an error of its own."""

from collections.abc import Callable, Iterator

import pytest

from quanopy.domain.errors import (
    Denied,
    NotFound,
    OutcomeUnknown,
    QuanopyError,
    Rejected,
    Transient,
)
from quanopy.domain.ids import new_id
from quanopy.domain.states import ExecutionState
from quanopy.ports.providers import Order, Report
from quanopy.providers.several import Several

RUNNING = Report(state=ExecutionState.RUNNING)


@pytest.fixture
def several() -> Iterator[Several]:
    several = Several("test", width=3)
    yield several
    several.close()


def orders(*names: str) -> list[Order]:
    return [Order(key=new_id("exec"), resource=name, works=[]) for name in names]


def named(answers: dict[str, Exception]) -> Callable[[Order], str]:
    def send(order: Order) -> str:
        if order.resource in answers:
            raise answers[order.resource]
        return f"id-{order.resource}"

    return send


def polled(answers: dict[str, QuanopyError]) -> Callable[[str], Report]:
    def ask(id: str) -> Report:
        if id in answers:
            raise answers[id]
        return RUNNING

    return ask


def test_answers_come_in_the_order_of_what_was_asked(several: Several) -> None:
    lost = OutcomeUnknown("lost")
    assert several.start(orders("a", "b", "c"), named({"b": lost})) == ["id-a", lost, "id-c"]


def test_what_was_accepted_is_not_lost_of_another_s_denial(several: Several) -> None:
    accepted, refused = several.start(orders("a", "b"), named({"b": Denied("expired")}))
    assert accepted == "id-a"
    assert isinstance(refused, Rejected)
    assert "expired" in str(refused)


def test_a_denial_of_all_is_raised_as_such(several: Several) -> None:
    with pytest.raises(Denied):
        several.start(orders("a", "b"), named({"a": Denied("no"), "b": Denied("no")}))


def test_one_that_cannot_be_asked_for_keeps_no_other_back(several: Several) -> None:
    answers: dict[str, QuanopyError] = {"b": NotFound("gone"), "c": Transient("cut")}
    reports = several.poll(["a", "b", "c"], polled(answers))
    assert set(reports) == {"a", "c"}
    assert reports["a"] is RUNNING
    assert reports["c"].state is None
    assert reports["c"].detail == "cut"


def test_where_nothing_can_be_asked_for_that_is_raised(several: Several) -> None:
    with pytest.raises(Transient):
        several.poll(["a", "b"], polled({"a": NotFound("gone"), "b": Transient("cut")}))
    assert several.poll(["a"], polled({"a": NotFound("gone")})) == {}
    assert several.poll([], polled({})) == {}


def test_what_breaks_over_one_loses_no_other(several: Several) -> None:
    accepted, broken = several.start(orders("a", "b"), named({"b": KeyError("id")}))
    assert accepted == "id-a"
    assert isinstance(broken, OutcomeUnknown)
