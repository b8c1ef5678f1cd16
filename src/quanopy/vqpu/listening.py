"""The HTTP server of a vQPU: requests are bounded here and answered by the :class:`Api`."""

import asyncio
import contextlib
import json
import socket
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from threading import Event, Thread
from typing import Any

import uvicorn

from quanopy.domain.errors import Unavailable
from quanopy.server.settings import Settings
from quanopy.vqpu.api import Answer, Api

BODY_LIMIT = 64 * 1024 * 1024
BODY_S = 60.0
START_S = 30.0
_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]


class _App:
    """The ASGI application."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in _pairs(scope)}
        try:
            async with asyncio.timeout(BODY_S):
                body = await _body(receive)
        except TimeoutError:
            answer = Answer(status=408, body={"message": "the body did not arrive in time"})
        else:
            if body is None:
                answer = Answer(status=413, body={"message": f"more than {BODY_LIMIT} bytes"})
            else:
                # Its path as it was sent: no route has anything that would be quoted.
                answer = await asyncio.to_thread(
                    self._api.answer, scope["method"], scope["path"], headers, body
                )
        data = await asyncio.to_thread(_json, answer)
        sent = {"content-type": "application/json", "content-length": str(len(data))}
        sent |= {name.lower(): value for name, value in answer.headers.items()}
        rows = [(name.encode(), value.encode()) for name, value in sent.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": rows})
        await send({"type": "http.response.body", "body": data})


def _pairs(scope: _Message) -> list[tuple[bytes, bytes]]:
    pairs: list[tuple[bytes, bytes]] = scope["headers"]
    return pairs


async def _body(receive: _Receive) -> bytes | None:
    """The request's body; ``None`` where it is too large."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > BODY_LIMIT:
            return None
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


def _json(answer: Answer) -> bytes:
    return json.dumps(answer.body, separators=(",", ":")).encode()


class _Server(uvicorn.Server):
    """uvicorn, with its signals left to whoever runs it."""

    def __init__(self, config: uvicorn.Config, started: Event) -> None:
        super().__init__(config)
        self._started_event = started

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._started_event.set()


@contextlib.contextmanager
def answering(api: Api, settings: Settings, bound: socket.socket) -> Iterator[None]:
    """Answer requests on a bound socket, in a thread; raises :class:`Unavailable`."""
    started = Event()
    config = uvicorn.Config(
        _App(api),
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=5,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
    )
    server = _Server(config, started)
    thread = Thread(target=server.run, kwargs={"sockets": [bound]}, name="http", daemon=True)
    thread.start()
    if not started.wait(START_S):
        server.should_exit = True
        raise Unavailable("the HTTP server did not start")
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(10)
