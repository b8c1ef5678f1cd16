"""The short way for the few requests that come by the thousand: submitting, and waiting for a
result. FastAPI's way through middleware, routing and parameters costs more than most of what they
do. A request in exactly the form that clients send goes straight to the function that FastAPI
would call; any other, and every one that is wrong, takes FastAPI's way to the same function.
"""

import re
from collections.abc import Awaitable, Callable
from functools import partial

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from quanopy.server.routes import jobs, results
from quanopy.server.waiting import MOST_S

Endpoint = Callable[[Request], Awaitable[Response]]
_RESULT = re.compile(r"/v1/jobs/([A-Za-z0-9_]{1,100})/result")
_WAIT = re.compile(rb"wait=(\d{1,4}(?:\.\d{1,6})?)")
_ROUTES = {
    route.endpoint: route
    for router in (jobs.router, results.router)
    for route in router.routes
    if isinstance(route, APIRoute)
}


class Express:
    """The application of a server, with a short way past most of it."""

    def __init__(self, app: FastAPI, gate: Callable[[ASGIApp], ASGIApp]) -> None:
        """``gate`` is what every request passes, in ``app`` too."""
        self._app = app
        self._short = gate(_call)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        found = _found(scope) if scope["type"] == "http" else None
        if found is None:
            await self._app(scope, receive, send)
            return
        route, endpoint = found
        scope.update({"app": self._app, "route": _ROUTES[route], "endpoint": endpoint})
        await self._short(scope, receive, send)


async def _call(scope: Scope, receive: Receive, send: Send) -> None:
    endpoint: Endpoint = scope["endpoint"]
    response = await endpoint(Request(scope, receive))
    await response(scope, receive, send)


def _found(scope: Scope) -> tuple[Callable[..., Awaitable[Response]], Endpoint] | None:
    """The function that serves this request, as it is and with what the request gives it."""
    method, path, query = scope["method"], scope["path"], scope["query_string"]
    if method == "POST" and not query:
        if path == "/v1/jobs":
            return jobs.submit_job, jobs.submit_job
        if path == "/v1/jobs/batch":
            return jobs.submit_jobs, jobs.submit_jobs
    if method == "GET":
        of, wait = _RESULT.fullmatch(path), _WAIT.fullmatch(query)
        if of is not None and wait is not None and float(wait[1]) <= MOST_S:
            get = partial(results.get_result, id=of[1], wait=float(wait[1]), partial=False)
            return results.get_result, get
    return None
