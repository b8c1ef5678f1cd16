"""Sockets to listen on: loopback TCP, or a unix socket that only its owner may open."""

import contextlib
import os
import socket
import ssl
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from quanopy.domain.errors import Invalid, Unavailable
from quanopy.server.settings import Settings

BACKLOG = 4096
_LONGEST_PATH = 100
"""Bytes of a unix socket's path; the system's own limit is 103 to 107."""


def as_setting(name: str) -> str:
    """A setting, as its name is written."""
    return name


def as_option(name: str) -> str:
    """A setting, as the option of a command that sets it."""
    return f"--{name.replace('_', '-')}"


def check_exposure(settings: Settings, *, named: Callable[[str], str] = as_setting) -> None:
    """Refuse to send tokens over a network in the clear, unless told to; raises
    :class:`Invalid`, which names settings as ``named`` says."""
    if settings.exposed and settings.tls_cert is None and not settings.insecure:
        cert, key, insecure = (named(one) for one in ("tls_cert", "tls_key", "insecure"))
        raise Invalid(
            f"tokens would cross the network to {settings.host} unencrypted",
            where=named("host"),
            hint=f"Set {cert} and {key}, or {insecure} if something in front speaks TLS.",
        )


def check_certificate(settings: Settings, *, named: Callable[[str], str] = as_setting) -> None:
    """Refuse a certificate and key that cannot serve; raises as :func:`check_exposure`."""
    if settings.tls_cert is None or settings.tls_key is None:
        return
    _check_readable(named("tls_cert"), settings.tls_cert)
    _check_readable(named("tls_key"), settings.tls_key)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            settings.tls_cert,
            settings.tls_key,
            password=lambda: "",  # or it would be asked for at the terminal
        )
    except (OSError, ValueError) as error:
        raise Invalid(
            f"{settings.tls_cert} and {settings.tls_key} are no certificate and its key: {error}",
            where=named("tls_cert"),
            hint="Give PEM: the server's certificate and those up to its authority; its private "
            "key, without a passphrase.",
        ) from error


def _check_readable(name: str, file: Path) -> None:
    try:
        file.open("rb").close()
    except OSError as error:
        raise Invalid(f"{file} cannot be read: {error.strerror}", where=name) from error


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
