"""Pauses between looks at remote work: about as long as nothing has changed, and in step."""

from datetime import UTC, datetime, timedelta

import pytest

from quanopy.domain.jobs import Execution
from quanopy.domain.states import ExecutionState
from quanopy.ports.providers import RemoteCapabilities
from quanopy.services import looks
from quanopy.testing.fake_provider import FakeProvider

BASE_S = 2.0
HOUR_S = 3600.0


def pause_s(unchanged_s: float, *, one_by_one: bool = False, ahead: int | None = None) -> float:
    """Until the next look at what has been as it is for so long."""
    provider = FakeProvider("http://127.0.0.1:9", token="key")
    provider.capabilities = RemoteCapabilities(poll_interval_s=BASE_S, one_by_one=one_by_one)
    execution = Execution(
        id="exec_1",
        resource="fake",
        provider="fake",
        account="default",
        state=ExecutionState.SUBMITTED,
        tasks=("task_1",),
        created_at=datetime.now(UTC) - timedelta(seconds=unchanged_s),
    )
    return looks.pause_s(provider, execution, ahead)


@pytest.mark.parametrize("pause_s", [2.0, 2.5, 4.0, 7.9, 16.0, 32.0])
def test_a_pause_is_cut_by_a_quarter_at_most(pause_s: float) -> None:
    assert max(BASE_S, 0.75 * pause_s) - 0.5 <= looks.in_step(pause_s, BASE_S) <= pause_s + 0.25


def test_who_waits_about_as_long_is_looked_at_together(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = set()
    for at in (1000.0, 1001.3, 1003.9, 1005.2):
        monkeypatch.setattr("time.time", lambda at=at: at)
        ends.add(round(at + looks.in_step(32.0, BASE_S)))
    assert len(ends) <= 2


@pytest.mark.parametrize("one_by_one", [False, True])
def test_a_pause_is_about_as_long_as_nothing_has_changed(one_by_one: bool) -> None:
    assert pause_s(0, one_by_one=one_by_one) == pytest.approx(BASE_S, abs=0.5)
    assert 11.5 <= pause_s(16, one_by_one=one_by_one) <= 16.5


@pytest.mark.parametrize(("one_by_one", "longest_s"), [(False, 32.0), (True, 60.0)])
def test_what_costs_a_request_each_is_asked_for_once_a_minute(
    one_by_one: bool, longest_s: float
) -> None:
    found = pause_s(HOUR_S, one_by_one=one_by_one)
    assert 0.75 * longest_s - 0.5 <= found <= longest_s + 0.25


@pytest.mark.parametrize(("ahead", "longest_s"), [(0, 2.0), (3, 8.0), (500, 60.0)])
def test_what_is_near_the_front_of_the_queue_is_seen_soon(ahead: int, longest_s: float) -> None:
    found = pause_s(HOUR_S, one_by_one=True, ahead=ahead)
    assert max(BASE_S, 0.75 * longest_s) - 0.5 <= found <= longest_s + 0.25


def test_a_place_in_the_queue_makes_no_pause_longer() -> None:
    assert pause_s(4, ahead=500) <= 4.25
