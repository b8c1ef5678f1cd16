"""A loopback HTTP server that answers as it is told, to see what the client does with faults."""

import json
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import TCPServer, ThreadingMixIn, UnixStreamServer
from threading import Semaphore, Thread
from types import TracebackType
from typing import Any, Self

from quanopy.domain.errors import QuanopyError
from quanopy.wire.problems import MEDIA_TYPE, to_problem


@dataclass(frozen=True)
class Answer:
    """An answer; ``lost``: the connection is cut instead; ``closes``: it is cut afterwards."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    lost: bool = False
    closes: bool = False


@dataclass(frozen=True)
class Seen:
    """A request that came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


def document(value: Any, status: int = 200) -> Answer:
    """A JSON answer."""
    return Answer(status, json.dumps(value).encode())


def problem(error: QuanopyError, **headers: str) -> Answer:
    """The answer a broker gives for an error."""
    shown = to_problem(error)
    body = shown.model_dump_json(exclude_none=True).encode()
    return Answer(shown.status, body, {"Content-Type": MEDIA_TYPE, **headers})


def stream(*events: str) -> Answer:
    """The answer that is an event stream."""
    return Answer(body="".join(events).encode(), headers={"Content-Type": "text/event-stream"})


LOST = Answer(lost=True)


class _TcpServer(ThreadingMixIn, TCPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *how: Any) -> None:
        self.connections = 0
        self.closed = Semaphore(0)
        super().__init__(*how)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections += 1
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        self.closed.release()


class _UnixServer(_TcpServer, UnixStreamServer):
    pass


class Stub:
    """Gives these answers in turn, the last one for ever; or what a function says. On TCP, with
    TLS if there is ``tls``, or on a unix socket."""

    def __init__(
        self,
        *answers: Answer | Callable[[Seen], Answer],
        tls: ssl.SSLContext | None = None,
        socket_path: Path | None = None,
    ) -> None:
        self.seen: list[Seen] = []
        self._answers = list(answers)
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                seen = Seen(
                    self.command, self.path, dict(self.headers.items()), self.rfile.read(length)
                )
                answer = stub.next(seen)
                if answer.lost:
                    self.connection.shutdown(socket.SHUT_RDWR)
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)
                self.close_connection |= answer.closes

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815 - its names

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self._server: _TcpServer
        if socket_path is not None:
            self._server = _UnixServer(str(socket_path), Handler)
            self.url = f"unix://{socket_path}"
        else:
            self._server = _TcpServer(("127.0.0.1", 0), Handler)
            self.url = f"http{'s' if tls else ''}://127.0.0.1:{self._server.server_address[1]}"
        if tls is not None:
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def connections(self) -> int:
        """How many have been made to it."""
        return self._server.connections

    def await_closed(self) -> None:
        """Once it has closed a connection."""
        assert self._server.closed.acquire(timeout=60)

    def next(self, seen: Seen) -> Answer:
        """Note a request, and what to answer."""
        self.seen.append(seen)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return answer(seen) if callable(answer) else answer

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
