"""Events: the history that the catalogue keeps."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from quanopy.domain.events import Event, Position


@dataclass(frozen=True, slots=True, kw_only=True)
class EventQuery:
    """Which events, in order, after a position."""

    after: Position = field(default_factory=Position)
    account: str | None = None
    job_ids: Collection[str] | None = None
    group_id: str | None = None
    """Those of the group itself, and of all its jobs."""
    subject: str | None = None
    """Also events of this subject, where ``job_ids`` or ``group_id`` names others."""
    kinds: Collection[str] | None = None
    """Only these; ``job.*``: all of jobs, ``*``: all."""
    limit: int = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPage:
    """Events in order, and where to go on from: ``position`` may lie past the last one shown."""

    events: Sequence[Event]
    position: Position
    held_back: bool
    """There are later events, behind a transaction that is still open: look again soon."""


class EventStore(Protocol):
    """History in the catalogue, in order."""

    def events(self, query: EventQuery) -> EventPage:
        """History after a position; never skips one that commits late."""

    def horizon(self) -> Position:
        """The position of now: following from here sees everything later."""
