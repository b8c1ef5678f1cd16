"""What every request passes: its caller is known, and nothing it causes is left unanswered."""

from collections.abc import Callable

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from quanopy.domain.errors import NotFound, QuanopyError
from quanopy.server.auth import Authenticator
from quanopy.server.metrics import Metrics
from quanopy.server.problems import error_response, unexpected_response

OPEN = frozenset({"/", "/v1/health", "/v1/ready", "/metrics", "/openapi.json", "/docs"})
"""Paths that need no token; every other one does, also those that do not exist."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Gate:
    """ASGI middleware: identifies the caller, counts, answers what nothing else has answered."""

    def __init__(
        self,
        app: ASGIApp,
        authenticator: Authenticator,
        metrics: Metrics,
        first: Callable[[], None],
    ) -> None:
        """``first`` is called when the first caller has been identified."""
        self._app = app
        self._authenticator = authenticator
        self._metrics = metrics
        self._first: Callable[[], None] | None = first

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request; everything else (lifespan) passes."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 0

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            if scope["path"] not in OPEN:
                scope["identity"] = await self._authenticator.identify(_authorization(scope))
                if self._first is not None:
                    first, self._first = self._first, None
                    first()
            if "\0" in scope["path"]:
                # No name holds it, and PostgreSQL refuses to be asked.
                raise NotFound("there is nothing of this name")
            await self._app(scope, receive, counted)
        except QuanopyError as error:
            await _answer(error_response(error), status, scope, receive, counted)
        except Exception as error:  # noqa: BLE001 - logged with its trace, answered without
            await _answer(unexpected_response(error), status, scope, receive, counted)
        finally:
            self._metrics.answered(_method(scope), _route(scope), status)


async def _answer(
    response: Response, status: int, scope: Scope, receive: Receive, send: Send
) -> None:
    """Send the response, unless another one is under way already."""
    if status == 0:
        await response(scope, receive, send)


def _authorization(scope: Scope) -> bytes | None:
    for name, value in scope["headers"]:
        if name == b"authorization":
            return bytes(value)
    return None


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in _METHODS else "other"


def _route(scope: Scope) -> str:
    return getattr(scope.get("route"), "path", "none")
