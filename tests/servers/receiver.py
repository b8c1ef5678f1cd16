"""A server that receives webhooks, and answers them as badly as it is told to."""

import contextlib
import socket
import ssl
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import parse_headers
from io import BufferedReader
from pathlib import Path
from threading import Condition, Event, Thread
from types import TracebackType
from typing import Self

import quanopy.webhooks


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One that came whole."""

    line: str
    headers: Mapping[str, str]
    body: bytes
    connection: int
    """The how manieth connection it came over, from 0."""

    @property
    def id(self) -> str:
        """What names the event."""
        return self.headers[quanopy.webhooks.ID]


class Call:
    """A request, and the connection to answer it on."""

    def __init__(self, connection: socket.socket, request: Request, over: Event) -> None:
        self.request = request
        self._connection = connection
        self._over = over

    def send(self, data: bytes) -> None:
        """Answer with these bytes; nobody may be there any more."""
        with contextlib.suppress(OSError):
            self._connection.sendall(data)

    def drip(self, data: bytes, every_s: float = 0.02) -> None:
        """Answer with these bytes one after another, then again from the start, until whoever
        waits for them goes away."""
        try:
            while True:
                for byte in data:
                    self._connection.sendall(bytes([byte]))
                    if self._over.wait(every_s):
                        return
        except OSError:
            return

    def hang(self) -> None:
        """Answer nothing until the other side goes away, or the server ends."""
        self._connection.settimeout(0.05)
        while not self._over.is_set():
            try:
                if not self._connection.recv(1):
                    return
            except TimeoutError:
                continue
            except OSError:
                return


Behaviour = Callable[[Call], bool | None]
"""Answers a request; true where the connection stays."""


def says(status: int, *headers: str, body: bytes = b"") -> Behaviour:
    """Answer with a status, and headers as they are sent."""
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", *headers]
    answer = "\r\n".join([*lines, "", ""]).encode() + body

    def act(call: Call) -> bool:
        call.send(answer)
        return True

    return act


def cut(call: Call) -> None:
    """Close the connection without an answer, though the request has come."""


OK = says(204)


class Receiver:
    """Receives on 127.0.0.1; ``behaviours`` are used one a request, then ``usual``."""

    def __init__(self, *, certificate: tuple[Path, Path] | None = None) -> None:
        self.requests: list[Request] = []
        self.connections = 0
        self.behaviours: deque[Behaviour] = deque()
        self.usual: Behaviour = OK
        self._come = Condition()
        self._over = Event()
        self._context: ssl.SSLContext | None = None
        if certificate is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(*certificate)
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listening.getsockname()[1]
        self._threads = [Thread(target=self._accept, daemon=True)]

    @property
    def url(self) -> str:
        """Where it is, with something in its path that is nobody's business."""
        scheme = "http" if self._context is None else "https"
        return f"{scheme}://127.0.0.1:{self.port}/hooks?key=sesame"

    @property
    def ids(self) -> list[str]:
        """What names the events that came, in order."""
        return [request.id for request in self.requests]

    def await_requests(self, count: int, timeout_s: float = 30.0) -> list[Request]:
        """Once so many have come: all that have."""
        with self._come:
            come = self._come.wait_for(lambda: len(self.requests) >= count, timeout_s)
            assert come, f"{len(self.requests)} of {count} requests came"
            return list(self.requests)

    def await_events(self, count: int, timeout_s: float = 30.0) -> list[Request]:
        """Once so many different events have come: all requests that have."""
        with self._come:
            come = self._come.wait_for(lambda: len(set(self.ids)) >= count, timeout_s)
            assert come, f"{len(set(self.ids))} of {count} events came"
            return list(self.requests)

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            number, self.connections = self.connections, self.connections + 1
            thread = Thread(target=self._serve, args=(connection, number), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError), connection:
            encrypted = (
                connection
                if self._context is None
                else self._context.wrap_socket(connection, server_side=True)
            )
            with encrypted, encrypted.makefile("rb") as stream:
                while not self._over.is_set() and self._answer(encrypted, stream, number):
                    pass

    def _answer(self, connection: socket.socket, stream: BufferedReader, number: int) -> bool:
        line = stream.readline().decode("latin-1").strip()
        if not line:
            return False
        headers = {name.lower(): value for name, value in parse_headers(stream).items()}
        body = stream.read(int(headers.get("content-length", "0")))
        request = Request(line=line, headers=headers, body=body, connection=number)
        behaviour = self.behaviours.popleft() if self.behaviours else self.usual
        with self._come:
            self.requests.append(request)
            self._come.notify_all()
        return bool(behaviour(Call(connection, request, self._over)))
