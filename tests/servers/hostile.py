"""A vQPU of a stranger who means harm: it describes itself well, and then misbehaves."""

import contextlib
import json
import socket
import threading
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Self

_PIECE = 1 << 16


class Misdeed(StrEnum):
    """What it does instead of answering."""

    HANGS = "hangs"
    DRIPS = "drips"
    """A byte at a time, without end, as the body of an answer."""
    DRIPS_HEADERS = "drips headers"
    FLOODS = "floods"
    """As fast as it is read, without end."""


class Hostile:
    """Answers ``GET /api/v1/device`` with a description, if it has one; nothing else."""

    def __init__(self, misdeed: Misdeed, description: Mapping[str, Any] | None = None) -> None:
        self._misdeed = misdeed
        self._description = description
        self._ended = threading.Event()
        self._counting = threading.Lock()
        self.asked = 0
        """Requests that it took and did not answer."""

    def __enter__(self) -> Self:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            head = connection.recv(_PIECE)
            if head.startswith(b"GET /api/v1/device ") and self._description is not None:
                body = json.dumps(self._description).encode()
                head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
                connection.sendall(head % len(body) + body)
                return
            with self._counting:
                self.asked += 1
            self._misbehave(connection)

    def _misbehave(self, connection: socket.socket) -> None:
        started = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        match self._misdeed:
            case Misdeed.HANGS:
                self._ended.wait()
            case Misdeed.DRIPS:
                connection.sendall(started + b"Content-Length: 1000000000\r\n\r\n")
                self._repeat(connection, b" ", every_s=0.1)
            case Misdeed.DRIPS_HEADERS:
                connection.sendall(started + b"X-Long: ")
                self._repeat(connection, b"a", every_s=0.1)
            case Misdeed.FLOODS:
                connection.sendall(started + b"Connection: close\r\n\r\n[")
                self._repeat(connection, b"0," * (_PIECE // 2), every_s=0.0)

    def _repeat(self, connection: socket.socket, data: bytes, *, every_s: float) -> None:
        while not self._ended.wait(every_s):
            connection.sendall(data)
