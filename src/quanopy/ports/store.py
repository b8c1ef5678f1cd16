"""The catalogue: all mutable state. Every method takes and returns many, in one transaction.

Only the store changes a state; it checks the fence (the claim that a change is made under) and
writes the event in the same transaction. Raises ``Unavailable`` when the database is not there.
Times are aware UTC; the store reads its own clock. All that holds for each of
its parts, which are ports of their own for those who need no more.
"""

from typing import Protocol

from quanopy.ports.adoptions import AdoptionStore
from quanopy.ports.archive import ArchiveStore
from quanopy.ports.calibrations import CalibrationStore
from quanopy.ports.claims import ClaimStore
from quanopy.ports.events import EventStore
from quanopy.ports.executions import ExecutionStore
from quanopy.ports.groups import GroupStore
from quanopy.ports.jobs import JobStore
from quanopy.ports.resources import ResourceStore
from quanopy.ports.submissions import SubmissionStore
from quanopy.ports.tokens import TokenStore
from quanopy.ports.webhooks import WebhookStore


class Store(
    JobStore,
    SubmissionStore,
    EventStore,
    GroupStore,
    ClaimStore,
    ExecutionStore,
    ResourceStore,
    CalibrationStore,
    AdoptionStore,
    TokenStore,
    ArchiveStore,
    WebhookStore,
    Protocol,
):
    """All parts of the catalogue together."""

    def check(self) -> None:
        """Raise unless the database answers (for readiness)."""

    def skew_s(self) -> float:
        """How far the store's own clock is at least ahead of the one that all workers share, the
        database's (behind: negative); 0 where there is but one."""

    def close(self) -> None:
        """Let go of the connections; idempotent."""
