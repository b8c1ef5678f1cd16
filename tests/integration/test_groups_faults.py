"""Groups while everything around them is killed, goes away, or is changed by somebody else."""

import random
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from quanopy.client import Client, drafts
from quanopy.client.groups import Group
from quanopy.domain.errors import Conflict, Denied, NotFound, QuanopyError
from quanopy.domain.groups import GroupState
from quanopy.domain.states import JobState
from quanopy.server.run import Embedded
from quanopy.server.settings import Settings
from quanopy.testing.fake_vendor import TOKEN
from quanopy.wire.service import TokenIn
from tests.integration.chaos import BELL, Broker, all_events
from tests.integration.test_chaos import wait_for_resource
from tests.servers import PostgresServer
from tests.servers.vendor import FakeVendorServer

PATIENCE_S = 100.0
IN_FLIGHT, JOBS, MANY = 3, 60, 2000
AWAY_S = 12.0
"""Longer than anybody waits for a connection to it."""


@pytest.fixture
def vendor() -> Iterator[FakeVendorServer]:
    with FakeVendorServer(run_s=0.05, idempotent=True) as vendor:
        yield vendor


def options(vendor: FakeVendorServer) -> dict[str, object]:
    """How the vendor is spoken to."""
    return {
        "url": vendor.url,
        "token": TOKEN,
        "mode": "idempotent",
        "poll_interval_s": 0.1,
        "request_timeout_s": 1.5,
        "visibility_delay_s": 0.3,
    }


@pytest.fixture
def broker(vendor: FakeVendorServer, tmp_path: Path) -> Iterator[Broker]:
    database = f"sqlite:///{tmp_path / 'catalogue.db'}"
    broker = Broker(tmp_path, database, workers=2, options=options(vendor))
    broker.start()
    yield broker
    broker.stop()


def ready(broker: Broker) -> Client:
    """A client of a broker that serves the vendor's machine."""
    broker.wait_ready()
    wait_for_resource(broker)
    return Client(broker.url, broker.token)


def bell() -> drafts.Draft:
    return drafts.programs(BELL, resource="fake", shots=10)


def in_flight(events: list[dict[str, Any]], ids: set[str]) -> int:
    """How many of these jobs ran at once, at most."""
    running: set[str] = set()
    most = 0
    for event in events:
        if event["subject"] in ids and event["kind"] == "job.running":
            running.add(event["subject"])
        elif event["subject"] in ids and event["after"] in ("completed", "failed", "cancelled"):
            running.discard(event["subject"])
        most = max(most, len(running))
    return most


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_groups_survive_kills_in_gaps_in_steps_and_while_they_are_cancelled(
    broker: Broker, vendor: FakeVendorServer
) -> None:
    with ready(broker) as client:
        steady = client.group("steady", order="sequential", max_in_flight=IN_FLIGHT)
        steady.extend([bell() for _ in range(JOBS)])
        slow = client.group("slow", order="sequential", gap=1.0)
        slow.extend([bell() for _ in range(5)])
        dropped = client.group("dropped", max_in_flight=1)
        dropped.extend([bell() for _ in range(MANY)])
        for group in (steady, slow, dropped):
            group.run()
        dice = random.Random(7)
        broker.kill_at_random(dice, 3, pause_s=0.7)
        broker.wait_ready()
        asked(dropped.cancel)
        broker.kill_at_random(dice, 6, pause_s=0.7)
        broker.wait_ready()
        for group in (steady, slow):
            done = group.wait(PATIENCE_S)
            assert (done.state, done.progress.completed) == (GroupState.DONE, done.size)
        over = dropped.wait(PATIENCE_S)
        assert over.state is GroupState.CANCELLED
        assert over.progress.cancelled + over.progress.completed == MANY
        ids = {job.id for job in steady.jobs()}
        accepted = vendor.counts()["accepted"]
        assert Counter(accepted.values()) == {1: len(accepted)}
        assert in_flight(all_events(broker), ids) <= IN_FLIGHT
        ended = [job.detail() for job in slow.jobs()]
        for before, after in pairwise(ended):
            assert before.ended_at is not None
            assert after.started_at is not None
            assert (after.started_at - before.ended_at).total_seconds() >= 1.0


def asked(action: Any) -> None:
    """Ask until somebody answers."""
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            action()
        except QuanopyError:
            assert time.monotonic() < until
            time.sleep(0.1)
        else:
            return


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.timeout(240)
def test_a_group_goes_on_after_its_database_was_away(
    vendor: FakeVendorServer, tmp_path: Path
) -> None:
    with PostgresServer() as server, server.database() as dsn:
        broker = Broker(tmp_path, dsn, workers=2, options=options(vendor))
        broker.start()
        try:
            with ready(broker) as client:
                group = client.group("away", order="sequential", gap=0.2)
                group.extend([bell() for _ in range(10)])
                group.run()
                group.jobs()[2].wait(timeout=PATIENCE_S)
                server.kill()
                time.sleep(AWAY_S)
                server.start()
                broker.wait_ready()
                done = group.wait(PATIENCE_S)
                assert (done.state, done.progress.completed) == (GroupState.DONE, 10)
                assert in_flight(all_events(broker), {one.id for one in group.jobs()}) == 1
        finally:
            broker.stop()


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    with Embedded(Settings(data=tmp_path_factory.mktemp("broker"))) as broker:
        yield broker


@pytest.fixture(scope="module")
def client(embedded: Embedded) -> Iterator[Client]:
    with Client(f"unix://{embedded.socket}", embedded.token) as client:
        yield client


def mine() -> drafts.Draft:
    """A job that is done in no time."""
    return drafts.programs(BELL, resource="aer", shots=10)


def test_two_scripts_may_rename_or_delete_a_group_at_once(client: Client) -> None:
    names = [f"name {index}" for index in range(4)]
    for name in names[:2]:
        client.group(name)
    group = client.group("contested")

    def rename(name: str) -> str:
        try:
            return str(group.change(name=name).detail().name)
        except Conflict:
            return "taken"

    with ThreadPoolExecutor(4) as pool:
        came = list(pool.map(rename, names))
    assert came[:2] == ["taken", "taken"]
    assert group.detail().name in names[2:]

    def remove(_: int) -> bool:
        try:
            group.remove()
        except NotFound:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(remove, range(4))) == 1


def test_two_scripts_may_resume_a_group_at_once(client: Client) -> None:
    group = client.group("resumed", order="sequential")
    group.extend([mine() for _ in range(3)])
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: group.resume(), range(4)))
    done = group.wait(PATIENCE_S)
    assert done.progress.completed == 3
    kinds = []
    for event in group.events(after="0.0"):
        kinds.append(event.kind)
        if event.kind == "group.done":
            break
    assert kinds.count("group.running") == 1


def left(client: Client, embedded: Embedded, *, lives_s: float | None) -> Group:
    """A group that is between two jobs, begun with a token that has no more to say by now."""
    (owner, *_) = client.tokens()
    token = client.create_token(TokenIn(account=owner.account, expires_in_s=lives_s))
    name = f"left after {lives_s}"
    with Client(f"unix://{embedded.socket}", token.secret) as laptop:
        try:
            group = laptop.group(name, order="sequential", gap="1h")
            group.extend([mine() for _ in range(2)])
            group.run()
        except Denied:
            assert lives_s is not None
            return left(client, embedded, lives_s=4 * lives_s)  # It was over before that.
        if lives_s is None:
            client.revoke_token(token.id)
        await_denied(group)
    return client.find_group(name)


def await_denied(group: Group) -> None:
    """Until its token is good for nothing."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        try:
            group.detail()
        except Denied:
            return
        time.sleep(0.05)
    pytest.fail("its token is still taken")


@pytest.mark.parametrize("lives_s", [0.5, None], ids=["expired", "revoked"])
def test_a_group_belongs_to_its_account_not_to_the_token(
    client: Client, embedded: Embedded, lives_s: float | None
) -> None:
    group = left(client, embedded, lives_s=lives_s)
    group.jobs()[0].wait(timeout=PATIENCE_S)
    assert group.detail().progress.blocked == 1
    group.change(order="sequential", gap=0.1)
    assert group.wait(PATIENCE_S).progress.completed == 2


def test_a_group_waits_for_a_resource_that_went_away(client: Client) -> None:
    group = client.group("offline", order="sequential")
    group.extend([mine() for _ in range(2)])
    client.set_resource_state("aer", "maintenance")
    group.run()
    first, second = group.jobs()
    until = time.monotonic() + PATIENCE_S
    while first.detail().blocked:
        assert time.monotonic() < until
        time.sleep(0.02)
    # Whoever looks for work has looked since.
    client.submit(BELL, resource="aer-mps", shots=10).result(PATIENCE_S)
    assert (first.status(), second.detail().blocked) == (JobState.QUEUED, True)
    assert group.detail().state is GroupState.RUNNING
    client.set_resource_state("aer", "online")
    assert group.wait(PATIENCE_S).progress.completed == 2
