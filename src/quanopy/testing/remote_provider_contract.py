"""What every remote provider has to do: subclass :class:`ProviderContract`, give it a bench.

The bench stands the provider before a loopback server of its vendor's own protocol, which
accepts work, holds it back and misbehaves as it is told.
"""

import json
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import pytest

from quanopy.domain.errors import (
    Denied,
    NotReady,
    OutcomeUnknown,
    ProviderError,
    QuanopyError,
    Rejected,
    Transient,
)
from quanopy.domain.ids import new_id
from quanopy.domain.states import FINAL_EXECUTION_STATES, ExecutionState
from quanopy.ports.providers import Order, RemoteProvider, Report, Work

_RANK = {ExecutionState.SUBMITTED: 0, ExecutionState.RUNNING: 1, ExecutionState.COMPLETED: 2}


class Bench(Protocol):
    """A provider before its vendor's loopback server. Work runs at once unless held back."""

    secret: str
    """The key the provider uses."""

    def provider(self, *, secret: str | None = None) -> RemoteProvider:
        """A provider as a fresh process would build it, with this key."""

    def work(self) -> Work:
        """A sample work of at least one pub, for the provider's first resource."""

    def hold(self) -> None:
        """Executions that start from now on stay running until ``release``."""

    def release(self) -> None:
        """Executions end as soon as they are looked at."""

    def fault(self, route: str, kind: str) -> None:
        """The next request to ``start``, ``poll``, ``result``, ``stop`` or ``find`` meets one of
        ``busy`` (503), ``many`` (429), ``denied`` (401), ``cut`` (before anything is done),
        ``lost`` (after it was done), ``reject``, ``unseen`` (an unknown status)."""

    def accepted(self, key: str) -> int:
        """How many executions the vendor has made of this key."""


class ProviderContract:
    """The checks; override ``bench``."""

    @pytest.fixture
    def bench(self) -> Bench:
        """The provider's bench."""
        raise NotImplementedError

    @pytest.fixture
    def provider(self, bench: Bench) -> Any:
        """The provider, closed afterwards."""
        provider = bench.provider()
        yield provider
        provider.close()

    # -- what it exposes ----------------------------------------------------------------------
    def test_resources_are_its_own_and_stable(self, provider: RemoteProvider) -> None:
        first, second = provider.resources(), provider.resources()
        assert first
        assert [r.name for r in first] == [r.name for r in second]
        assert {r.provider for r in first} == {provider.name}

    def test_target_digest_is_stable(self, bench: Bench, provider: RemoteProvider) -> None:
        other = bench.provider()
        for resource in provider.resources():
            assert provider.target(resource.name).digest == other.target(resource.name).digest
        other.close()

    # -- the way of an execution --------------------------------------------------------------
    def test_starts_many_and_completes_each(self, bench: Bench, provider: RemoteProvider) -> None:
        ids = start(provider, [order(bench) for _ in range(3)])
        assert len(set(ids)) == 3
        reports = wait_all(provider, ids)
        assert {report.state for report in reports.values()} == {ExecutionState.COMPLETED}

    def test_counts_sum_to_shots_and_usage_is_said(
        self, bench: Bench, provider: RemoteProvider
    ) -> None:
        one = order(bench)
        (execution,) = start(provider, [one])
        wait_all(provider, [execution])
        (outcome,) = provider.result(execution, lambda: [bench.work()])
        assert outcome.error is None
        assert outcome.result is not None
        for pub, asked in zip(json.loads(outcome.result), one.works[0].pubs, strict=True):
            assert all(sum(counts.values()) == asked.shots for counts in pub["counts"])
        assert outcome.usage["seconds"] >= 0
        assert outcome.usage["shots"] > 0
        assert b"\n" not in outcome.result

    def test_states_never_go_back(self, bench: Bench, provider: RemoteProvider) -> None:
        bench.hold()
        (execution,) = start(provider, [order(bench)])
        seen = [provider.poll([execution])[execution].state for _ in range(3)]
        bench.release()
        wait_all(provider, [execution])
        seen += [provider.poll([execution])[execution].state for _ in range(2)]
        ranks = [_RANK[state] for state in seen if state is not None]
        assert ranks == sorted(ranks)
        assert seen[-1] is ExecutionState.COMPLETED

    def test_poll_leaves_unknown_ids_out(self, bench: Bench, provider: RemoteProvider) -> None:
        (execution,) = start(provider, [order(bench)])
        assert set(provider.poll([execution, "no-such-execution"])) == {execution}
        assert provider.poll([]) == {}

    def test_result_is_not_ready_early(self, bench: Bench, provider: RemoteProvider) -> None:
        bench.hold()
        (execution,) = start(provider, [order(bench)])
        with pytest.raises(NotReady):
            provider.result(execution, lambda: [bench.work()])

    def test_result_twice_is_the_same(self, bench: Bench, provider: RemoteProvider) -> None:
        (execution,) = start(provider, [order(bench)])
        wait_all(provider, [execution])
        again = [provider.result(execution, lambda: [bench.work()]) for _ in range(2)]
        assert again[0] == again[1]

    def test_a_fresh_provider_follows_an_old_id(
        self, bench: Bench, provider: RemoteProvider
    ) -> None:
        (execution,) = start(provider, [order(bench)])
        provider.close()
        fresh = bench.provider()
        wait_all(fresh, [execution])
        assert len(fresh.result(execution, lambda: [bench.work()])) == 1
        fresh.close()

    def test_stop_ends_it_and_may_be_repeated(self, bench: Bench, provider: RemoteProvider) -> None:
        bench.hold()
        (execution,) = start(provider, [order(bench)])
        provider.stop([execution])
        provider.stop([execution])
        assert wait_all(provider, [execution])[execution].state is ExecutionState.CANCELLED

    def test_stopping_what_has_ended_is_no_error(
        self, bench: Bench, provider: RemoteProvider
    ) -> None:
        (execution,) = start(provider, [order(bench)])
        wait_all(provider, [execution])
        provider.stop([execution])
        assert provider.poll([execution])[execution].state is ExecutionState.COMPLETED

    # -- keys and lost replies ----------------------------------------------------------------
    def test_the_same_key_twice_is_one_execution(
        self, bench: Bench, provider: RemoteProvider
    ) -> None:
        if not provider.capabilities.idempotent:
            return  # It promises nothing, so nothing relies on it.
        one = order(bench)
        assert start(provider, [one]) == start(provider, [one])
        assert bench.accepted(one.key) == 1

    def test_an_execution_is_found_by_its_key(self, bench: Bench, provider: RemoteProvider) -> None:
        if not provider.capabilities.searchable:
            return  # It promises nothing, so nothing relies on it.
        one = order(bench)
        (execution,) = start(provider, [one])
        deadline = time.monotonic() + provider.capabilities.visibility_delay_s + 1
        while not (found := provider.find([one.key, new_id("exec")])):
            assert time.monotonic() < deadline, "not found after the visibility delay"
        assert found == {one.key: execution}

    def test_a_lost_reply_leaves_the_outcome_unknown(
        self, bench: Bench, provider: RemoteProvider
    ) -> None:
        one = order(bench)
        bench.fault("start", "lost")
        assert isinstance(answer(provider, one), OutcomeUnknown)
        assert bench.accepted(one.key) == 1

    def test_a_cut_request_leaves_the_outcome_unknown(
        self, bench: Bench, provider: RemoteProvider
    ) -> None:
        one = order(bench)
        bench.fault("start", "cut")
        assert isinstance(answer(provider, one), OutcomeUnknown)
        assert bench.accepted(one.key) == 0

    # -- faults -------------------------------------------------------------------------------
    @pytest.mark.parametrize("kind", ["busy", "many"])
    def test_a_busy_vendor_is_transient_and_says_when(
        self, bench: Bench, provider: RemoteProvider, kind: str
    ) -> None:
        one = order(bench)
        bench.fault("start", kind)
        refused = answer(provider, one)
        assert isinstance(refused, Transient)
        assert refused.retry_after_s is not None
        assert refused.retry_after_s >= 0
        assert bench.accepted(one.key) == 0

    def test_a_refused_key_is_denied(self, bench: Bench, provider: RemoteProvider) -> None:
        bench.fault("start", "denied")
        assert isinstance(answer(provider, order(bench)), Denied)

    def test_a_wrong_key_is_denied(self, bench: Bench) -> None:
        provider = bench.provider(secret="a-wrong-key")
        assert isinstance(answer(provider, order(bench)), Denied)
        provider.close()

    def test_a_rejection_is_for_good(self, bench: Bench, provider: RemoteProvider) -> None:
        bench.fault("start", "reject")
        assert isinstance(answer(provider, order(bench)), Rejected)

    def test_a_status_never_seen_is_reported_as_such(
        self, bench: Bench, provider: RemoteProvider
    ) -> None:
        (execution,) = start(provider, [order(bench)])
        bench.fault("poll", "unseen")
        report = provider.poll([execution])[execution]
        assert report.state is None
        assert report.detail

    @pytest.mark.parametrize("route", ["poll", "result", "stop"])
    @pytest.mark.parametrize("kind", ["busy", "cut"])
    def test_questions_fail_with_a_class_and_may_be_repeated(
        self, bench: Bench, provider: RemoteProvider, route: str, kind: str
    ) -> None:
        (execution,) = start(provider, [order(bench)])
        wait_all(provider, [execution])
        asks: dict[str, Callable[[], object]] = {
            "poll": lambda: provider.poll([execution]),
            "result": lambda: provider.result(execution, lambda: [bench.work()]),
            "stop": lambda: provider.stop([execution]),
        }
        bench.fault(route, kind)
        with pytest.raises(ProviderError):
            asks[route]()
        asks[route]()

    # -- manners ------------------------------------------------------------------------------
    def test_no_secret_is_shown(
        self, bench: Bench, provider: RemoteProvider, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        shown = [repr(provider), str(provider)]
        for kind in ("lost", "busy", "denied", "reject"):
            bench.fault("start", kind)
            error = answer(provider, order(bench))
            assert isinstance(error, QuanopyError)
            shown += [str(error), repr(error), repr(error.__cause__)]
        start(provider, [order(bench)])
        assert all(bench.secret not in text for text in [*shown, caplog.text])

    def test_it_may_be_closed_twice(self, bench: Bench) -> None:
        provider = bench.provider()
        provider.close()
        provider.close()

    def test_it_serves_several_threads(self, bench: Bench, provider: RemoteProvider) -> None:
        with ThreadPoolExecutor(8) as pool:
            ids = list(pool.map(lambda _: start(provider, [order(bench)])[0], range(24)))
            assert len(set(ids)) == 24
            reports = list(pool.map(lambda one: wait_all(provider, [one])[one], ids))
        assert {report.state for report in reports} == {ExecutionState.COMPLETED}


def order(bench: Bench) -> Order:
    """An order of one work under a key of its own."""
    work = bench.work()
    return Order(key=new_id("exec"), resource=work.resource, works=[work])


def start(provider: RemoteProvider, orders: Sequence[Order]) -> list[str]:
    """Start these; all must be accepted."""
    ids = [answer for answer in provider.start(orders) if isinstance(answer, str)]
    assert len(ids) == len(orders)
    return ids


def answer(provider: RemoteProvider, one: Order) -> str | QuanopyError:
    """The answer to one order, returned or raised."""
    try:
        return provider.start([one])[0]
    except QuanopyError as error:
        return error


def wait_all(
    provider: RemoteProvider, ids: Sequence[str], *, timeout_s: float = 20.0
) -> dict[str, Report]:
    """Poll until all of these have ended."""
    deadline = time.monotonic() + timeout_s
    while True:
        reports = provider.poll(ids)
        if all(one in reports and reports[one].state in FINAL_EXECUTION_STATES for one in ids):
            return reports
        assert time.monotonic() < deadline, f"still {reports}"
        time.sleep(0.01)
