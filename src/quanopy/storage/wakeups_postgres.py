"""Wake-ups through PostgreSQL: LISTEN and NOTIFY, on a connection of their own."""

import contextlib
import logging
import selectors
import socket
import threading
from collections.abc import Callable, Iterable
from typing import Any
from uuid import uuid4

import psycopg
from psycopg.conninfo import make_conninfo

from quanopy.domain.errors import Invalid
from quanopy.ports.wakeups import Topic
from quanopy.storage.subscribers import Callback, Subscribers

_CHANNEL = "quanopy"
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 5.0
_KEEPALIVE = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
_log = logging.getLogger(__name__)


class PostgresWakeups:
    """Hints between all processes that share one database.

    ``listen_dsn`` must reach the server directly: a transaction pooler drops LISTEN silently.
    Hints may be lost while the connection is down, so every topic is called once when it is
    back (and at first).
    """

    def __init__(self, listen_dsn: str) -> None:
        """Returns at once, whether or not the database is there.

        Raises:
            Invalid: ``listen_dsn`` is no address of a PostgreSQL database.
        """
        try:
            self._dsn = make_conninfo(listen_dsn, **_KEEPALIVE)
        except psycopg.ProgrammingError:  # its text repeats the address, password and all
            raise Invalid("the address to listen at is none of a PostgreSQL database") from None
        self._name = uuid4().hex
        self._subscribers = Subscribers()
        self._closed = threading.Event()
        self._pending: set[Topic] = set()
        self._lock = threading.Lock()
        self._woken, self._wake = socket.socketpair()
        self._wake.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="wakeups", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return "<PostgresWakeups>"

    def notify(self, *topics: Topic) -> None:
        """Call this instance's listeners now; the others are told by a thread, and hints that
        come while it is busy go out as one."""
        self._subscribers.call(topics)
        with self._lock:
            self._pending.update(topics)
        self._ring()

    def subscribe(self, topic: Topic, callback: Callback) -> Callable[[], None]:
        """See :class:`~quanopy.ports.wakeups.Wakeups`."""
        return self._subscribers.add(topic, callback)

    def close(self) -> None:
        """Send what is pending if the database is there, and stop listening; idempotent."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._ring()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout=2 * _KEEPALIVE["connect_timeout"])

    def _ring(self) -> None:
        """Wake the thread; one ring is enough for all that came before it wakes."""
        with contextlib.suppress(BlockingIOError):
            self._wake.send(b"x")

    # -- the thread ---------------------------------------------------------------------------
    def _run(self) -> None:
        """Listen and send on one connection, and on another whenever it broke, until closed."""
        pause_s = _FIRST_PAUSE_S
        while not self._closed.is_set():
            try:
                with psycopg.connect(self._dsn, autocommit=True) as connection:
                    connection.prepare_threshold = None
                    # A hint is worth no sync to disk.
                    connection.execute(f"SET synchronous_commit = off; LISTEN {_CHANNEL}")
                    pause_s = _FIRST_PAUSE_S
                    self._subscribers.call(Topic)
                    self._follow(connection)
            except psycopg.Error as error:
                _log.warning("no wake-ups through the database: %s", type(error).__name__)
                self._closed.wait(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _follow(self, connection: psycopg.Connection[Any]) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(connection.fileno(), selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while not self._closed.is_set() or self._pending:
                for key, _ in selector.select() if not self._pending else ():
                    if key.fileobj is self._woken:
                        self._woken.recv(4096)
                self._send_pending(connection)
                payloads = {notice.payload for notice in connection.notifies(timeout=0)}
                self._subscribers.call(self._topics(payloads))

    def _send_pending(self, connection: psycopg.Connection[Any]) -> None:
        with self._lock:
            topics, self._pending = self._pending, set()
        if not topics:
            return
        payload = f"{self._name} {','.join(sorted(topics))}"
        try:
            connection.execute("SELECT pg_notify(%s, %s)", (_CHANNEL, payload))
        except psycopg.Error:
            with self._lock:
                self._pending |= topics
            raise

    def _topics(self, payloads: Iterable[str]) -> list[Topic]:
        """What others hint at; our own listeners were called when we notified."""
        names: set[str] = set()
        for payload in payloads:
            sender, _, text = payload.partition(" ")
            names |= set() if sender == self._name else set(text.split(","))
        return [topic for topic in Topic if topic in names]
