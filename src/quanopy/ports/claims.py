"""Claims: how workers share the tasks of the catalogue."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from quanopy.domain.jobs import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a worker would take now of one resource: so many tasks, so many estimated seconds
    (a single longer task is still taken), in at most so many separate claims."""

    resource: str
    tasks: int = 1000
    seconds: float = 0.5
    claims: int = 1
    single: bool = False
    """Each claim becomes one execution: tasks of one account, and a solo task by itself."""
    worth_s: float = 0.0
    """A claim gets tasks of so many estimated seconds before another one is begun; a task that
    takes as many by itself begins one."""
    long_s: float = math.inf
    """Tasks that are estimated to take more are long: each has a claim to itself."""
    longs: int = 0
    """How many long tasks it would take, those of offers before it in the same call included;
    those beyond wait, and shorter ones go past them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A worker's short, renewed hold on tasks of one resource; one claim takes one lane."""

    id: str
    resource: str
    tasks: Sequence[Task]


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What a sweep put right."""

    tasks_requeued: int = 0
    claims_expired: int = 0
    next_ready_at: datetime | None = None
    """When the next task becomes ready that is not yet."""


class ClaimStore(Protocol):
    """Tasks that are ready, and the claims that workers hold on them."""

    def ready(self, names: tuple[str, ...]) -> set[str]:
        """Those of these resources that are in service and have a task ready: of others there is
        nothing to claim."""

    def claim(
        self, worker: str, offers: Sequence[Offer], *, ttl_s: float, most: int | None = None
    ) -> list[Claim]:
        """Take ready tasks in fair order, within lanes, under the device's row lock; at most
        ``most`` claims over all offers together (a worker's processes serve many resources)."""

    def renew(self, worker: str, *, ttl_s: float) -> set[str]:
        """Prolong all of a worker's claims; the ids of those it still has."""

    def release(self, claim_ids: Collection[str]) -> None:
        """Give claims up as if their worker had died: the next sweep queues their tasks again
        and frees their executions. One that is gone already is no error."""

    def cancel_requests(self, worker: str) -> set[str]:
        """Ids of tasks claimed by this worker whose cancellation was requested."""

    def retire(self, worker: str) -> None:
        """The worker stops: its claims expire now."""

    def sweep(self) -> Swept:
        """Expire claims of dead workers, queue their local tasks again, free their executions.
        Registered resources without a heartbeat go offline, and leave after a day."""
