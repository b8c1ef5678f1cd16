"""One way to the broker: time-outs, safe repeats, errors as the server's."""

import os
import random
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any, TypeVar
from urllib.parse import quote, urlencode

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticSerializationError
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError

from quanopy.client.connections import (
    NEVER_SENT,
    Connections,
    is_stranger,
    nobody_listens,
    speaks_otherwise,
)
from quanopy.client.settings import START, STARTING_S, Settings
from quanopy.domain import errors
from quanopy.domain.durations import seconds_from_now
from quanopy.domain.errors import (
    Invalid,
    OutcomeUnknown,
    ProviderError,
    QuanopyError,
    Transient,
    Unavailable,
)
from quanopy.wire.problems import MEDIA_TYPE, from_problem
from quanopy.wire.service import Problem

A = TypeVar("A", bound=BaseModel)
T = TypeVar("T")

ANSWER_S = 30.0
"""How long an answer may take, beyond what a long poll was asked to wait."""
FIRST_PATIENCE_S = 1.0
"""How long a broker that has never answered is tried, unless it may be starting."""
PATIENCE_S = 20.0
"""How long one that has answered before is: it may be starting again."""
LONGEST_PAUSE_S = 2.0
READ_BYTES = 1 << 16

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

_TRUST = (
    "Set QUANOPY_CA to a file with its authority's certificate; the url's host must be one that "
    "its certificate names."
)
_SCHEME = "See whether the broker speaks TLS (https://) or not (http://), and say so in the url."

_JSON = {"Content-Type": "application/json"}
_STREAM = "text/event-stream"
_EVENTS = {"Accept": _STREAM}


class Http:
    """Requests to one broker. Threads may share it; a forked child gets connections of its own."""

    def __init__(
        self,
        settings: Settings,
        pause: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``pause`` lets so many seconds pass; ``clock`` tells them."""
        self._pause = pause
        self._clock = clock
        self._url = settings.url
        self._settings = settings
        self._lock = threading.Lock()
        self._connections = Connections(settings)
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
    ) -> bytes:
        """Send a request until it is answered, or patience ends; the body of a success.

        ``wait_s`` is how long the broker was asked to hold its answer. What is not
        ``repeatable`` is sent again only if it never left.

        Raises:
            QuanopyError: what the broker said, as its class.
            Unavailable: nobody answers.
            OutcomeUnknown: the answer to something not repeatable was lost.
        """
        how: dict[str, Any] = {"timeout_s": ANSWER_S + wait_s, "headers": headers or {}}
        if body is not None:
            how["body"] = _json(body)
            how["headers"] = {**how["headers"], **_JSON}
        target = _target(path, params)
        return self._tried(lambda: self._once(method, target, how), repeatable).data

    def _tried(self, send: Callable[[], T], repeatable: bool = True) -> T:
        """What a request gives, a success, which is sent until there is one; see above."""
        began, pauses = self._clock(), _pauses()
        while True:
            try:
                return send()
            except (Transient, Unavailable) as error:
                if not repeatable or self._gives_up(began, error):
                    raise
                self._pause(max(next(pauses), min(error.retry_after_s or 0.0, PATIENCE_S)))
            except HTTPError as error:
                if not repeatable and not isinstance(error, NEVER_SENT):
                    raise OutcomeUnknown(
                        f"the answer of {self._url} was lost: {_said(error)}",
                        hint="Look whether it was done before doing it again.",
                    ) from error
                if self._gives_up(began, error):
                    raise self._unavailable(error) from error
                self._pause(next(pauses))

    def upload(
        self,
        path: str,
        file: IO[bytes],
        media_type: str,
        read: Callable[[Iterator[str]], T],
        *,
        idle_s: float,
    ) -> T:
        """POST a file, which may be sent again; what is ``read`` from the lines of the event
        stream that answers. Raises as :meth:`request`, also where the stream breaks or is silent
        for ``idle_s``."""
        size = file.seek(0, os.SEEK_END)
        headers = {"Content-Type": media_type, "Content-Length": str(size), **_EVENTS}
        how = {"timeout_s": idle_s, "headers": headers, "body": file, "stream": True}

        def send() -> T:
            with self._open("POST", path, how) as lines:
                try:
                    return read(lines)
                except HTTPError as error:
                    raise Unavailable(
                        f"the answer of {self._url} broke off: {_said(error)}",
                        hint="It may have been done, or go on: ask again.",
                    ) from error

        return self._tried(send)

    def get(self, answer: type[A], path: str, **how: Any) -> A:
        """GET, read as a model; ``how`` as for :meth:`request`."""
        return self.read(answer, self.request("GET", path, **how))

    def post(self, answer: type[A], path: str, body: BaseModel | None = None, **how: Any) -> A:
        """POST, read as a model; ``how`` as for :meth:`request`."""
        return self.read(answer, self.request("POST", path, body=body, **how))

    def read(self, answer: type[A], body: bytes) -> A:
        """A success's body as a model."""
        try:
            return answer.model_validate_json(body)
        except ValidationError as error:
            raise self._stranger() from error

    def _stranger(self) -> QuanopyError:
        return QuanopyError(
            f"{self._url} answers as no Quanopy broker does",
            hint="Check the url, and that client and broker are of the same major version.",
        )

    def pieces(self, path: str) -> Iterator[bytes]:
        """The body of a GET's success as it comes; :class:`Unavailable` where it breaks off."""
        how = {"timeout_s": ANSWER_S, "headers": {}, "stream": True}
        response = self._tried(lambda: self._once("GET", path, how))
        try:
            yield from response.stream(READ_BYTES)
        except HTTPError as error:
            raise self._unavailable(error) from error
        finally:
            response.close()
            response.release_conn()

    @contextmanager
    def lines(
        self, path: str, params: Mapping[str, Any], *, idle_s: float
    ) -> Iterator[Iterator[str]]:
        """The lines of an event stream as they come; :class:`Unavailable` when it breaks or is
        silent for ``idle_s``."""
        how = {"timeout_s": idle_s, "headers": _EVENTS, "stream": True}
        try:
            with self._open("GET", _target(path, params), how) as lines:
                yield lines
        except HTTPError as error:
            raise self._unavailable(error) from error

    @contextmanager
    def _open(self, method: str, target: str, how: Mapping[str, Any]) -> Iterator[Iterator[str]]:
        """The lines of an event stream that answers, as they come."""
        response = self._once(method, target, how)
        try:
            if not response.headers.get("Content-Type", "").startswith(_STREAM):
                raise self._stranger()
            yield _lines(response)
        finally:
            response.close()
            response.release_conn()

    def close(self) -> None:
        """Close the connections; idempotent."""
        self._connections.close()

    def _own_connections(self) -> Connections:
        if self._pid != os.getpid():
            with self._lock:
                if self._pid != os.getpid():
                    self._connections, self._pid = Connections(self._settings), os.getpid()
        return self._connections

    def _once(self, method: str, target: str, how: Mapping[str, Any]) -> BaseHTTPResponse:
        if hasattr(how.get("body"), "seek"):
            how["body"].seek(0)
        response = self._own_connections().send(method, target, **how)
        good = 200 <= response.status < 300
        self._met |= good or response.headers.get("Content-Type") == MEDIA_TYPE
        if good:
            return response
        raise _error(response, f"{self._url.rstrip('/')}/v1{target}")

    def _gives_up(self, began: float, error: Exception) -> bool:
        """Whether a request that began then has been tried for long enough, after this error."""
        if is_stranger(error):
            return True
        first = STARTING_S if nobody_listens(error) else FIRST_PATIENCE_S
        return self._clock() - began >= (PATIENCE_S if self._met else first)

    def _unavailable(self, error: HTTPError) -> Unavailable:
        if is_stranger(error):
            return Unavailable(f"{self._url} is not trusted: {_said(error)}", hint=_TRUST)
        hint = _SCHEME if speaks_otherwise(error, self._url) and not self._met else START
        return Unavailable(f"no broker answers at {self._url}: {_said(error)}", hint=hint)


def _json(body: BaseModel) -> bytes:
    try:
        return body.model_dump_json(exclude_unset=True, fallback=_plain).encode()
    except PydanticSerializationError as error:
        raise Invalid(
            "it holds what cannot be sent as JSON",
            hint="Give numbers, texts, lists, mappings and NumPy arrays.",
        ) from error


def _plain(value: Any) -> Any:
    """NumPy's arrays and numbers as Python's own."""
    if not hasattr(value, "tolist"):
        raise TypeError(type(value).__name__)
    return value.tolist()


def _pauses() -> Iterator[float]:
    """Growing pauses with jitter."""
    longest = 0.1
    while True:
        yield random.uniform(longest / 2, longest)
        longest = min(2 * longest, LONGEST_PAUSE_S)


def part(name: str) -> str:
    """A name as one part of a path; raises :class:`Invalid` for what can be none."""
    try:
        return quote(name, safe="")
    except (TypeError, UnicodeEncodeError) as error:
        raise Invalid(f"{str(name)[:60]!r} is no name") from error


def _target(path: str, params: Mapping[str, Any] | None) -> str:
    if not params:
        return path
    query = [
        (name, str(one).lower() if isinstance(one, bool) else one)
        for name, value in params.items()
        if value is not None
        for one in _each(value)
    ]
    try:
        return f"{path}?{urlencode(query)}" if query else path
    except UnicodeEncodeError as error:
        where = next(name for name, value in query if value == error.object)
        raise Invalid("it has characters that cannot be sent", where=where) from error


def _each(value: Any) -> Collection[Any]:
    return value if isinstance(value, Collection) and not isinstance(value, str) else [value]


def _lines(response: BaseHTTPResponse) -> Iterator[str]:
    rest = b""
    while data := response.read1(READ_BYTES):
        *whole, rest = (rest + data).split(b"\n")
        for line in whole:
            yield line.removesuffix(b"\r").decode(errors="replace")


def _said(error: BaseException) -> str:
    """What happened, in the words of the cause: urllib3's describe its own objects."""
    inner = error.__cause__ or next((a for a in error.args if isinstance(a, Exception)), None)
    return _said(inner) if inner else str(error) or type(error).__name__


def _error(response: BaseHTTPResponse, url: str) -> QuanopyError:
    try:
        error = from_problem(Problem.model_validate_json(response.data))
    except ValidationError:
        cls = _STATUS.get(response.status, QuanopyError)
        error = cls(f"HTTP {response.status} {response.reason} from {url}")
    after = seconds_from_now(response.headers.get("Retry-After", ""))
    if isinstance(error, ProviderError) and after is not None:
        error.retry_after_s = after
    return error
