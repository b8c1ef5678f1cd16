"""One way to the broker: pooled connections, time-outs, safe repeats, errors as the server's."""

import os
import random
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ValidationError

from quanopy.client.settings import START, Settings
from quanopy.domain import errors
from quanopy.domain.errors import (
    Invalid,
    OutcomeUnknown,
    ProviderError,
    QuanopyError,
    Transient,
    Unavailable,
)
from quanopy.wire.problems import from_problem
from quanopy.wire.service import Problem

A = TypeVar("A", bound=BaseModel)

CONNECT_S = 5.0
ANSWER_S = 30.0
"""How long an answer may take, beyond what a long poll was asked to wait."""
FIRST_PATIENCE_S = 1.0
"""How long a broker that has never answered is tried."""
PATIENCE_S = 20.0
"""How long one that has answered before is: it may be starting again."""
LONGEST_PAUSE_S = 2.0

NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout)
_STATUS: Mapping[int, type[QuanopyError]] = {
    401: errors.Denied,
    403: errors.Forbidden,
    404: errors.NotFound,
    413: errors.TooLarge,
    415: errors.Unsupported,
    429: errors.QuotaExceeded,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}
"""What a status means where something between us and the broker answered, not the broker."""


class Http:
    """Requests to one broker. Threads may share it; a forked child gets connections of its own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._httpx = _connections(settings)
        self._pid = os.getpid()
        self._met = False

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: BaseModel | None = None,
        wait_s: float = 0.0,
        headers: Mapping[str, str] | None = None,
        repeatable: bool = True,
    ) -> httpx.Response:
        """Send a request until it is answered, or patience ends; answers are successes.

        ``wait_s`` is how long the broker was asked to hold its answer. What is not
        ``repeatable`` is sent again only if it never left.

        Raises:
            QuanopyError: what the broker said, as its class.
            Unavailable: nobody answers.
            OutcomeUnknown: the answer to something not repeatable was lost.
        """
        content = None if body is None else body.model_dump_json(exclude_unset=True)
        sent_headers = dict(headers or {})
        if content is not None:
            sent_headers["Content-Type"] = "application/json"
        request = self._client().build_request(
            method,
            path,
            params=_present(params),
            content=content,
            headers=sent_headers,
            timeout=httpx.Timeout(ANSWER_S + wait_s, connect=CONNECT_S, pool=None),
        )
        for pause in _pauses(PATIENCE_S if self._met else FIRST_PATIENCE_S):
            try:
                return self._once(request)
            except (Transient, Unavailable) as error:
                if pause is None or not repeatable:
                    raise
                time.sleep(max(pause, min(error.retry_after_s or 0.0, PATIENCE_S)))
            except httpx.TransportError as error:
                if not repeatable and not isinstance(error, NEVER_SENT):
                    raise OutcomeUnknown(
                        f"the answer of {self._settings.url} was lost: {_said(error)}",
                        hint="Look whether it was done before doing it again.",
                    ) from error
                if pause is None or isinstance(error, httpx.UnsupportedProtocol):
                    raise self._unavailable(error) from error
                time.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    def get(self, answer: type[A], path: str, **how: Any) -> A:
        """GET, read as a model; ``how`` as for :meth:`request`."""
        return self.read(answer, self.request("GET", path, **how))

    def post(self, answer: type[A], path: str, body: BaseModel | None = None, **how: Any) -> A:
        """POST, read as a model; ``how`` as for :meth:`request`."""
        return self.read(answer, self.request("POST", path, body=body, **how))

    def read(self, answer: type[A], response: httpx.Response) -> A:
        """A success's body as a model."""
        try:
            return answer.model_validate_json(response.content)
        except ValidationError as error:
            raise QuanopyError(
                f"{self._settings.url} answers as no Quanopy broker does",
                hint="Check the url, and that client and broker are of the same major version.",
            ) from error

    @contextmanager
    def lines(self, path: str, params: Mapping[str, Any], *, idle_s: float) -> Iterator[Any]:
        """The lines of an event stream as they come; ``httpx.TransportError`` when it breaks or
        is silent for ``idle_s``."""
        timeout = httpx.Timeout(ANSWER_S, connect=CONNECT_S, read=idle_s, pool=None)
        with self._client().stream(
            "GET",
            path,
            params=_present(params),
            headers={"Accept": "text/event-stream"},
            timeout=timeout,
        ) as response:
            if response.is_error:
                response.read()
                raise _error(response)
            self._met = True
            yield response.iter_lines()

    def close(self) -> None:
        """Close the connections; idempotent."""
        self._httpx.close()

    def _client(self) -> httpx.Client:
        if self._pid != os.getpid():
            with self._lock:
                if self._pid != os.getpid():
                    self._httpx, self._pid = _connections(self._settings), os.getpid()
        return self._httpx

    def _once(self, request: httpx.Request) -> httpx.Response:
        response = self._client().send(request)
        self._met = True
        if response.is_success:
            return response
        raise _error(response)

    def _unavailable(self, error: httpx.TransportError) -> Unavailable:
        return Unavailable(f"no broker answers at {self._settings.url}: {_said(error)}", hint=START)


def _connections(settings: Settings) -> httpx.Client:
    url = urlsplit(settings.url)
    headers = {"User-Agent": f"quanopy/{metadata.version('quanopy')}"}
    if settings.token:
        headers["Authorization"] = f"Bearer {settings.token}"
    if settings.lease:
        headers["Quanopy-Lease"] = settings.lease
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=32)
    if url.scheme == "unix":
        transport = httpx.HTTPTransport(uds=url.path, limits=limits)
        return httpx.Client(base_url="http://quanopy/v1", headers=headers, transport=transport)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise Invalid(
            f"{settings.url!r} is no address of a broker", hint="Use http(s)://HOST:PORT or unix://"
        )
    return httpx.Client(
        base_url=settings.url.rstrip("/") + "/v1",
        headers=headers,
        limits=limits,
        verify=_trust(settings) if url.scheme == "https" else False,
        trust_env=url.hostname not in ("127.0.0.1", "::1", "localhost"),
    )


def _trust(settings: Settings) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=settings.ca and str(settings.ca))
    except (OSError, ssl.SSLError) as error:
        raise Invalid(f"no certificates can be read there: {error}", where=str(settings.ca)) from (
            error
        )


def _pauses(patience_s: float) -> Iterator[float | None]:
    """Growing pauses with jitter, until patience would be used up; then ``None``, once."""
    ends_at = time.monotonic() + patience_s
    longest = 0.1
    while time.monotonic() < ends_at:
        yield random.uniform(longest / 2, longest)
        longest = min(2 * longest, LONGEST_PAUSE_S)
    yield None


def _present(params: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (params or {}).items() if value is not None}


def _said(error: httpx.TransportError) -> str:
    return str(error) or type(error).__name__


def _error(response: httpx.Response) -> QuanopyError:
    try:
        error = from_problem(Problem.model_validate_json(response.content))
    except ValidationError:
        cls = _STATUS.get(response.status_code, QuanopyError)
        error = cls(f"HTTP {response.status_code} {response.reason_phrase} from {response.url}")
    after = response.headers.get("Retry-After", "")
    if isinstance(error, ProviderError) and after.isascii() and after.isdigit():
        error.retry_after_s = float(after)  # seconds; RFC 9110, 10.2.3
    return error
