"""Wake-ups: hints that something changed, sent after commit. Losing one costs time, never work."""

from collections.abc import Callable
from enum import StrEnum
from typing import Protocol


class Topic(StrEnum):
    """What a hint is about."""

    WORK = "work"
    """Tasks became ready."""
    EVENTS = "events"
    """Events were written."""
    TURNS = "turns"
    """A job ended that belongs to a group, or that others come after; or a group was changed."""
    CANCEL = "cancel"
    """A cancel was requested of something claimed or executing, or an operator wants something
    looked at with its provider: what is followed there is looked at now."""
    HOOKS = "hooks"
    """Webhooks were added, removed or changed."""
    TRIED = "tried"
    """Something was tried for which somebody may wait: to adopt a job, to deliver to a webhook."""


class Wakeups(Protocol):
    """Hints between threads and processes that share a catalogue."""

    def notify(self, *topics: Topic) -> None:
        """Tell everybody, in this process at once and elsewhere soon; never blocks, never raises
        for a listener that is gone. Hints sent close together may arrive as one."""

    def subscribe(self, topic: Topic, callback: Callable[[], None]) -> Callable[[], None]:
        """Call ``callback`` (quick, on any thread) at each hint; returns how to stop that."""

    def close(self) -> None:
        """Stop listening; idempotent."""
