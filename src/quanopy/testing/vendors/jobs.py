"""Jobs as a loopback vendor has them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """Where a job is at the vendor."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = frozenset({State.DONE, State.FAILED, State.CANCELLED})


@dataclass(slots=True, kw_only=True, eq=False)
class VendorJob:
    """A job as the vendor has it."""

    id: str
    key: str | None
    """What tells our executions apart, where the protocol carries such a thing."""
    payload: Any
    created_at: datetime
    place: int = 0
    """How many came to the queue before it."""
    state: State = State.QUEUED
    started_at: datetime | None = None
    ended_at: datetime | None = None
    result: Any = None
    error: str | None = None
    forgotten: bool = False
