"""One virtual QPU's HTTP interface: bounded answers, classified failures, each request once."""

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from urllib3 import BaseHTTPResponse, PoolManager, Timeout
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
from quanopy.providers.secrets import without
from quanopy.providers.vqpu.deadline import Deadline, ended_after

MIB = 1 << 20
_CONNECT_S = 5.0
_LITTLE = 8 * MIB
"""Bytes that are read of an answer, unless more is expected of it."""
MOST = 128 * MIB
"""Bytes that are read of any answer."""
_PIECE = MIB
_TOO_EARLY = 425
_TOO_MUCH_S = 60.0
"""How long one that answered too much is left alone."""
_LARGE = 3
"""Time-outs that a large answer may take as a whole; others take one."""


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

    def ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, most: int = _LITTLE
    ) -> Any:
        """A request that may be repeated: a lost answer only means to ask again. No more than
        ``most`` bytes of it are read."""
        try:
            return self._call(method, path, body, most=most)
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
        *,
        most: int = _LITTLE,
    ) -> Any:
        token = self._token()
        sent = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        seconds = self._timeout_s * (_LARGE if most > _LITTLE else 1)
        with ended_after(seconds) as deadline:
            answer = self._answered(method, path, body, {**sent, **(headers or {})}, deadline)
            return self._read(answer, min(most, MOST), deadline, token)

    def _answered(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        sent: Mapping[str, str],
        deadline: Deadline,
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
                decode_content=False,  # nothing else was asked for, and a little may become much
            )
        except (NewConnectionError, ConnectTimeoutError, LocationValueError) as error:
            raise Unavailable(f"{self.who} cannot be reached: {_cause(error)}") from error
        except HTTPError as error:
            if not deadline.sent:
                raise Unavailable(f"{self.who} cannot be reached: {_kind(error)}") from error
            why = " in time" if deadline.over else f": {_kind(error)}"
            raise OutcomeUnknown(f"{self.who} did not answer{why}") from error

    def _read(self, response: BaseHTTPResponse, most: int, deadline: Deadline, token: str) -> Any:
        try:
            data = self._data(response, most)
        except HTTPError as error:
            response.close()
            if not deadline.over:
                raise OutcomeUnknown(f"the answer of {self.who} was cut short") from error
            data = b""
        if deadline.over:
            # Where it was cut off, what was read of it may look whole.
            raise OutcomeUnknown(f"{self.who} did not answer in time")
        document: Any = None
        try:
            document = json.loads(data) if data else None
        except (ValueError, RecursionError) as error:
            if 200 <= response.status < 300:
                raise OutcomeUnknown(f"{self.who} answered what is no JSON") from error
        if 200 <= response.status < 300:
            return document
        raise self._refused(response, document, token)

    def _data(self, response: BaseHTTPResponse, most: int) -> bytes:
        parts: list[bytes] = []
        size = 0
        while part := response.read(_PIECE):
            size += len(part)
            if size > most:
                response.close()
                raise OutcomeUnknown(
                    f"{self.who} answered more than {most} bytes", retry_after_s=_TOO_MUCH_S
                )
            parts.append(part)
        response.release_conn()
        return b"".join(parts)

    def _refused(self, response: BaseHTTPResponse, document: Any, token: str) -> QuanopyError:
        said = document.get("message") if isinstance(document, dict) else None
        text = without([token], said) if isinstance(said, str) else ""
        if response.status == _TOO_EARLY:
            return NotReady(f"{self.who}: it has not ended")
        later = retry_after_s(dict(response.headers))
        return refusal(response.status, self.who, text, retry_after_s=later)


def _cause(error: Exception) -> str:
    """Why there was no connection, in a word."""
    cause = error.__cause__ or error.__context__
    return (cause.strerror or type(cause).__name__) if isinstance(cause, OSError) else "no answer"


def _kind(error: Exception) -> str:
    return type(error).__name__
