"""For those who receive webhooks: whether a request came from the broker, and is no old one.

The signatures are those of Standard Webhooks (https://www.standardwebhooks.com): an HMAC-SHA256 of
``id.timestamp.body``, in base64 after ``v1,``. Only the standard library is needed::

    import quanopy.webhooks

    event = quanopy.webhooks.verify(secret, request.headers, request.body)
    if event["type"] == "job.completed":
        print(event["data"]["job"]["name"])
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from quanopy.domain.errors import Denied, Invalid

ID = "webhook-id"
"""The header that stays the same when an event is sent again: drop what you have had."""
TIMESTAMP = "webhook-timestamp"
"""The header with the time of the attempt, in seconds since 1970."""
SIGNATURE = "webhook-signature"
"""The header with one or more signatures, separated by spaces."""
SECRET = "whsec_"
_VERSION = "v1"
_LEAST = 16
_MOST_SIGNATURES = 16
_TIME = re.compile(r"[0-9]{1,12}")

Text = str | bytes
Headers = Any
"""A mapping, pairs, or what else has ``items``: names to values, text or bytes."""


def verify(
    secret: str | Sequence[str],
    headers: Headers,
    body: Text,
    tolerance_s: float = 300.0,
    *,
    now: float | None = None,
) -> dict[str, Any]:
    """The event of a request that the broker signed with this secret (or one of these).

    ``headers`` is what any framework gives: a mapping or pairs, names in any case. ``body`` is the
    request's, byte for byte as it came. ``now``: seconds since 1970, by default the clock's.

    Raises:
        Denied: it is not signed, not with this secret, or more than ``tolerance_s`` seconds ago
            or ahead.
        Invalid: the secret is none, or what was signed is no event.
    """
    given = _headers(headers)
    sent, timestamp, signatures = (_header(given, name) for name in (ID, TIMESTAMP, SIGNATURE))
    if _TIME.fullmatch(timestamp) is None:
        raise Denied("its timestamp is none", where=TIMESTAMP)
    raw = body.encode() if isinstance(body, str) else bytes(body)
    secrets = [secret] if isinstance(secret, str) else list(secret)
    expected = [_signature(key, sent, timestamp, raw) for key in map(_key, secrets)]
    if not _any_equal(expected, signatures):
        raise Denied(
            "it is not signed with this secret",
            where=SIGNATURE,
            hint="Give the body as it came, unparsed; and the webhook's own secret.",
        )
    at = time.time() if now is None else now
    if not abs(at - int(timestamp)) <= tolerance_s:
        raise Denied(
            f"it was signed at {timestamp}, which is not within {tolerance_s:g} s of now",
            where=TIMESTAMP,
            hint="See that this machine's clock is right.",
        )
    return _event(raw)


def sign(secret: str | Sequence[str], id: str, timestamp: int, body: Text) -> dict[str, str]:
    """The headers of a request, signed with this secret, or with each of these.

    Raises :class:`Invalid` for what is no secret.
    """
    raw = body.encode() if isinstance(body, str) else bytes(body)
    keys = map(_key, [secret] if isinstance(secret, str) else secret)
    signed = (_signature(key, id, str(timestamp), raw) for key in keys)
    return {
        ID: id,
        TIMESTAMP: str(timestamp),
        SIGNATURE: " ".join(f"{_VERSION},{one.decode()}" for one in signed),
    }


def secret_of(key: bytes) -> str:
    """A key as secrets are written."""
    return SECRET + base64.b64encode(key).decode()


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(SECRET), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) < _LEAST:
        raise Invalid("this is no webhook's secret", where="secret", hint="It begins whsec_.")
    return key


def _signature(key: bytes, id: str, timestamp: str, body: bytes) -> bytes:
    signed = b".".join((id.encode(), timestamp.encode(), body))
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())


def _any_equal(expected: Sequence[bytes], signatures: str) -> bool:
    """Compared all, in constant time; other versions of signatures are passed over."""
    found = False
    for one in signatures.split()[:_MOST_SIGNATURES]:
        version, _, signature = one.partition(",")
        for wanted in expected:
            same = hmac.compare_digest(wanted, signature.encode())
            found |= same and version == _VERSION
    return found


def _headers(headers: Headers) -> Mapping[str, str]:
    # The standard library's are no Mapping, and yet have items.
    items = getattr(headers, "items", None)
    pairs = headers if items is None else items()
    return {_text(name).lower(): _text(value) for name, value in pairs}


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _header(headers: Mapping[str, str], name: str) -> str:
    found = headers.get(name, "")
    if not found:
        raise Denied(f"it has no {name}", where=name, hint="It came from something else.")
    return found


def _event(body: bytes) -> dict[str, Any]:
    try:
        event = json.loads(body)
    except ValueError:
        event = None
    if not isinstance(event, dict):
        raise Invalid("what was signed is no event", where="body")
    return event
