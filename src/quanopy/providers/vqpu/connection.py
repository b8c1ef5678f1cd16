"""One virtual QPU's HTTP interface: bounded answers, classified failures, each request once."""

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from urllib3 import (
    BaseHTTPResponse,
    HTTPConnectionPool,
    HTTPSConnectionPool,
    PoolManager,
    Timeout,
)
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationValueError,
    NewConnectionError,
)

from quanopy.domain.errors import (
    Invalid,
    NotReady,
    OutcomeUnknown,
    QuanopyError,
    Rejected,
    Transient,
    Unavailable,
)
from quanopy.providers.refusals import refusal, retry_after_s

_CONNECT_S = 5.0
_MOST = 256 * 1024 * 1024
"""Bytes of an answer that are read."""
_PIECE = 1 << 20
_TOO_EARLY = 425


_LONGEST = 3
"""Time-outs that a request may take as a whole, however steadily its answer drips."""
_current = threading.local()


class _Plain(HTTPConnection):
    """Known to the request that it carries."""

    def request(self, *args: Any, **how: Any) -> None:
        _carry(self)
        super().request(*args, **how)


class _Tls(HTTPSConnection):
    """The same, over TLS."""

    def request(self, *args: Any, **how: Any) -> None:
        _carry(self)
        super().request(*args, **how)


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _Tls


def connections() -> PoolManager:
    """What requests to vQPUs go through."""
    pool = PoolManager(maxsize=16, num_pools=256)
    pool.pool_classes_by_scheme = {"http": _PlainPool, "https": _TlsPool}
    return pool


def _carry(connection: HTTPConnection) -> None:
    carrying: list[HTTPConnection] | None = getattr(_current, "carrying", None)
    if carrying is not None:
        carrying.append(connection)


@contextmanager
def _ended_after(seconds: float) -> Iterator[None]:
    """Cut off what this thread asks in the block after so long: a time-out is of each read, and
    who answers a byte at a time would hold the thread for ever."""
    carrying: list[HTTPConnection] = []
    _current.carrying = carrying
    watch = threading.Timer(seconds, _cut_off, [carrying])
    watch.daemon = True
    watch.start()
    try:
        yield
    finally:
        watch.cancel()
        _current.carrying = None


def _cut_off(carrying: list[HTTPConnection]) -> None:
    for connection in carrying:
        if connection.sock is not None:
            with suppress(OSError):  # it has ended by itself meanwhile
                connection.sock.shutdown(socket.SHUT_RDWR)


class Connection:
    """Sends requests to one vQPU; threads may share it."""

    def __init__(
        self, who: str, url: str, token: Callable[[], str], *, timeout_s: float, pool: PoolManager
    ) -> None:
        """``token`` gives the bearer token as it is now. Raises :class:`Invalid` for what is no
        http(s) url."""
        split = urlsplit(url)
        if split.scheme not in ("http", "https") or not split.hostname or split.query:
            raise Invalid(f"{url[:100]!r} is no http(s) url", where=who)
        if split.username is not None or split.password is not None:
            raise Invalid("its url has a credential in it", where=who, hint="Give a token.")
        self.who = who
        self._url = url.rstrip("/")
        self._token = token
        self._timeout_s = timeout_s
        self._timeout = Timeout(connect=min(_CONNECT_S, timeout_s), read=timeout_s)
        self._pool = pool

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """A request that may be repeated: a lost answer only means to ask again."""
        try:
            return self._call(method, path, body)
        except OutcomeUnknown as error:
            raise Transient(error.message, retry_after_s=error.retry_after_s) from error

    def tell(self, path: str, body: Mapping[str, Any], *, key: str | None) -> Any:
        """A POST that does something: ``OutcomeUnknown`` where its answer was lost."""
        try:
            return self._call("POST", path, body, {} if key is None else {"Idempotency-Key": key})
        except NotReady as error:
            raise Rejected(error.message) from error  # 409: the key is another submission's

    def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        sent = {"Authorization": f"Bearer {self._token()}", "Accept": "application/json"}
        with _ended_after(_LONGEST * self._timeout_s):
            return self._read(self._answered(method, path, body, {**sent, **(headers or {})}))

    def _answered(
        self, method: str, path: str, body: Mapping[str, Any] | None, sent: Mapping[str, str]
    ) -> BaseHTTPResponse:
        try:
            return self._pool.request(
                method,
                self._url + path,
                json=body,
                headers={**sent, **({"Content-Type": "application/json"} if body else {})},
                redirect=False,
                retries=False,
                timeout=self._timeout,
                preload_content=False,
            )
        except (NewConnectionError, ConnectTimeoutError, LocationValueError) as error:
            raise Unavailable(f"{self.who} cannot be reached: {_cause(error)}") from error
        except HTTPError as error:
            raise OutcomeUnknown(f"{self.who} did not answer: {type(error).__name__}") from error

    def _read(self, response: BaseHTTPResponse) -> Any:
        try:
            data = self._data(response)
        except HTTPError as error:
            response.close()
            raise OutcomeUnknown(f"the answer of {self.who} was cut short") from error
        document: Any = None
        try:
            document = json.loads(data) if data else None
        except (ValueError, RecursionError) as error:
            if 200 <= response.status < 300:
                raise OutcomeUnknown(f"{self.who} answered what is no JSON") from error
        if 200 <= response.status < 300:
            return document
        raise self._refused(response, document)

    def _data(self, response: BaseHTTPResponse) -> bytes:
        parts: list[bytes] = []
        size = 0
        while part := response.read(_PIECE):
            size += len(part)
            if size > _MOST:
                response.close()
                raise OutcomeUnknown(f"{self.who} answered more than {_MOST} bytes")
            parts.append(part)
        response.release_conn()
        return b"".join(parts)

    def _refused(self, response: BaseHTTPResponse, document: Any) -> QuanopyError:
        said = document.get("message") if isinstance(document, dict) else None
        text = said if isinstance(said, str) else ""
        if response.status == _TOO_EARLY:
            return NotReady(f"{self.who}: it has not ended")
        later = retry_after_s(dict(response.headers))
        if 300 <= response.status < 400:
            return Rejected(f"{self.who} points elsewhere, where no token is sent")
        return refusal(response.status, self.who, text, retry_after_s=later)


def _cause(error: Exception) -> str:
    """Why there was no connection, in a word."""
    cause = error.__cause__ or error.__context__
    return (cause.strerror or type(cause).__name__) if isinstance(cause, OSError) else "no answer"


def wrong(who: str, what: str) -> Transient:
    """An answer to a question that is not what belongs there."""
    return Transient(f"{who} answered no {what}")
