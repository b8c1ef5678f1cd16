"""What every remote provider has to do: subclass :class:`ProviderContract`, give it a bench.

The bench stands the provider before a loopback server of its vendor's own protocol, which
accepts work, holds it back and misbehaves as it is told.
"""

import json
import logging
import socket
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from itertools import product
from typing import Any, NoReturn, Protocol, TypeVar

import pytest

from quanopy.domain.calibration import Snapshot
from quanopy.domain.errors import (
    Denied,
    NotFound,
    NotReady,
    OutcomeUnknown,
    ProviderError,
    QuanopyError,
    Rejected,
    ResourceMismatch,
    Transient,
    Unavailable,
)
from quanopy.domain.ids import new_id
from quanopy.domain.states import FINAL_EXECUTION_STATES, ExecutionState
from quanopy.ports.providers import Order, RemoteProvider, Report, Work
from quanopy.testing.vendors.faults import Fault

T = TypeVar("T")

_RANK = {ExecutionState.SUBMITTED: 0, ExecutionState.RUNNING: 1, ExecutionState.COMPLETED: 2}


_AGAIN = (Transient, Unavailable)
_START: Mapping[Fault, tuple[type[QuanopyError], ...]] = {
    Fault.DENIED: (Denied,),
    Fault.FORBIDDEN: (Denied,),
    Fault.ECHO: (Denied,),
    Fault.ELSEWHERE: (Rejected, Unavailable),
    Fault.MISSING: (NotFound, Rejected, Unavailable),
    Fault.TIMEOUT: (Transient,),
    Fault.LOCKED: (Transient,),
    Fault.MANY: (Transient,),
    Fault.BUSY: (Transient,),
    Fault.BROKEN: (OutcomeUnknown,),
    Fault.CUT: (OutcomeUnknown,),
    Fault.LOST: (OutcomeUnknown,),
    Fault.TRUNCATED: (OutcomeUnknown,),
    Fault.MALFORMED: (OutcomeUnknown,),
    Fault.STRANGE: (OutcomeUnknown,),
    Fault.REJECT: (Rejected,),
}
"""What a request to start work comes to."""
_ASK: Mapping[Fault, tuple[type[QuanopyError], ...]] = {
    Fault.DENIED: (Denied,),
    Fault.FORBIDDEN: (Denied,),
    Fault.ECHO: (Denied,),
    Fault.ELSEWHERE: (ProviderError, NotFound),
    Fault.TIMEOUT: _AGAIN,
    Fault.LOCKED: _AGAIN,
    Fault.MANY: _AGAIN,
    Fault.BUSY: _AGAIN,
    Fault.BROKEN: _AGAIN,
    Fault.CUT: _AGAIN,
    Fault.LOST: _AGAIN,
    Fault.TRUNCATED: _AGAIN,
    Fault.MALFORMED: _AGAIN,
    Fault.STRANGE: (ProviderError,),
}
"""What a question comes to, which may then be asked again."""
_TELLING = (Fault.ECHO, Fault.ELSEWHERE)
"""Faults that would have a credential told."""
COVERED: Mapping[str, str] = {
    "latency": "test_a_late_answer_leaves_the_outcome_unknown",
    "clock skew": "test_a_vendor_whose_clock_is_wrong_breaks_nothing",
    "calibration that changes while a job runs": (
        "test_a_calibration_that_changes_while_work_runs_is_another"
    ),
    **dict.fromkeys(_START, "test_what_start_meets_is_classified"),
    **dict.fromkeys(_TELLING, "test_no_secret_is_shown"),
    Fault.SLOW: "test_a_late_answer_to_a_question_is_transient",
    Fault.UNSEEN: "test_a_status_never_seen_is_reported_as_such",
    Fault.VANISHED: "test_an_execution_that_vanished_is_left_out",
}
"""Which check of the contract is about what a vendor may do wrong."""
_ACCEPTED = (Fault.LOST, Fault.TRUNCATED, Fault.MALFORMED, Fault.STRANGE)
"""Faults by which the vendor has made an execution all the same."""
_HASTE_S = 0.5
"""How long a provider waits for an answer that comes late."""
_PATIENCE_S = 60.0
"""How long all waits for what ends as soon as the machine has time for it."""


class Bench(Protocol):
    """A provider before its vendor's loopback server. Work runs at once unless held back."""

    secret: str
    """The key the provider uses."""

    @property
    def secrets(self) -> Sequence[str]:
        """What nobody may see: the key, and what the vendor gives in exchange for it."""

    @property
    def astray(self) -> Sequence[str]:
        """All that other hosts were sent, to which the vendor pointed."""

    @property
    def absorbed(self) -> Collection[tuple[str, str]]:
        """Faults (route, kind) that never reach the provider: its vendor has no such route, or the
        vendor's client has no use for what was spoilt. The calls then succeed."""

    def provider(
        self,
        *,
        secret: str | None = None,
        timeout_s: float | None = None,
        account: str | None = None,
    ) -> RemoteProvider:
        """A provider as a fresh process would build it: with this key, waiting so long for an
        answer, and for this account at the vendor."""

    def work(self) -> Work:
        """A sample work of at least one pub, for the provider's first resource."""

    def hold(self) -> None:
        """Executions that start from now on stay running until ``release``."""

    def release(self) -> None:
        """Executions end as soon as they are looked at."""

    def fault(self, route: str, kind: str) -> None:
        """The next request to ``start``, ``poll``, ``result``, ``stop`` or ``find`` meets one of
        :class:`quanopy.testing.vendors.faults.Fault`; so do ``login``, ``target`` and
        ``calibration``, where there is such a route."""

    def accepted(self, key: str) -> int:
        """How many executions the vendor has made of this key."""

    def skew(self, seconds: float) -> None:
        """The vendor's clock is ahead by so much."""

    def recalibrate(self) -> None:
        """The vendor has a new calibration from now on, if it publishes any."""


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
            assert compiled_for(provider, resource.name) == compiled_for(other, resource.name)
        other.close()

    def test_check_needs_no_network(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        provider, work = bench.provider(), bench.work()
        monkeypatch.setattr(socket.socket, "connect", _no_network)
        monkeypatch.setattr(socket, "getaddrinfo", _no_network)
        provider.check(work)
        monkeypatch.undo()
        provider.close()

    def test_a_fingerprint_tells_accounts_apart_and_nothing_else(
        self, bench: Bench, provider: RemoteProvider
    ) -> None:
        same, other = bench.provider(), bench.provider(account="of-somebody-else")
        assert provider.fingerprint() == same.fingerprint()
        assert provider.fingerprint() != other.fingerprint()
        assert not any(secret in provider.fingerprint() for secret in bench.secrets)
        same.close()
        other.close()

    # -- calibration --------------------------------------------------------------------------
    def test_a_calibration_is_the_same_until_the_vendor_has_another(
        self, bench: Bench, provider: RemoteProvider
    ) -> None:
        for resource in provider.resources():
            first = provider.calibration(resource.name)
            again = provider.calibration(resource.name)
            assert (first is None) == (again is None)
            if first is not None and again is not None:
                assert first.digest == again.digest
                check_snapshot(first, resource.name)

    def test_a_calibration_that_changes_while_work_runs_is_another(
        self, bench: Bench, provider: RemoteProvider
    ) -> None:
        one = order(bench)
        before = provider.calibration(one.resource)
        bench.hold()
        (execution,) = start(provider, [one])
        bench.recalibrate()
        after = provider.calibration(one.resource)
        bench.release()
        wait_all(provider, [execution])
        (outcome,) = provider.result(execution, lambda: one.works)
        assert outcome.error is None
        assert (before is None) == (after is None)
        if before is not None and after is not None:
            assert before.digest != after.digest
            check_snapshot(after, one.resource)

    @pytest.mark.parametrize("route", ["login", "target", "calibration"])
    def test_what_a_calibration_meets_is_classified_and_forgotten(
        self, bench: Bench, provider: RemoteProvider, route: str
    ) -> None:
        name = bench.work().resource
        before = provider.calibration(name)
        for kind in (*_ASK, Fault.MISSING, Fault.VANISHED):
            bench.fault(route, kind)
            told = caught(lambda: provider.calibration(name))
            assert told is None or isinstance(told, Snapshot | QuanopyError)
            after = provider.calibration(name)
            assert (after and after.digest) == (before and before.digest)

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
        work = one.works[0]
        for pub, asked in zip(json.loads(outcome.result), work.pubs, strict=True):
            if work.native is not None:
                assert sum(pub["outcomes"].values()) == pub["shots"] == asked.shots
                assert pub["native"] == work.native
            else:
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

    def test_what_is_known_of_an_execution_is_told(
        self, bench: Bench, provider: RemoteProvider
    ) -> None:
        one = order(bench)
        (execution,) = start(provider, [one])
        wait_all(provider, [execution])
        known = provider.describe(execution)
        assert known.resource == one.resource
        assert known.state is ExecutionState.COMPLETED
        assert known.created_at is None or known.created_at.utcoffset() is not None
        assert known.program is None or known.program.data
        assert known.key in (None, one.key)
        assert isinstance(provider.logs(execution), str)

    def test_an_unknown_execution_is_not_found(self, provider: RemoteProvider) -> None:
        with pytest.raises(NotFound):
            provider.describe("no-such-execution")
        with pytest.raises((NotFound, NotReady)):
            provider.result("no-such-execution", None)

    def test_an_execution_that_vanished_is_left_out(
        self, bench: Bench, provider: RemoteProvider
    ) -> None:
        one = order(bench)
        (execution,) = start(provider, [one])
        wait_all(provider, [execution])
        bench.fault("poll", "vanished")
        assert provider.poll([execution]) == {}
        assert provider.poll([execution]) == {}
        with pytest.raises((NotFound, NotReady)):
            provider.result(execution, lambda: one.works)

    @pytest.mark.parametrize("ahead_s", [-7200.0, 7200.0])
    def test_a_vendor_whose_clock_is_wrong_breaks_nothing(
        self, bench: Bench, ahead_s: float
    ) -> None:
        bench.skew(ahead_s)
        provider, one = bench.provider(), order(bench)
        (execution,) = start(provider, [one])
        wait_all(provider, [execution])
        (outcome,) = provider.result(execution, lambda: one.works)
        assert outcome.error is None
        times = [outcome.started_at, outcome.ended_at, provider.describe(execution).created_at]
        assert all(at is None or at.utcoffset() is not None for at in times)
        provider.calibration(one.resource)
        provider.close()
        bench.skew(0.0)

    # -- keys ---------------------------------------------------------------------------------
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
        visible_at = time.monotonic() + provider.capabilities.visibility_delay_s

        def look() -> tuple[float, Mapping[str, str]]:
            return time.monotonic(), provider.find([one.key, new_id("exec")])

        _, found = polled(look, lambda seen: bool(seen[1]) or seen[0] >= visible_at)
        assert found == {one.key: execution}, "not found after the visibility delay"

    # -- faults -------------------------------------------------------------------------------
    @pytest.mark.parametrize("kind", list(_START), ids=str)
    def test_what_start_meets_is_classified(
        self, bench: Bench, provider: RemoteProvider, kind: Fault
    ) -> None:
        one = order(bench)
        bench.fault("start", kind)
        told = answer(provider, one)
        if ("start", kind) in bench.absorbed:
            assert isinstance(told, str)
            return
        assert isinstance(told, _START[kind])
        assert bench.accepted(one.key) == (1 if kind in _ACCEPTED else 0)
        if kind in (Fault.MANY, Fault.BUSY):
            assert isinstance(told, Transient)
            assert told.retry_after_s is not None
            assert told.retry_after_s >= 0

    def test_a_late_answer_leaves_the_outcome_unknown(self, bench: Bench) -> None:
        hasty, one = bench.provider(timeout_s=_HASTE_S), order(bench)
        hasty.resources()
        bench.fault("start", "slow")
        # What is asked before may be late too; then nothing was sent.
        told = polled(lambda: answer(hasty, one), lambda told: not isinstance(told, _AGAIN))
        assert isinstance(told, OutcomeUnknown)
        hasty.close()

    @pytest.mark.parametrize("route", ["poll", "result", "stop"])
    def test_a_late_answer_to_a_question_is_transient(
        self, bench: Bench, provider: RemoteProvider, route: str
    ) -> None:
        one = order(bench)
        (execution,) = start(provider, [one])
        wait_all(provider, [execution])
        hasty = bench.provider(timeout_s=_HASTE_S)
        ask = questions(hasty, one, execution)[route]
        bench.fault(route, "slow")
        if (route, "slow") not in bench.absorbed:
            with pytest.raises(_AGAIN):
                ask()
        told = polled(lambda: caught(ask), lambda told: not isinstance(told, _AGAIN))
        assert not isinstance(told, QuanopyError)
        hasty.close()

    def test_a_wrong_key_is_denied(self, bench: Bench) -> None:
        provider = bench.provider(secret="a-wrong-key")
        assert isinstance(answer(provider, order(bench)), Denied)
        provider.close()

    def test_a_status_never_seen_is_reported_as_such(
        self, bench: Bench, provider: RemoteProvider
    ) -> None:
        (execution,) = start(provider, [order(bench)])
        bench.fault("poll", "unseen")
        report = provider.poll([execution])[execution]
        assert report.state is None
        assert report.detail

    @pytest.mark.parametrize("route", ["poll", "result", "stop", "find"])
    def test_what_questions_meet_is_classified_and_they_may_be_repeated(
        self, bench: Bench, provider: RemoteProvider, route: str
    ) -> None:
        one = order(bench)
        (execution,) = start(provider, [one])
        wait_all(provider, [execution])
        asks = questions(provider, one, execution)
        for kind, classes in _ASK.items() if route in asks else ():
            bench.fault(route, kind)
            if (route, kind) not in bench.absorbed:
                told = caught(asks[route])
                assert isinstance(told, classes), f"{route} met {kind}: {told!r}"
            asks[route]()

    @pytest.mark.parametrize("route", ["poll", "result", "stop"])
    def test_a_route_that_is_not_found_breaks_nothing(
        self, bench: Bench, provider: RemoteProvider, route: str
    ) -> None:
        one = order(bench)
        (execution,) = start(provider, [one])
        wait_all(provider, [execution])
        ask = questions(provider, one, execution)[route]
        bench.fault(route, "missing")
        caught(ask)
        ask()

    # -- manners ------------------------------------------------------------------------------
    def test_no_secret_is_shown(self, bench: Bench, capfd: pytest.CaptureFixture[str]) -> None:
        shown: list[object] = []
        with every_log() as logged:
            for route, kind in product(("login", "target", "calibration"), _TELLING):
                if (route, kind) in bench.absorbed:
                    continue
                bench.fault(route, kind)
                shown += asked_first(bench.provider(), bench.work().resource)
            provider = bench.provider()
            shown += [provider, *provider.resources()]
            one = order(bench)
            for kind in _START:
                bench.fault("start", kind)
                shown.append(answer(provider, order(bench)))
            (execution,) = start(provider, [one])
            wait_all(provider, [execution])
            for route, ask in questions(provider, one, execution).items():
                for kind in _ASK:
                    bench.fault(route, kind)
                    shown.append(caught(ask))
                    ask()
            shown += [provider.describe(execution), provider.logs(execution)]
            shown.append(provider.calibration(one.resource))
            provider.close()
        assert logged, "nothing was logged: the check would see nothing"
        texts = [text for each in shown for text in texts_of(each)]
        output = capfd.readouterr()
        for secret in bench.secrets:
            assert not [text for text in bench.astray if secret in text]
            assert not [text for text in texts if secret in text]
            assert not [line for line in logged if secret in line]
            assert secret not in output.out
            assert secret not in output.err

    def test_a_wrong_key_is_not_shown(self, bench: Bench) -> None:
        with every_log() as logged:
            provider = bench.provider(secret="a-wrong-key")
            told = answer(provider, order(bench))
            provider.close()
        assert isinstance(told, Denied)
        assert not [text for text in (*texts_of(told), *logged) if "a-wrong-key" in text]

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


def compiled_for(provider: RemoteProvider, resource: str) -> str | None:
    """Digest of a resource's target; ``None`` for one that compiles nothing."""
    try:
        return provider.target(resource).digest
    except ResourceMismatch:
        return None


def order(bench: Bench) -> Order:
    """An order of one work under a key of its own."""
    work = bench.work()
    return Order(key=new_id("exec"), resource=work.resource, works=[work])


def start(provider: RemoteProvider, orders: Sequence[Order]) -> list[str]:
    """Start these; all must be accepted."""
    ids = [answer for answer in provider.start(orders) if isinstance(answer, str)]
    assert len(ids) == len(orders)
    return ids


def asked_first(provider: RemoteProvider, resource: str) -> Sequence[object]:
    """What a provider says when it is asked for the first time, and closed."""
    said = [caught(provider.resources), caught(lambda: provider.calibration(resource))]
    provider.close()
    return said


def answer(provider: RemoteProvider, one: Order) -> str | QuanopyError:
    """The answer to one order, returned or raised."""
    try:
        return provider.start([one])[0]
    except QuanopyError as error:
        return error


def questions(
    provider: RemoteProvider, one: Order, execution: str
) -> dict[str, Callable[[], object]]:
    """What may be asked again, by route."""
    asks: dict[str, Callable[[], object]] = {
        "poll": lambda: provider.poll([execution]),
        "result": lambda: provider.result(execution, lambda: one.works),
        "stop": lambda: provider.stop([execution]),
    }
    if provider.capabilities.searchable:
        asks["find"] = lambda: provider.find([one.key])
    return asks


def check_snapshot(snapshot: Snapshot, resource: str) -> None:
    """It is of this resource, its document is JSON, and its times are aware."""
    assert snapshot.resource == resource
    assert snapshot.format
    json.loads(snapshot.raw)
    times: list[datetime | None] = [snapshot.calibrated_at, snapshot.fetched_at]
    times += [metric.measured_at for metric in snapshot.metrics]
    assert all(at is None or at.utcoffset() is not None for at in times)


def caught(ask: Callable[[], object]) -> object:
    """What a question answers or raises."""
    try:
        return ask()
    except QuanopyError as error:
        return error


def texts_of(shown: object) -> Iterator[str]:
    """All that showing something shows; of an error also what it came from."""
    yield str(shown)
    yield repr(shown)
    if isinstance(shown, BaseException):
        for cause in (shown.__cause__, shown.__context__):
            if cause is not None:
                yield from texts_of(cause)


class _Kept(logging.Handler):
    """Keeps every line it is given."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self.setFormatter(logging.Formatter("%(name)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@contextmanager
def every_log() -> Iterator[list[str]]:
    """What is logged meanwhile, by whichever logger, at whatever level."""
    kept = _Kept()
    root = logging.getLogger()
    named = [one for one in root.manager.loggerDict.values() if isinstance(one, logging.Logger)]
    before = [(one, one.level, one.disabled) for one in (root, *named)]
    apart = [one for one in named if not one.propagate]
    for one, _, _ in before:
        one.setLevel(logging.DEBUG)
        one.disabled = False
    for one in (root, *apart):
        one.addHandler(kept)
    try:
        logging.getLogger(__name__).debug("from here on")
        yield kept.lines
    finally:
        for one in (root, *apart):
            one.removeHandler(kept)
        for one, level, disabled in before:
            one.setLevel(level)
            one.disabled = disabled


def _no_network(*_: object, **__: object) -> NoReturn:
    raise AssertionError("no network here")


def wait_all(provider: RemoteProvider, ids: Sequence[str]) -> dict[str, Report]:
    """Poll until all of these have ended."""
    return polled(
        lambda: provider.poll(ids),
        lambda reports: all(
            one in reports and reports[one].state in FINAL_EXECUTION_STATES for one in ids
        ),
    )


def polled(look: Callable[[], T], enough: Callable[[T], bool]) -> T:
    """What is seen once it is enough; looks less and less often: the vendor may be this process."""
    deadline, pause_s = time.monotonic() + _PATIENCE_S, 0.01
    while not enough(seen := look()):
        assert time.monotonic() < deadline, f"still {seen}"
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, 0.16)
    return seen
