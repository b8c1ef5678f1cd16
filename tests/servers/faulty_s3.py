"""An S3 server that fails on demand: moto behind a door that refuses or loses replies.

Use it for what a healthy server cannot show. It does not check keys; for that take `S3Server`.
"""

import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

import httpx
from werkzeug.serving import WSGIRequestHandler, make_server

_Environ = dict[str, Any]
_StartResponse = Callable[..., Any]


class FaultyS3Server:
    """An in-memory S3 server on 127.0.0.1 whose next answers can be spoilt."""

    region = "us-east-1"
    access_key = "test"
    secret_key = "test"

    def __init__(self, *, bucket: str = "quanopy") -> None:
        # It takes longer to load than all else that tests share.
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

        self.bucket = bucket
        self.requests = 0
        self._refusals: list[int] = []
        self._lost_replies = 0
        self._lock = threading.Lock()
        self._backend = DomainDispatcherApplication(create_backend_app)
        self._cleanup = ExitStack()

    @property
    def endpoint(self) -> str:
        """The server's URL."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def config(self) -> Mapping[str, str]:
        """What obstore's `S3Store.from_url` takes as its `config`, plain http aside."""
        return {
            "endpoint": self.endpoint,
            "region": self.region,
            "access_key_id": self.access_key,
            "secret_access_key": self.secret_key,
        }

    def refuse(self, count: int, *, status: int = 503) -> None:
        """Answer the next `count` requests with `status` and do nothing."""
        with self._lock:
            self._refusals += [status] * count

    def lose_replies(self, count: int) -> None:
        """Do what the next `count` requests ask, then hang up without an answer."""
        with self._lock:
            self._lost_replies += count

    def create_bucket(self, name: str) -> None:
        """Create another bucket."""
        httpx.put(f"{self.endpoint}/{name}", timeout=10, verify=False).raise_for_status()

    def __enter__(self) -> Self:
        self._server = make_server(
            "127.0.0.1", 0, self._answer, threaded=True, request_handler=_SilentHandler
        )
        thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        thread.start()
        with ExitStack() as cleanup:
            cleanup.callback(thread.join, 10)
            cleanup.callback(self._server.server_close)
            cleanup.callback(self._server.shutdown)
            httpx.post(
                f"{self.endpoint}/moto-api/reset", timeout=10, verify=False
            ).raise_for_status()
            self.create_bucket(self.bucket)
            self.requests = 0
            self._cleanup = cleanup.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._cleanup.close()

    def _answer(self, environ: _Environ, start_response: _StartResponse) -> Iterable[bytes]:
        with self._lock:
            self.requests += 1
            status = self._refusals.pop(0) if self._refusals else None
            lose = status is None and self._lost_replies > 0
            self._lost_replies -= lose
        if status is not None:
            start_response(f"{status} Refused", [("Content-Length", "0")])
            return []
        answer: Iterable[bytes] = self._backend(environ, start_response)
        if lose:
            _hang_up(environ)
        return answer


class _SilentHandler(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        pass


def _hang_up(environ: _Environ) -> None:
    connection: socket.socket = environ["werkzeug.socket"]
    connection.shutdown(socket.SHUT_RDWR)
