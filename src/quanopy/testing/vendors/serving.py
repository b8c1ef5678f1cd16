"""The HTTP server of a loopback vendor."""

import sys
from collections.abc import Callable
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from quanopy.testing.vendors.messages import Cut, Reply, Request, encoded


class Server(ThreadingHTTPServer):
    """Listens on 127.0.0.1, and has each request answered on a thread of its own."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(
        self,
        port: int,
        answer: Callable[[Request], Reply | Cut],
        clock: Callable[[], datetime],
    ) -> None:
        """``port`` 0 takes a free one; ``clock`` is told by the ``Date`` header."""
        super().__init__(("127.0.0.1", port), _Handler)
        self.answer = answer
        self.clock = clock

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up, or was killed, is no error of the server's."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def _serve(self) -> None:
        split = urlsplit(self.path)
        queries = parse_qsl(split.query, keep_blank_values=True)
        reply = self.server.answer(
            Request(
                method=self.command,
                path=split.path,
                query=dict(queries),
                queries=queries,
                headers={name.lower(): value for name, value in self.headers.items()},
                body=self.rfile.read(int(self.headers.get("Content-Length", 0))),
                connection=self.connection,
            )
        )
        if isinstance(reply, Cut):
            self.wfile.write(reply.data)
            self.close_connection = True
            return
        data = encoded(reply.body)
        self.send_response(reply.status)
        named = {name.lower() for name in reply.headers}
        if "content-type" not in named:
            self.send_header("Content-Type", "application/json")
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def do_PATCH(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The ``Date`` header tells the vendor's clock."""
        return super().date_time_string(timestamp or self.server.clock().timestamp())

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: there is a request a poll."""
