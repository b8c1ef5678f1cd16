"""Requests to a loopback vendor, its routes and its replies, whole or spoilt."""

import json
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from quanopy.testing.vendors.faults import Fault, spoilt


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request to a route."""

    method: str
    path: str
    query: Mapping[str, str]
    queries: Sequence[tuple[str, str]]
    """The same with repeated names kept."""
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    connection: socket.socket = field(repr=False)
    """Whom it comes from."""
    names: Mapping[str, str] = field(default_factory=dict)
    """What the route's pattern names, unquoted."""
    fault: Fault | None = None
    """One that the route itself has to act out: ``reject``, ``unseen`` or ``vanished``."""

    def json(self) -> Any:
        """The body."""
        return json.loads(self.body or b"null")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer: ``body`` is bytes as they are, or anything else as JSON."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class Rejected(Exception):
    """A vendor refuses what it was sent; the message says why."""


Handler = Callable[[Request], Reply]
About = str | Callable[[Request], str]
"""What a route is about; one that serves two purposes tells by the request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A route: ``pattern`` is a regular expression with named groups, for the whole path."""

    method: str
    pattern: re.Pattern[str]
    about: About
    handle: Handler


def route(method: str, pattern: str, about: About, handle: Handler) -> Route:
    """A route; ``pattern`` with ``(?P<name>[^/]+)`` for its parts."""
    return Route(method=method, pattern=re.compile(pattern), about=about, handle=handle)


@dataclass(frozen=True, slots=True)
class Cut:
    """The connection ends after so many bytes of this."""

    data: bytes = b""


_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


def spoilt_reply(reply: Reply, fault: Fault | None) -> Reply | Cut:
    """What is sent of a reply, where a fault spoils it."""
    if fault is Fault.LOST:
        return Cut()
    if fault not in (Fault.TRUNCATED, Fault.MALFORMED, Fault.STRANGE):
        return reply
    data, length = spoilt(encoded(reply.body), fault)
    if length != len(data):
        return Cut(_HEAD % length + data)
    return Reply(status=reply.status, body=data, headers=reply.headers)


def encoded(body: Any) -> bytes:
    """The bytes of a reply's body."""
    return body if isinstance(body, bytes) else json.dumps(body).encode()
