"""Wake-ups beside a SQLite file: datagrams on unix sockets, 0.3 ms to another process."""

import contextlib
import errno
import logging
import os
import selectors
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from quanopy.domain.errors import Unavailable
from quanopy.ports.wakeups import Topic
from quanopy.storage.subscribers import Callback, Subscribers

_LONGEST_ADDRESS = 100
"""Bytes; a unix socket's address has room for 107 on Linux and 103 elsewhere."""
_log = logging.getLogger(__name__)


class SqliteWakeups:
    """Hints between the processes that share one SQLite file.

    Each instance binds one socket a topic in ``<db>.wake/``; whoever notifies sends to all it
    finds there for the topic. A topic has a socket of its own because a queue holds few
    datagrams (10 on Linux): where it is full, its listener has yet to see a hint of that very
    topic, and one more would tell it nothing.
    """

    def __init__(self, db_path: Path) -> None:
        """``db_path``: the SQLite file, there or not; its folder must be writable.

        Raises:
            Unavailable: the sockets cannot be made.
        """
        self._subscribers = Subscribers()
        self._name = f"{os.getpid()}-{uuid4().hex[:8]}"
        self._selector = selectors.DefaultSelector()
        self._sending = threading.Lock()
        self._closed = False
        try:
            self._open(Path(f"{db_path}.wake"))
        except OSError as error:
            raise Unavailable(
                f"no wake-ups beside {db_path}: {error.strerror or error}",
                hint="Its folder must be writable, on a local disk that allows unix sockets.",
            ) from error
        self._thread = threading.Thread(target=self._listen, name="wakeups", daemon=True)
        self._thread.start()

    def notify(self, *topics: Topic) -> None:
        """Call this instance's listeners now, and send to all others."""
        self._subscribers.call(topics)
        with self._sending:
            if not self._closed:
                for topic in topics:
                    self._send(topic)

    def subscribe(self, topic: Topic, callback: Callback) -> Callable[[], None]:
        """See :class:`~quanopy.ports.wakeups.Wakeups`."""
        return self._subscribers.add(topic, callback)

    def close(self) -> None:
        """Stop listening and take the sockets away; idempotent."""
        with self._sending:
            if self._closed:
                return
            self._closed = True
            for topic in Topic:
                self._forget(self._file_name(topic))
            self._sender.close()
            os.close(self._descriptor)
        self._stop.send(b"x")
        if threading.current_thread() is not self._thread:
            self._thread.join()
        self._stop.close()

    def _open(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, exist_ok=True)
        self._directory = directory
        # Reaches a folder whose own path would be too long for an address.
        self._descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        self._sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sender.setblocking(False)
        self._stop, stopped = socket.socketpair()
        self._selector.register(stopped, selectors.EVENT_READ, None)
        for topic in Topic:
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            listener.setblocking(False)
            listener.bind(self._address(self._file_name(topic)))
            self._selector.register(listener, selectors.EVENT_READ, topic)

    def _file_name(self, topic: Topic) -> str:
        return f"{topic}.{self._name}.sock"

    def _address(self, name: str) -> str:
        direct = str(self._directory / name)
        if len(os.fsencode(direct)) <= _LONGEST_ADDRESS:
            return direct
        return f"/proc/self/fd/{self._descriptor}/{name}"

    def _send(self, topic: Topic) -> None:
        own = self._file_name(topic)
        try:
            names = os.listdir(self._descriptor)  # noqa: PTH208 -- no Path for a descriptor
        except OSError as error:
            _log.warning("wake-ups were not sent: %s", error)
            return
        for name in names:
            if name.startswith(f"{topic}.") and name != own:
                self._send_to(name)

    def _send_to(self, name: str) -> None:
        try:
            self._sender.sendto(b"", self._address(name))
        except BlockingIOError:
            pass  # it has not seen its last hints yet, so it will look after this one
        except OSError as error:
            if error.errno == errno.ECONNREFUSED:
                self._forget(name)  # its process is gone
            elif error.errno not in (errno.ENOENT, errno.ENOBUFS):
                _log.warning("a wake-up was not sent: %s", error)

    def _forget(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._descriptor)

    def _listen(self) -> None:
        while not self._closed:
            ready = [key for key, _ in self._selector.select()]
            topics = [key.data for key in ready if key.data is not None and _drain(key.fileobj)]
            self._subscribers.call(topics)
        self._let_go()

    def _let_go(self) -> None:
        for key in list(self._selector.get_map().values()):
            self._selector.unregister(key.fileobj)
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()


def _drain(listener: object) -> bool:
    """Take all hints that wait, so that they count as one."""
    if not isinstance(listener, socket.socket):
        raise TypeError(f"{listener!r} is no socket")
    taken = False
    with contextlib.suppress(BlockingIOError):
        while True:
            listener.recv(16)
            taken = True
    return taken
