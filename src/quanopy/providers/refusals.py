"""A vendor's HTTP answer as one of our errors, the same for every vendor."""

from collections.abc import Mapping

from quanopy.domain.durations import seconds_from_now
from quanopy.domain.errors import (
    Denied,
    NotFound,
    NotReady,
    OutcomeUnknown,
    QuanopyError,
    Rejected,
    Transient,
    Unavailable,
)

_LONGEST = 500
_LATER = (408, 423, 425, 429, 503)
"""The vendor did nothing: time-out of our request, locked, too early, too many, out of service."""


def refusal(status: int, who: str, said: str = "", *, retry_after_s: float | None) -> QuanopyError:
    """What an answer of this status means; ``said`` is the vendor's own message.

    5xx but 503 leave open how far the vendor came: :class:`OutcomeUnknown` (a caller that only
    asked makes a :class:`Transient` of it).
    """
    message = f"{who} answered {status}" + (f": {_short(said)}" if said else "")
    if 300 <= status < 400:
        return Unavailable(
            f"{who} answered {status}: it points elsewhere, where nothing is sent",
            hint="Check the provider's url.",
        )
    if status in (401, 403):
        return Denied(message, hint="Check the provider's credentials.")
    if status == 404:
        return NotFound(message)
    if status == 409:
        return NotReady(message)
    if status in _LATER:
        return Transient(message, retry_after_s=retry_after_s)
    if status >= 500:
        return OutcomeUnknown(message, retry_after_s=retry_after_s)
    return Rejected(message)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """``Retry-After`` in seconds, given as such or as a date (RFC 9110, 10.2.3)."""
    text = next((v for k, v in headers.items() if k.lower() == "retry-after"), None)
    return None if text is None else seconds_from_now(text)


def _short(text: str) -> str:
    """A vendor's words, on one line and not too many."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]} …"
