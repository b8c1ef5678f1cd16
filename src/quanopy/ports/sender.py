"""How requests are sent to servers that strangers name."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self


class Refused(Exception):
    """A request was not sent, or not answered; the text says why to the webhook's owner, and
    repeats neither its path nor what was answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The head of an answer."""

    status: int
    retry_after_s: float | None = None


class Line(Protocol):
    """Requests to one url, one after another, over a connection that may be kept."""

    def post(self, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send it; returns or raises :class:`Refused` within a bounded time, whatever the other
        side does."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Sender(Protocol):
    """Sends requests to urls that strangers name."""

    def line(self, url: str) -> Line:
        """To be used in ``with``; nothing is connected yet."""

    def close(self) -> None:
        """End what is under way, which is :class:`Refused`; idempotent."""
