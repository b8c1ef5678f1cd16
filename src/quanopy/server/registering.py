"""What registers itself: where it may be, and the token that only it and this broker know.

A worker connects to the url that was registered, with a token. So the url has to be the
registrar's own address, or one that the operator allows; it is never followed elsewhere. The token
is made of the broker's key and the registration's id: nothing secret lies in the catalogue.
"""

import hashlib
import hmac
import ipaddress
import os
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from quanopy.domain.errors import Denied, Forbidden, Invalid
from quanopy.services.broker_key import long_enough

KEY = "registration.key"
PEER = "peer"
_PREFIX = "qnv_"
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class RegistrationTokens:
    """Makes the tokens of registered resources; ``key`` gives the broker's key."""

    def __init__(self, key: Callable[[], str]) -> None:
        self._key = key

    def __call__(self, registration_id: str) -> str:
        """The token of a registration; raises :class:`Denied` where the key cannot be read."""
        key = long_enough(self._key())
        return (
            _PREFIX + hmac.new(key.encode(), registration_id.encode(), hashlib.sha256).hexdigest()
        )


def key_in(data: Path) -> str:
    """The broker's key in its data folder, made when it is first needed; raises
    :class:`Denied`."""
    file = data / KEY
    try:
        if not file.exists():
            with suppress(FileExistsError):  # another process has just made it
                _make(file)
        with file.open("rb") as opened:
            if os.fstat(opened.fileno()).st_mode & 0o077:
                raise Denied("others may read it", where=str(file), hint="Remove it.")
            return opened.read(200).decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise Denied(
            f"the key of registrations cannot be read: {reason}",
            where=str(file),
            hint="Set registration_key where workers have a data folder of their own.",
        ) from error


def _make(file: Path) -> None:
    """Whole as soon as it is there, and only once."""
    beside = file.with_name(f".{KEY}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as opened:
            opened.write(secrets.token_hex(32) + "\n")
        os.link(beside, file)
    finally:
        beside.unlink()


def checked_url(url: str, peer: str | None, allowed: Sequence[str]) -> str:
    """Where a resource may be reached, as it is kept: scheme, host and port alone.

    ``peer`` is the registrar's address (``None``: a process of this machine); ``allowed`` has
    networks, addresses, host names, and ``peer`` for the registrar's own address.
    Raises :class:`Invalid` for what is no such url, :class:`Forbidden` for one that is elsewhere.
    """
    try:
        split = urlsplit(url)
        port = split.port
    except ValueError:
        raise Invalid("no url", where="url") from None
    host = split.hostname
    if split.scheme not in ("http", "https") or not host or port == 0:
        raise Invalid("no http(s) url", where="url", hint="Use http://HOST:PORT.")
    if split.username is not None or split.password is not None:
        raise Invalid("its url has a credential in it", where="url")
    if split.path not in ("", "/") or split.query or split.fragment:
        raise Invalid("its url has more than a host and a port", where="url")
    place = "127.0.0.1" if host == "localhost" else host
    if not any(_allows(entry, place, peer) for entry in allowed):
        raise Forbidden(
            f"no resource may be registered at {place}",
            where="url",
            hint="Register it from its own machine, or have the operator add the host or network "
            "to registration_hosts.",
        )
    shown = f"[{place}]" if ":" in place else place
    return f"{split.scheme}://{shown}" + (f":{port}" if port else "")


def _allows(entry: str, host: str, peer: str | None) -> bool:
    address = _address(host)
    if address is None:
        return entry.lower() == host.lower() and entry != PEER
    if entry == PEER:
        own = _address(peer) if peer is not None else ipaddress.IPv4Address("127.0.0.1")
        return own is not None and (address == own or (own.is_loopback and address.is_loopback))
    try:
        return address in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False


def _address(text: str) -> _Address | None:
    """An address as it is written; ``None`` for a name."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found
