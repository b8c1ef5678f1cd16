"""Requests that end when their time is up, however steadily an answer drips.

A client's time-out is of each read: who answers a byte at a time would hold a thread for ever. So
the connection that carries a request is cut off at a deadline for the request as a whole.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError

_current = threading.local()


class Deadline:
    """The time that one request of one thread has."""

    def __init__(self) -> None:
        self.sent = False
        """Whether anything of the request may have left."""
        self.over = False
        self._lock = threading.Lock()
        self._carrying: set[HTTPConnection] = set()

    def carry(self, connection: HTTPConnection) -> None:
        """Cut this connection off, too, when the time is up; raises where it is up already."""
        with self._lock:
            if self.over:
                raise ConnectTimeoutError(connection, "the time for the request is up")
            self._carrying.add(connection)

    def end(self) -> None:
        """The time is up."""
        with self._lock:
            self.over = True
            for connection in self._carrying:
                if connection.sock is not None:
                    with suppress(OSError):  # it has ended by itself meanwhile
                        connection.sock.shutdown(socket.SHUT_RDWR)


@contextmanager
def ended_after(seconds: float) -> Iterator[Deadline]:
    """Cut off what this thread asks in the block after so long."""
    deadline = _current.deadline = Deadline()
    watch = threading.Timer(seconds, deadline.end)
    watch.daemon = True
    watch.start()
    try:
        yield deadline
    finally:
        watch.cancel()
        _current.deadline = None


class _Timed(HTTPConnection):
    """Known to the request that it carries."""

    def connect(self) -> None:
        super().connect()
        _carried_by(self)

    def request(self, *args: Any, **how: Any) -> None:
        _carried_by(self)
        super().request(*args, **how)

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        if (deadline := _carried_by(self)) is not None:
            deadline.sent = True
        super().send(data)


class _TimedTls(_Timed, HTTPSConnection):
    """The same, over TLS."""


def _carried_by(connection: HTTPConnection) -> Deadline | None:
    deadline: Deadline | None = getattr(_current, "deadline", None)
    if deadline is not None:
        deadline.carry(connection)
    return deadline


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Timed


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TimedTls


def connections() -> PoolManager:
    """What requests to vQPUs go through."""
    pool = PoolManager(maxsize=16, num_pools=256)
    pool.pool_classes_by_scheme = {"http": _PlainPool, "https": _TlsPool}
    return pool
