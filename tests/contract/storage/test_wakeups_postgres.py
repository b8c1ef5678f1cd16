"""Wake-ups through PostgreSQL keep their contract, and outlive their connections."""

import threading
import time
from collections.abc import Callable, Iterator

import psycopg
import pytest

from quanopy.domain.errors import Invalid
from quanopy.ports.wakeups import Topic, Wakeups
from quanopy.storage.wakeups import open_wakeups
from quanopy.storage.wakeups_postgres import PostgresWakeups
from quanopy.testing.wakeups_contract import PATIENCE_S, Bell, WakeupsContract
from tests.servers import PostgresServer

pytestmark = pytest.mark.postgres
_LAST = list(Topic)[-1]


def _connected(dsn: str) -> PostgresWakeups:
    """One that listens already, and has made its first call of all topics."""
    wakeups, last = PostgresWakeups(dsn), Bell()
    stop = wakeups.subscribe(_LAST, last)
    deadline = time.monotonic() + PATIENCE_S
    with psycopg.connect(dsn, autocommit=True) as other:
        while not last.rang(within_s=0.02):
            other.execute("SELECT pg_notify('quanopy', %s)", [f"a-test {_LAST}"])
            assert time.monotonic() < deadline, "it never came to listen"
    stop()
    return wakeups


@pytest.fixture
def connected_pair(postgres_dsn: str) -> Iterator[tuple[Wakeups, Wakeups]]:
    here, there = _connected(postgres_dsn), _connected(postgres_dsn)
    yield here, there
    here.close()
    there.close()


class TestPostgresWakeups(WakeupsContract):
    @pytest.fixture
    def pair(self, connected_pair: tuple[Wakeups, Wakeups]) -> tuple[Wakeups, Wakeups]:
        return connected_pair


def _break_connections(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )


def test_broken_connections_come_back_and_every_topic_rings(
    postgres_dsn: str, connected_pair: tuple[Wakeups, Wakeups]
) -> None:
    here, there = connected_pair
    bells = {topic: Bell() for topic in Topic}
    for topic, bell in bells.items():
        there.subscribe(topic, bell)
    _break_connections(postgres_dsn)
    assert all(bell.rang() for bell in bells.values())
    bells[Topic.WORK].reset()
    here.notify(Topic.WORK)
    assert bells[Topic.WORK].rang()


def test_a_server_that_was_away_is_found_again() -> None:
    with PostgresServer() as server:
        here, there = _connected(server.dsn), _connected(server.dsn)
        bell = Bell()
        server.kill()
        there.subscribe(Topic.CANCEL, bell)
        here.notify(Topic.WORK)
        server.start()
        assert bell.rang()
        bell.reset()
        here.notify(Topic.CANCEL)
        assert bell.rang()
        here.close()
        there.close()


def test_hints_that_come_together_go_out_together(
    postgres_dsn: str, record_property: Callable[[str, object], None]
) -> None:
    wakeups = _connected(postgres_dsn)
    with psycopg.connect(postgres_dsn, autocommit=True) as observer:
        observer.execute("LISTEN quanopy")
        start = time.perf_counter()
        for _ in range(1000):
            wakeups.notify(Topic.WORK, Topic.EVENTS)
        called_s = time.perf_counter() - start
        wakeups.close()
        with psycopg.connect(postgres_dsn, autocommit=True) as other:
            other.execute("NOTIFY quanopy, 'that was all'")
        heard: list[str] = []
        while "that was all" not in heard:
            more = list(observer.notifies(timeout=PATIENCE_S, stop_after=1))
            assert more, "nothing came"
            heard += [notice.payload for notice in more]
    sent = heard.index("that was all")
    record_property("ms_for_1000_calls", called_s * 1e3)
    record_property("notifications", sent)
    assert 1 <= sent < 1000


def test_closing_without_a_database_ends_its_thread() -> None:
    before = set(threading.enumerate())
    wakeups = PostgresWakeups("postgresql://127.0.0.1:1/none")
    wakeups.notify(Topic.WORK)
    (own,) = {one for one in threading.enumerate() if one.name == "wakeups"} - before
    wakeups.close()
    assert not own.is_alive()


def test_nothing_of_the_address_is_shown(caplog: pytest.LogCaptureFixture) -> None:
    wakeups = PostgresWakeups("postgresql://somebody:hunter2@127.0.0.1:1/none")
    wakeups.close()
    assert "hunter2" not in caplog.text + repr(wakeups)


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg"])
def test_a_postgres_url_opens_them(postgres_dsn: str, scheme: str) -> None:
    wakeups = open_wakeups(postgres_dsn.replace("postgresql", scheme, 1))
    bell = Bell()
    wakeups.subscribe(Topic.CANCEL, bell)
    assert bell.rang()
    wakeups.close()


def test_a_direct_connection_goes_before_a_pooled_one(postgres_dsn: str) -> None:
    wakeups = open_wakeups("postgresql://127.0.0.1:1/none", listen_dsn=postgres_dsn)
    bell = Bell()
    wakeups.subscribe(Topic.CANCEL, bell)
    assert bell.rang()
    wakeups.close()


def test_an_address_that_is_none_is_refused_and_not_shown() -> None:
    with pytest.raises(Invalid) as caught:
        PostgresWakeups("hunter2 is no address")
    assert "hunter2" not in str(caught.value)
