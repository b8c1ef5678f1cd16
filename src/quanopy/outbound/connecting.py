"""Connections to addresses that were judged, none of which outlasts its deadline."""

import socket
import ssl
import time
from collections.abc import Callable, Iterable, Sequence
from queue import Empty, SimpleQueue
from threading import BoundedSemaphore, Lock, Thread
from typing import Any

from httpcore import (
    ConnectError,
    ConnectTimeout,
    NetworkBackend,
    NetworkStream,
    ReadTimeout,
    SyncBackend,
    WriteTimeout,
)

from quanopy.ports.sender import Refused
from quanopy.services.egress import Address, parsed

CONNECT_S = 5.0
_LOOKUPS = 32
"""Names that may be looked up at the same time: a resolver cannot be told to stop."""
_SHARE = 16_384

Resolve = Callable[[str], Sequence[str]]
"""The addresses of a name; raises ``OSError``."""


def resolve(host: str) -> Sequence[str]:
    """As this machine does."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Deadline:
    """When what is under way must have ended."""

    def __init__(self) -> None:
        self._at = float("-inf")

    def set(self, seconds: float) -> None:
        """So long from now."""
        self._at = time.monotonic() + seconds

    def shorten(self, seconds: float) -> None:
        """At most so long from now."""
        self._at = min(self._at, time.monotonic() + seconds)

    @property
    def left(self) -> float:
        """Seconds; 0 once it has passed."""
        return max(0.0, self._at - time.monotonic())


class Sockets:
    """Those that are open, so that they can be shut under those who wait at them."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._open: set[socket.socket] = set()
        self._shut = False

    def add(self, one: socket.socket) -> None:
        """Raises :class:`Refused` once they were shut."""
        with self._lock:
            if self._shut:
                raise Refused("the broker stops")
            self._open.add(one)

    def remove(self, one: socket.socket) -> None:
        """It is closed."""
        with self._lock:
            self._open.discard(one)

    def shut(self) -> None:
        """Whoever waits at one gets an error, and no more are opened."""
        with self._lock:
            self._shut = True
            for one in self._open:
                try:
                    # Not as TLS does, which would say goodbye first.
                    socket.socket.shutdown(one, socket.SHUT_RDWR)
                except OSError:
                    continue  # it is shut already


class Lookups:
    """Looks names up, each on a thread that is left behind if it takes too long."""

    def __init__(self, resolve: Resolve = resolve) -> None:
        self._resolve = resolve
        self._room = BoundedSemaphore(_LOOKUPS)

    def addresses(self, host: str, within_s: float) -> list[Address]:
        """Of a name, or the one that it is; raises :class:`Refused`."""
        try:
            return [parsed(host)]
        except ValueError:
            return self._look_up(host, within_s)

    def _look_up(self, host: str, within_s: float) -> list[Address]:
        if not self._room.acquire(blocking=False):
            raise Refused("too many names are being looked up")
        answers: SimpleQueue[Sequence[str] | OSError | UnicodeError] = SimpleQueue()

        def ask() -> None:
            try:
                answers.put(self._resolve(host))
            except (OSError, UnicodeError) as error:
                answers.put(error)
            finally:
                self._room.release()

        Thread(target=ask, name="look-up", daemon=True).start()
        try:
            found = answers.get(timeout=within_s)
        except Empty:
            raise Refused("its name could not be looked up in time") from None
        if isinstance(found, Exception) or not found:
            raise Refused("its name has no address")
        return [parsed(address) for address in found]


class Connecting(NetworkBackend):
    """Looks a name up, has every address judged, and connects to one of these addresses."""

    def __init__(
        self,
        *,
        check: Callable[[Address], None],
        deadline: Deadline,
        lookups: Lookups,
        sockets: Sockets,
    ) -> None:
        """``check`` raises for an address that may not be reached."""
        self._check = check
        self._deadline = deadline
        self._lookups = lookups
        self._sockets = sockets
        self._plain = SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> NetworkStream:
        """Connect to the first of its addresses that answers."""
        until = min(CONNECT_S, self._deadline.left)
        began = time.monotonic()
        addresses = self._lookups.addresses(host, until)
        for address in addresses:
            self._check(address)
        failure: Exception = ConnectTimeout()
        for tried, address in enumerate(addresses):
            left = until - (time.monotonic() - began)
            if left <= 0:
                break
            try:
                share = left / (len(addresses) - tried)
                stream = self._plain.connect_tcp(str(address), port, share)
                return Bounded(stream, self._deadline, self._sockets)
            except (ConnectError, ConnectTimeout) as error:
                failure = error
        raise failure


class Bounded(NetworkStream):
    """A connection on which nothing goes on past the deadline, however little comes at a time."""

    def __init__(self, stream: NetworkStream, deadline: Deadline, sockets: Sockets) -> None:
        self._stream = stream
        self._deadline = deadline
        self._sockets = sockets
        self._socket: socket.socket = stream.get_extra_info("socket")
        try:
            sockets.add(self._socket)
        except Refused:
            stream.close()
            raise

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What has come; raises ``ReadTimeout``."""
        return self._stream.read(max_bytes, self._left(ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send it all; raises ``WriteTimeout``."""
        for start in range(0, len(buffer), _SHARE):
            self._stream.write(buffer[start : start + _SHARE], self._left(WriteTimeout))

    def close(self) -> None:
        """Idempotent."""
        self._sockets.remove(self._socket)
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> NetworkStream:
        """The same connection, encrypted; its handshake is bounded as a whole."""
        left = self._left(ConnectTimeout)
        self._sockets.remove(self._socket)  # TLS takes the socket over, and closes it if it fails
        stream = self._stream.start_tls(ssl_context, server_hostname, left)
        return Bounded(stream, self._deadline, self._sockets)

    def get_extra_info(self, info: str) -> Any:
        """See httpcore."""
        return self._stream.get_extra_info(info)

    def _left(self, late: type[Exception]) -> float:
        left = self._deadline.left
        if left <= 0:
            raise late
        return left
