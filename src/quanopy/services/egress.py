"""Where the broker may connect to because a stranger says so: only to addresses that are public,
or in a network that an operator allows.

A name is judged by the addresses that it has when a connection is made, and the connection is made
to the address that was judged; whatever the name means a moment later.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from urllib.parse import SplitResult, urlsplit

from quanopy.domain.errors import Forbidden, Invalid

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

LONGEST = 2_000
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_NUMBER = re.compile(r"0[xX][0-9A-Fa-f]*|[0-9]+")
_PORTS = {"http": 80, "https": 443}
_LEAST_PORT = 1024
_NAT64 = IPv6Network("64:ff9b::/96")
_COMPATIBLE = IPv6Network("::/96")
_NOT_PUBLIC: Sequence[Network] = [
    ip_network(text)
    for text in (
        *("0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15"),
        *("240.0.0.0/4", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32"),
        *("3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10"),
    )
]
"""Of special use (IANA's registries), whether this Python knows it or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a url leads, and what is asked there."""

    scheme: str
    host: str
    port: int
    target: str
    """Path and query."""

    @property
    def authority(self) -> str:
        """Host and port, as requests name them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


class Egress:
    """What an operator allows beside public addresses."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        """``allowed``: networks (``10.1.0.0/16``) and addresses; raises :class:`Invalid`."""
        self._allowed = [_network(text) for text in allowed]

    def place(self, url: str) -> Place:
        """Where a url leads.

        Raises :class:`Invalid` for one that webhooks cannot have, :class:`Forbidden` for one that
        they may not.
        """
        split, port = _split(url)
        host = _host(split)
        place = Place(
            scheme=split.scheme,
            host=host,
            port=_PORTS[split.scheme] if port is None else port,
            target=(split.path or "/") + (f"?{split.query}" if split.query else ""),
        )
        if place.port != _PORTS[place.scheme] and place.port < _LEAST_PORT:
            raise Forbidden(
                f"no webhook may be at port {place.port}",
                where="url",
                hint=f"Take {_PORTS[place.scheme]}, or {_LEAST_PORT} and above.",
            )
        if place.scheme == "http" and not self._allowed:
            raise Forbidden("it must be https", where="url", hint="Have the receiver speak TLS.")
        literal = _literal(host)
        if literal is not None:
            self.check(literal, secure=place.scheme == "https")
        return place

    def check(self, address: Address, *, secure: bool) -> None:
        """Raise :class:`Forbidden` unless a connection may be made to an address; one that is not
        ``secure`` only where an operator allows it."""
        plain = _plain(address)
        if any(plain in network for network in self._allowed):
            return
        if not _is_public(plain):
            raise Forbidden(
                "it is at an address that webhooks may not reach",
                where="url",
                hint="Only public addresses are, and those in webhook_networks of the broker.",
            )
        if not secure:
            raise Forbidden("it must be https", where="url", hint="Have the receiver speak TLS.")


def parsed(text: str) -> Address:
    """An address as a resolver gives it, whatever its scope; raises ``ValueError``."""
    return ip_address(text.partition("%")[0])


def _network(text: str) -> Network:
    try:
        return ip_network(text.strip(), strict=False)
    except ValueError:
        raise Invalid(
            f"{text[:60]!r} is no network", where="webhook_networks", hint="Write 10.1.0.0/16."
        ) from None


def _split(url: str) -> tuple[SplitResult, int | None]:
    if (
        len(url) > LONGEST
        or not url.isascii()
        or any(c <= " " or c in '\\"<>^`{|}\x7f' for c in url)
    ):
        raise Invalid(
            f"it is no url, or longer than {LONGEST} characters",
            where="url",
            hint="Write https://HOST/PATH, other characters percent-encoded.",
        )
    try:
        split = urlsplit(url)
        port = split.port
    except ValueError:
        raise Invalid("it is no url", where="url", hint="Write https://HOST/PATH.") from None
    if split.scheme not in _PORTS or port == 0:
        raise Invalid("it is no https url", where="url", hint="Write https://HOST/PATH.")
    if split.username is not None or split.password is not None:
        raise Invalid(
            "it has a credential in it",
            where="url",
            hint="Requests are signed: verify them with the webhook's secret.",
        )
    if split.fragment or url.endswith("#"):
        raise Invalid("it has a fragment, which is never sent", where="url")
    return split, port


def _host(split: SplitResult) -> str:
    """A name, or an address as everybody reads it: some read 0177.1 or 2130706433 as one too."""
    host = (split.hostname or "").removesuffix(".")
    literal = _literal(host)
    if literal is not None:
        return str(literal)
    labels = host.split(".")
    named = len(host) <= 253 and all(_LABEL.fullmatch(label) for label in labels)
    if not named or _NUMBER.fullmatch(labels[-1]):
        raise Invalid(
            "its host is neither a name nor an address as addresses are written", where="url"
        )
    return host


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _plain(address: Address) -> Address:
    """The IPv4 address that one of IPv6 stands for, as far as it does."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return IPv6Address(int(address))  # without its scope


def _is_public(address: Address) -> bool:
    return (
        address.is_global
        and not address.is_multicast
        and not any(address in network for network in _NOT_PUBLIC)
    )
