"""Sending to urls that strangers name: one request at a time, whatever the other side does.

There is no proxy, no redirect is followed, no cookie kept, and of an answer only the head counts.
"""

import ssl
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import Self

import h11
from httpcore import (
    URL,
    ConnectError,
    ConnectionNotAvailable,
    ConnectionPool,
    NetworkError,
    ProtocolError,
    Response,
    TimeoutException,
)

from quanopy.domain.durations import seconds_from_now
from quanopy.domain.errors import QuanopyError
from quanopy.outbound.connecting import Connecting, Deadline, Lookups, Resolve, Sockets, resolve
from quanopy.outbound.trust import trusting
from quanopy.ports.sender import Answer, Refused
from quanopy.services.egress import Egress, Place

TOTAL_S = 10.0
"""From looking the name up until the answer's head has come."""
_REST_S = 1.0
_REST_BYTES = 65_536
"""What more of an answer is waited for, so that its connection can be used again."""
_KEEP_S = 5.0


class HttpSender:
    """A :class:`~quanopy.ports.webhooks.Sender`. Threads share it."""

    def __init__(
        self,
        egress: Egress,
        *,
        authorities: Path | None = None,
        total_s: float = TOTAL_S,
        resolve: Resolve = resolve,
    ) -> None:
        """``authorities``: certificates in PEM that are trusted too."""
        self._egress = egress
        self._total_s = total_s
        self._lookups = Lookups(resolve)
        self._sockets = Sockets()
        self._authorities = authorities

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """Made when it is first needed: to read what this machine trusts takes a while."""
        return trusting(self._authorities)

    def line(self, url: str) -> "HttpLine":
        """See :meth:`Sender.line`."""
        return HttpLine(
            url,
            egress=self._egress,
            tls=lambda: self._tls,
            total_s=self._total_s,
            lookups=self._lookups,
            sockets=self._sockets,
        )

    def close(self) -> None:
        """See :meth:`Sender.close`."""
        self._sockets.shut()


class HttpLine:
    """A :class:`~quanopy.ports.webhooks.Line`, for one thread."""

    def __init__(
        self,
        url: str,
        *,
        egress: Egress,
        tls: Callable[[], ssl.SSLContext],
        total_s: float,
        lookups: Lookups,
        sockets: Sockets,
    ) -> None:
        self._url = url
        self._egress = egress
        self._tls = tls
        self._total_s = total_s
        self._lookups = lookups
        self._sockets = sockets
        self._deadline = Deadline()
        self._pool: ConnectionPool | None = None

    def post(self, headers: Mapping[str, str], body: bytes) -> Answer:
        """See :meth:`Line.post`."""
        self._deadline.set(self._total_s)
        try:
            place = self._egress.place(self._url)
            return self._post(place, headers, body)
        except QuanopyError as error:
            raise Refused(error.message) from error
        except (TimeoutException, NetworkError, ProtocolError, ConnectionNotAvailable) as error:
            raise Refused(_said(error)) from error

    def _post(self, place: Place, headers: Mapping[str, str], body: bytes) -> Answer:
        if self._pool is None:
            self._pool = self._connections(place)
        # Built of parts that were judged, so that nothing reads the url in another way.
        url = URL(
            scheme=place.scheme.encode(),
            host=place.host.encode(),
            port=place.port,
            target=place.target.encode(),
        )
        given = {"Host": place.authority, "Content-Length": str(len(body)), **headers}
        with self._pool.stream("POST", url, headers=list(given.items()), content=body) as response:
            found = _answer(response)
            self._drain(response)
        return found

    def _connections(self, place: Place) -> ConnectionPool:
        connecting = Connecting(
            check=partial(self._egress.check, secure=place.scheme == "https"),
            deadline=self._deadline,
            lookups=self._lookups,
            sockets=self._sockets,
        )
        return ConnectionPool(
            ssl_context=self._tls() if place.scheme == "https" else None,
            max_connections=1,
            keepalive_expiry=_KEEP_S,
            http1=True,
            http2=False,
            retries=0,
            network_backend=connecting,
        )

    def _drain(self, response: Response) -> None:
        """Take in what little follows; a connection with more to come is closed. What was answered
        stands, whatever becomes of the rest."""
        self._deadline.shorten(_REST_S)
        size = 0
        try:
            for part in response.iter_stream():
                size += len(part)
                if size > _REST_BYTES:
                    return
        except (TimeoutException, NetworkError, ProtocolError):
            return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            self._pool.close()


def _answer(response: Response) -> Answer:
    later = next((v for k, v in response.headers if k.lower() == b"retry-after"), None)
    return Answer(
        status=response.status,
        retry_after_s=None if later is None else seconds_from_now(later.decode("latin-1")),
    )


def _said(error: Exception) -> str:
    """Why there was no answer, in our own words: what a stranger sends goes into no message."""
    if isinstance(error, TimeoutException):
        return "it did not answer in time"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, h11.ProtocolError):
            return "it does not answer as HTTP servers do"
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return "it does not speak TLS as it should"
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, ConnectError):
        return "nobody accepts connections there"
    return "the connection broke before it answered"
