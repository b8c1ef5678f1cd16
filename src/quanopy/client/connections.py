"""Connections to one broker, kept for the next request: over TCP, TLS, a proxy, a unix socket."""

import socket
import ssl
import time
from collections.abc import Mapping
from importlib import metadata
from queue import Empty, LifoQueue
from typing import IO, Any
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from urllib3 import (
    BaseHTTPResponse,
    HTTPConnectionPool,
    HTTPSConnectionPool,
    PoolManager,
    ProxyManager,
    Retry,
    make_headers,
)
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import (
    ClosedPoolError,
    ConnectTimeoutError,
    LocationValueError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
)
from urllib3.util import parse_url

from quanopy.client.settings import Settings
from quanopy.domain.errors import Invalid

CONNECT_S = 5.0
KEPT = 32
KEPT_S = 5.0
"""How long a connection is kept unused: less than what stands in between waits to drop it."""
PIECE_BYTES = 1 << 16
LOOPBACK = ("127.0.0.1", "::1", "localhost")

NEVER_SENT = (NewConnectionError, ConnectTimeoutError, ProxyError)
_ONCE = Retry(False)


def nobody_listens(error: Exception) -> bool:
    """Whether the address was reached, and nobody listens there (yet)."""
    return isinstance(error.__cause__, ConnectionRefusedError | FileNotFoundError)


def is_stranger(error: Exception) -> bool:
    """Whether who answers is not, by the certificates trusted, whom the address names."""
    return isinstance(error.__cause__, ssl.SSLCertVerificationError)


def speaks_otherwise(error: Exception, url: str) -> bool:
    """Whether who answers may speak plain HTTP where the address says TLS, or the reverse."""
    if url.startswith("https:"):
        return isinstance(error.__cause__, ssl.SSLError)
    return url.startswith("http:") and isinstance(error, ProtocolError)


class Connections:
    """Sends requests to one broker, each once. Threads may share it, processes may not."""

    def __init__(self, settings: Settings) -> None:
        """Nothing is sent yet; raises :class:`Invalid` for what can be no broker's address."""
        try:
            url = urlsplit(settings.url)
            self._pool, self._prefix = _pool(settings, url)
        except ValueError as error:
            raise Invalid(
                f"{settings.url!r} is no address of a broker",
                hint="Use http(s)://HOST:PORT or unix://",
            ) from error
        self._headers = _headers(settings, url)

    def send(
        self,
        method: str,
        target: str,
        *,
        timeout_s: float,
        body: bytes | IO[bytes] | None = None,
        headers: Mapping[str, str],
        stream: bool = False,
    ) -> BaseHTTPResponse:
        """The answer to a request, whatever it is; ``target`` is relative to ``/v1``.

        ``timeout_s`` is how long each read and write may take; with ``stream``, the body is yet
        to be read.

        Raises:
            urllib3.exceptions.HTTPError: there is none; one of ``NEVER_SENT`` if the request
                never left.
        """
        try:
            return self._pool.urlopen(
                method,
                self._prefix + target,
                body=body,
                headers={**self._headers, **headers},
                retries=_ONCE,
                redirect=False,
                assert_same_host=False,
                timeout=timeout_s,
                preload_content=not stream,
            )
        except ClosedPoolError as error:
            raise RuntimeError("the client has been closed") from error

    def close(self) -> None:
        """Close those that nobody uses, and the others after use; idempotent."""
        self._pool.close()


class _Idle(LifoQueue[Any]):
    """Connections between requests. It takes no lock, which a fork could leave locked, and
    closes what it has no room for and what it has kept for long."""

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        try:
            connection, since = self.queue.pop()
        except IndexError:
            raise Empty from None
        if connection is not None and time.monotonic() - since > KEPT_S:
            connection.close()
        return connection

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        if len(self.queue) < self.maxsize:
            self.queue.append((item, time.monotonic()))
        elif item is not None:
            item.close()


class _Plain(HTTPConnection):
    """Its time-out is that of reads and writes; whatever fails before them was never sent. A small
    body goes with its headers: as one packet, which wakes the broker once."""

    _held: bytes | None = None
    """What is to be sent with what comes after it."""

    def request(self, *args: Any, **how: Any) -> None:
        self._held = b""
        try:
            super().request(*args, **how)
            self._let_go()
        finally:
            self._held = None

    def connect(self) -> None:
        timeout_s, self.timeout = self.timeout, CONNECT_S
        try:
            super().connect()
        except OSError as error:
            raise NewConnectionError(self, str(error)) from error
        finally:
            self.timeout = timeout_s
        self.sock.settimeout(timeout_s)

    def send(self, data: Any) -> None:
        """In pieces, for a socket takes its time-out for the whole of what it is given."""
        if self._held is not None:
            if isinstance(data, bytes) and len(self._held) + len(data) <= PIECE_BYTES:
                self._held += data
                return
            self._let_go()
        if len(data) <= PIECE_BYTES:
            super().send(data)
            return
        view = memoryview(data)
        for start in range(0, len(view), PIECE_BYTES):
            super().send(view[start : start + PIECE_BYTES])

    def _let_go(self) -> None:
        held, self._held = self._held, None
        if held:
            super().send(held)


class _Tls(_Plain, HTTPSConnection):
    """TLS as well: a broken handshake is no lost answer."""


class _Unix(_Plain):
    def __init__(self, host: str, port: int | None = None, *, path: str, **how: Any) -> None:
        super().__init__(host, port, **how)
        self._path = path

    def _new_conn(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(self.timeout)
            connection.connect(self._path)
        except BaseException:
            connection.close()
            raise
        return connection


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain
    QueueCls = _Idle


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _Tls
    QueueCls = _Idle


class _UnixPool(HTTPConnectionPool):
    ConnectionCls = _Unix
    QueueCls = _Idle


def _pool(settings: Settings, url: SplitResult) -> tuple[HTTPConnectionPool, str]:
    """Where requests go, and what stands before their targets; ``ValueError`` for no address."""
    if url.scheme == "unix":
        return _UnixPool("quanopy", maxsize=KEPT, path=url.path), "/v1"
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError(url.scheme)
    base = url.path.rstrip("/") + "/v1"
    host = url.hostname.encode("idna").decode()
    at = (f"[{host}]" if ":" in host else host) + (f":{url.port}" if url.port else "")
    how: dict[str, Any] = {"maxsize": KEPT}
    if url.scheme == "https":
        how["ssl_context"] = _trust(settings)
    proxy = None if host in LOOPBACK else _proxy(url.scheme, at)
    manager = _through(proxy, how) if proxy else PoolManager(**how)
    manager.pool_classes_by_scheme = {"http": _PlainPool, "https": _TlsPool}
    pool = manager.connection_from_host(host, url.port, url.scheme)
    return pool, f"http://{at}{base}" if proxy and url.scheme == "http" else base


def _proxy(scheme: str, at: str) -> str | None:
    """The proxy that the environment names for a host."""
    proxies = getproxies()
    found = proxies.get(scheme) or proxies.get("all")
    if not found or proxy_bypass(at):
        return None
    return found if "://" in found else f"http://{found}"


def _through(proxy: str, how: dict[str, Any]) -> ProxyManager:
    try:
        auth = parse_url(proxy).auth
        headers = make_headers(proxy_basic_auth=unquote(auth)) if auth else None
        return ProxyManager(proxy, proxy_headers=headers, **how)
    except LocationValueError as error:
        raise Invalid(
            "the environment names a proxy that is none", hint="See HTTP_PROXY, HTTPS_PROXY."
        ) from error


def _headers(settings: Settings, url: SplitResult) -> dict[str, str]:
    """What every request carries."""
    headers = {
        "Accept": "*/*",
        "Accept-Encoding": "gzip, deflate",
        "User-Agent": f"quanopy/{metadata.version('quanopy')}",
    }
    if settings.token:
        headers["Authorization"] = f"Bearer {settings.token}"
    if settings.lease:
        headers["Quanopy-Lease"] = settings.lease
    if url.username:
        auth = f"{unquote(url.username)}:{unquote(url.password or '')}"
        headers["Authorization"] = make_headers(basic_auth=auth)["authorization"]
    for name, value in headers.items():
        if not (value.isascii() and value.isprintable()):
            raise Invalid(f"no {name} can be sent that is not plain text in one line")
    return headers


def _trust(settings: Settings) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=settings.ca and str(settings.ca))
    except (OSError, ssl.SSLError) as error:
        raise Invalid(f"no certificates can be read there: {error}", where=str(settings.ca)) from (
            error
        )
