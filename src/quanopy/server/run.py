"""Running the server: ``quanopy serve`` in the foreground, or embedded in a program."""

import contextlib
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread, current_thread, main_thread
from types import TracebackType
from typing import Self

import uvicorn

from quanopy.domain.errors import Unavailable
from quanopy.server.app import create_app
from quanopy.server.listening import BACKLOG, check_certificate, check_exposure, listening
from quanopy.server.logs import set_up_logging
from quanopy.server.owner import announced, open_folder, owner_token, sole
from quanopy.server.protocol import BoundedProtocol
from quanopy.server.settings import Settings
from quanopy.server.web import Web
from quanopy.server.wiring import build
from quanopy.server.working import PRIVATE, settle_down, working

SWITCH_S = 0.0005
"""How long a thread may keep others from running: with Python's 5 ms, each thread that comes back
from the disk waits for the event loop as long as the disk took."""
START_S = 60.0
"""How long an embedded server may take to start."""
logger = logging.getLogger(__name__)


class HttpServer(uvicorn.Server):
    """uvicorn, which lets waiting callers go before it waits for them."""

    def __init__(self, web: Web, settings: Settings, started: Callable[[], None]) -> None:
        super().__init__(_config(web, settings))
        self._web = web
        self._started = started

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on SIGTERM and SIGINT; unlike uvicorn's own, which sends itself the signal again
        afterwards and so dies before anything below it is closed."""
        if current_thread() is not main_thread():
            yield
            return
        numbers = (signal.SIGTERM, signal.SIGINT)
        before = {number: signal.signal(number, self.handle_exit) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections, then say so."""
        await super().startup(sockets)
        self._started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, answer the long polls, wait for what is under way."""
        self._web.feed.release()
        await super().shutdown(sockets)


def _config(web: Web, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        create_app(web),
        loop="uvloop",
        http=BoundedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=max(1, round(settings.shutdown_s)),
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
    )


def serve(settings: Settings, ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; raises ``QuanopyError`` when it cannot start.

    ``ready`` is told where, once requests are answered.
    """
    set_up_logging(settings.log_level, settings.log_format)
    check_exposure(settings)
    check_certificate(settings)
    os.umask(PRIVATE)
    sys.setswitchinterval(SWITCH_S)
    _raise_file_limit()
    with _running(settings) as (web, _), listening(settings) as (bound, place):
        with contextlib.ExitStack() as stack:

            def started() -> None:
                # Not before: who finds the place may stop us, which must not cut anything off.
                stack.enter_context(announced(settings.data, place))
                ready(place.get("url") or f"unix://{place['socket']}")

            server = HttpServer(web, settings, started)
            settle_down()
            server.run(sockets=[bound])
        logger.info("stopped")


@contextlib.contextmanager
def _running(settings: Settings) -> Iterator[tuple[Web, str]]:
    """A broker at work with the parts of one HTTP server, and the owner's token."""
    open_folder(settings.data)
    with contextlib.ExitStack() as stack:
        stack.enter_context(sole(settings.data))
        broker = build(settings)
        stack.callback(broker.close)
        token = owner_token(broker.parts.store, settings.data)
        if settings.worker:
            stack.enter_context(working(broker))
        web = Web(broker.parts)
        stack.callback(web.close)
        yield web, token


def _raise_file_limit() -> None:
    """Every waiting caller is an open file: allow as many as the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Embedded:
    """The whole broker inside this program, on a unix socket in its data folder.

    ``with Embedded(settings) as broker:`` runs it; ``broker.socket`` and ``broker.token`` are
    what a client needs.
    """

    def __init__(self, settings: Settings) -> None:
        """``settings.uds`` is chosen here, and logging left to the program."""
        self._settings = replace(settings, uds=settings.data / "server.sock")
        self._stack = contextlib.ExitStack()
        self.socket = Path()
        self.token = ""

    def __enter__(self) -> Self:
        """Start it; returns once it accepts requests."""
        with contextlib.ExitStack() as stack:
            stack.callback(sys.setswitchinterval, sys.getswitchinterval())
            sys.setswitchinterval(SWITCH_S)
            web, self.token = stack.enter_context(_running(self._settings))
            bound, place = stack.enter_context(listening(self._settings))
            self.socket = Path(place["socket"])
            stack.enter_context(serving(web, self._settings, bound))
            stack.enter_context(announced(self._settings.data, place))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it: requests under way end, work under way is given back."""
        self._stack.close()


@contextlib.contextmanager
def serving(web: Web, settings: Settings, bound: socket.socket) -> Iterator[None]:
    """Serve on a bound socket in a thread of its own; raises :class:`Unavailable`."""
    started = Event()
    server = HttpServer(web, settings, started.set)
    thread = Thread(target=server.run, kwargs={"sockets": [bound]}, name="http-server", daemon=True)
    thread.start()
    if not started.wait(START_S):
        server.should_exit = True
        raise Unavailable("the embedded server did not start")
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(settings.shutdown_s + 5)
