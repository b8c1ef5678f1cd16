"""Sockets to listen on: loopback TCP, or a unix socket that only its owner may open."""

import contextlib
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

from quanopy.domain.errors import Invalid, Unavailable
from quanopy.server.settings import Settings

BACKLOG = 4096
_LONGEST_PATH = 100
"""Bytes of a unix socket's path; the system's own limit is 103 to 107."""


def check_exposure(settings: Settings) -> None:
    """Refuse to send tokens over a network in the clear, unless told to; raises
    :class:`Invalid`."""
    if settings.exposed and settings.tls_cert is None and not settings.insecure:
        raise Invalid(
            f"tokens would cross the network to {settings.host} unencrypted",
            where="host",
            hint="Set tls_cert and tls_key, or insecure if something in front speaks TLS.",
        )


@contextlib.contextmanager
def listening(settings: Settings) -> Iterator[tuple[socket.socket, dict[str, str]]]:
    """A bound socket, and the place that clients are told; raises :class:`Unavailable`."""
    if settings.uds is not None:
        with _on_path(settings.uds) as (bound, path):
            yield bound, {"socket": str(path)}
        return
    with _on_port(settings.host, settings.port) as bound:
        yield bound, {"url": _url(settings, bound)}


def _url(settings: Settings, bound: socket.socket) -> str:
    scheme = "http" if settings.tls_cert is None else "https"
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
    port = bound.getsockname()[1]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _on_port(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise Unavailable(
            f"cannot listen on {host}:{port}: {error.strerror}",
            hint="Stop what is there, or choose another --port (0 takes a free one).",
        ) from error


@contextlib.contextmanager
def _on_path(wanted: Path) -> Iterator[tuple[socket.socket, Path]]:
    with contextlib.ExitStack() as stack:
        path = wanted.absolute()
        if len(os.fsencode(path)) > _LONGEST_PATH:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="quanopy-"))
            path = Path(folder) / "socket"
        bound = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        _bind(bound, path)
        stack.callback(path.unlink, missing_ok=True)
        yield bound, path


def _bind(bound: socket.socket, path: Path) -> None:
    """Bind for the owner alone, in place of a socket that nobody listens on any more."""
    if path.is_socket():
        if _answers(path):
            raise Unavailable(
                f"a server already listens on {path}",
                hint="Use it, or stop it, or choose another data folder.",
            )
        path.unlink()
    try:
        bound.bind(str(path))
        path.chmod(0o600)
        bound.listen(BACKLOG)
    except OSError as error:
        raise Unavailable(f"cannot listen on {path}: {error.strerror}") from error


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(str(path)) == 0
