"""Events: the append-only history of everything that changes state."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from quanopy.domain.errors import Invalid
from quanopy.domain.groups import GroupState
from quanopy.domain.states import ExecutionState, JobState, ResourceState, TaskState


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in the event order: transaction, then sequence number within it.

    Sequence numbers alone commit out of order on PostgreSQL; a reader that pages by both, and
    stops below the oldest transaction still open, misses none.
    """

    tx: int = 0
    seq: int = 0

    def __str__(self) -> str:
        return f"{self.tx}.{self.seq}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read back ``str(position)``; raises :class:`Invalid` for anything else."""
        tx, dot, seq = text.partition(".")
        if not (dot and tx.isascii() and tx.isdigit() and seq.isascii() and seq.isdigit()):
            raise Invalid(f"{text[:40]!r} is no event position", hint="Use an event's id.")
        if max(len(tx), len(seq)) > 18:
            raise Invalid(f"{text[:40]!r} is no event position", hint="Use an event's id.")
        return cls(int(tx), int(seq))


KINDS: Mapping[str, Sequence[str]] = {
    "job": (*JobState, "adopted", "chosen", "held", "imported", "released"),
    "task": (*TaskState, "cancel_requested"),
    "execution": (*ExecutionState, "recalibrated", "reported"),
    "group": (*GroupState, "cancelling", "imported", "removed", "revised"),
    "resource": (*ResourceState, "calibrated", "left", "opened", "registered"),
    "webhook": ("created", "paused", "ping", "removed", "resumed", "rotated"),
}
"""By what it is about, what an event can be called after the dot; see :attr:`Event.kind`."""
TOLD = "told"
"""In the data of an event that another broker saw: digest of the receipt that tells of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line of history."""

    position: Position
    at: datetime
    subject: str
    """Id of what changed: a job, task, execution, or the name of a resource."""
    kind: str
    """``job.queued``, ``task.claimed``, ``execution.submitted`` …: the subject's kind and the
    state it came to, or what else happened to it (``task.cancel_requested``)."""
    before: str | None = None
    after: str | None = None
    actor: str = ""
    """Who did it: an account, or a worker's id."""
    account: str | None = None
    """Whose it is; ``None`` for resources."""
    job_id: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
