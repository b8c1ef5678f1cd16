"""A vQPU of a stranger that drips, hangs or floods keeps nobody else's from being spoken to."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
import urllib3

from quanopy.domain.errors import (
    NotFound,
    OutcomeUnknown,
    QuanopyError,
    Rejected,
    Transient,
    Unavailable,
)
from quanopy.domain.ids import new_id
from quanopy.domain.jobs import Options, Pub
from quanopy.domain.states import ExecutionState, ResourceState
from quanopy.ports.providers import Order, RemoteProvider
from quanopy.providers.vqpu import create
from quanopy.providers.vqpu.connection import Connection
from quanopy.providers.vqpu.deadline import connections
from quanopy.providers.vqpu.errands import PATIENCE_S
from quanopy.testing.remote_provider_contract import caught, polled, wait_all
from quanopy.testing.vendors.vqpu import VqpuVendor
from tests.contract.vendors.test_vqpu import order_of, work
from tests.servers.hostile import Hostile, Misdeed

PROMPT_S = 30.0
"""What somebody else's slow vQPU may cost at most; its requests have twice that."""


@pytest.fixture(scope="module")
def vendor() -> Iterator[VqpuVendor]:
    server = VqpuVendor()
    with server:
        os.environ |= server.environment()
        yield server


@pytest.fixture(scope="module")
def options(vendor: VqpuVendor) -> Mapping[str, Any]:
    found: Mapping[str, Any] = vendor.options()["vqpus"]["vqpu"]
    return found


@pytest.fixture(scope="module")
def description(vendor: VqpuVendor) -> Mapping[str, Any]:
    headers = {"Authorization": f"Bearer {vendor.secret}"}
    found: Mapping[str, Any] = urllib3.request(
        "GET", f"{vendor.url}/api/v1/device", headers=headers
    ).json()
    return found


@pytest.fixture
def hostile(request: pytest.FixtureRequest, description: Mapping[str, Any]) -> Iterator[Hostile]:
    with Hostile(request.param, description) as server:
        yield server


@pytest.fixture
def provider(hostile: Hostile, options: Mapping[str, Any]) -> Iterator[RemoteProvider]:
    both = {"vqpu": options, "bad": {**options, "url": hostile.url}}
    provider = create(vqpus=both, request_timeout_s=2 * PROMPT_S)
    provider.resources()
    yield provider
    provider.close()


def prompt(ask: Callable[[], object]) -> object:
    """What it answers, or the error that it raises, soon."""
    began = time.monotonic()
    try:
        return ask()
    except QuanopyError as error:
        return error
    finally:
        assert time.monotonic() - began < PROMPT_S


def bad(count: int) -> list[Order]:
    return [order_of(replace(work(), resource="bad")) for _ in range(count)]


@pytest.mark.parametrize("hostile", [Misdeed.HANGS, Misdeed.DRIPS_HEADERS], indirect=True)
def test_the_healthy_one_is_served_meanwhile(provider: RemoteProvider) -> None:
    good = [order_of(work()) for _ in range(3)]
    answers = prompt(lambda: provider.start([*bad(3), *good]))
    assert isinstance(answers, list)
    assert all(isinstance(one, OutcomeUnknown | Transient) for one in answers[:3])
    assert all(isinstance(one, str) for one in answers[3:])
    ids = [*answers[3:], *(f"bad//abc{index}" for index in range(5))]

    def done(reports: object) -> bool:
        assert isinstance(reports, dict)
        return all(reports[one].state is ExecutionState.COMPLETED for one in answers[3:])

    polled(lambda: prompt(lambda: provider.poll(ids)), done)
    for order, execution in zip(good, answers[3:], strict=True):
        (outcome,) = provider.result(execution, lambda works=order.works: works)  # type: ignore[misc]
        assert outcome.error is None


@pytest.mark.parametrize("hostile", [Misdeed.DRIPS, Misdeed.FLOODS], indirect=True)
def test_whoever_asks_it_soon_goes_on(provider: RemoteProvider, hostile: Hostile) -> None:
    (order,) = bad(1)
    asks: Sequence[Callable[[], object]] = (
        lambda: provider.start([order]),
        lambda: provider.poll(["bad//abc"]),
        lambda: provider.result("bad//abc", lambda: order.works),
        lambda: provider.stop(["bad//abc"]),
        lambda: provider.start(bad(1)),
        lambda: provider.start([order]),
        lambda: provider.result("bad//abd", lambda: order.works),
    )
    waited: list[float] = []
    for ask in asks:
        began = time.monotonic()
        found = prompt(ask)
        waited.append(time.monotonic() - began)
        (found,) = found if isinstance(found, list) else (found,)
        assert isinstance(found, OutcomeUnknown | Transient | Unavailable)
    # Once it has kept somebody waiting, the next ones wait less.
    assert sorted(waited)[len(asks) // 2] < PATIENCE_S
    assert hostile.asked <= 8


def test_one_that_took_long_for_nothing_is_offline_for_a_while(
    options: Mapping[str, Any], description: Mapping[str, Any]
) -> None:
    with Hostile(Misdeed.DRIPS, description) as hostile:
        provider = create(
            vqpus={"bad": {**options, "url": hostile.url}}, request_timeout_s=PATIENCE_S + 0.2
        )
        assert provider.resources()[0].state is ResourceState.ONLINE
        with pytest.raises((OutcomeUnknown, Transient)):
            raise provider.start(bad(1))[0]  # type: ignore[misc]
        polled(provider.resources, lambda found: "left alone" in (found[0].reason or ""))
        asked = hostile.asked
        assert isinstance(prompt(lambda: provider.poll(["bad//abc"])), Transient)
        assert hostile.asked == asked
        provider.close()


@pytest.mark.parametrize("misdeed", list(Misdeed))
def test_a_request_ends_when_its_time_is_up(misdeed: Misdeed) -> None:
    with Hostile(misdeed) as hostile:
        pool = connections()
        to = Connection("bad", hostile.url, lambda: "token", timeout_s=0.3, pool=pool)
        # What had no time to be sent is sent again.
        told = polled(
            lambda: caught(lambda: to.tell("/api/v1/circuits", {"a": 1}, key="key")),
            lambda told: not isinstance(told, Unavailable),
        )
        assert isinstance(told, OutcomeUnknown)
        asked = polled(
            lambda: caught(lambda: to.ask("GET", "/api/v1/device")),
            lambda told: not isinstance(told, Unavailable),
        )
        assert isinstance(asked, Transient)
        pool.clear()


def test_what_cannot_have_left_is_told_from_what_may_have() -> None:
    pool = connections()
    plain = Connection("gone", "http://127.0.0.1:1", lambda: "token", timeout_s=0.3, pool=pool)
    with Hostile(Misdeed.HANGS) as hostile:
        tls = hostile.url.replace("http", "https")
        deaf = Connection("deaf", tls, lambda: "token", timeout_s=0.3, pool=pool)
        for to in (plain, deaf):
            with pytest.raises(Unavailable):
                to.tell("/api/v1/circuits", {"a": 1}, key="key")
    pool.clear()


# -- what breaks here -------------------------------------------------------------------------
class Broken(Sequence[Pub]):
    """Pubs that cannot be read."""

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: Any) -> Any:
        raise ZeroDivisionError("broken")


def test_what_breaks_before_it_is_sent_is_refused_and_harms_no_other(
    options: Mapping[str, Any], vendor: VqpuVendor
) -> None:
    provider = create(vqpus={"vqpu": options})
    provider.resources()
    broken = Order(key=new_id("exec"), resource="vqpu", works=[replace(work(), pubs=Broken())])
    answers = provider.start([order_of(work()), broken, order_of(work())])
    assert isinstance(answers[1], Rejected)
    assert "before it was sent" in str(answers[1])
    assert vendor.accepted(broken.key) == 0
    ids = [one for one in answers if isinstance(one, str)]
    assert len(ids) == 2
    assert {one.state for one in wait_all(provider, ids).values()} == {ExecutionState.COMPLETED}
    provider.close()


def test_what_breaks_once_it_may_have_left_is_not_known(options: Mapping[str, Any]) -> None:
    provider = create(vqpus={"vqpu": options})
    provider.resources()
    unsendable = Options(seed=object())  # type: ignore[arg-type]
    answers = provider.start([order_of(replace(work(), options=unsendable)), order_of(work())])
    assert isinstance(answers[0], OutcomeUnknown)
    assert isinstance(answers[1], str)
    wait_all(provider, [answers[1]])
    provider.close()


def test_a_result_longer_than_it_can_be_is_not_read(
    options: Mapping[str, Any], vendor: VqpuVendor, description: Mapping[str, Any]
) -> None:
    with Hostile(Misdeed.FLOODS, description) as hostile:
        provider = create(vqpus={"bad": {**options, "url": hostile.url}})
        provider.resources()
        with pytest.raises(Transient, match="more than"):
            provider.result("bad//abc", lambda: [work()])
        provider.close()


def test_one_that_is_not_there_is_not_found(options: Mapping[str, Any]) -> None:
    provider = create(vqpus={"vqpu": options})
    (found,) = start_or_error(provider, order_of(replace(work(), resource="vq9")))
    assert isinstance(found, NotFound)
    provider.close()


def start_or_error(provider: RemoteProvider, order: Order) -> Sequence[str | QuanopyError]:
    try:
        return provider.start([order])
    except QuanopyError as error:
        return [error]
