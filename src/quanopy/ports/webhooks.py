"""Webhooks: their part of the catalogue."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from quanopy.domain.events import Position
from quanopy.domain.webhooks import Webhook, WebhookChange


@dataclass(frozen=True, slots=True, kw_only=True)
class Taking:
    """What became of a worker's wish to deliver for a webhook."""

    webhook: Webhook
    taken: bool
    """It is this worker's, until the claim ends."""
    look_at: datetime | None = None
    """When to ask again, where it is not: another's claim ends then, or the next attempt is due.
    ``None``: there is nothing to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What came of delivering: progress, or a failure."""

    webhook_id: str
    position: Position | None = None
    """All that is wanted up to here is delivered; ``None``: as before."""
    delivered: bool = False
    """Something was: what failed before does so no longer."""
    problem: str | None = None
    """Why the next one could not be; the claim ends."""
    retry_in_s: float = 0.0
    gone: bool = False
    """Nobody wants it there any more: it is paused."""
    keep: bool = False
    """There is more to deliver: the claim is prolonged. Else it ends."""


class WebhookStore(Protocol):
    """Webhooks in the catalogue."""

    def add_webhook(
        self, webhook: Webhook, *, idempotency_key: str | None = None, request_digest: str = ""
    ) -> tuple[Webhook, bool]:
        """Keep a webhook, which is told of what happens from now on; as it is kept, and whether
        it is new: a repeated key gives the one of the first time, or ``Conflict``. Raises
        ``QuotaExceeded``."""

    def webhooks(
        self,
        *,
        account: str | None = None,
        ids: Collection[str] | None = None,
        unpaused: bool = False,
    ) -> list[Webhook]:
        """Webhooks, the newest first; ``None``: any."""

    def change_webhook(
        self, id: str, change: WebhookChange, *, account: str | None, actor: str
    ) -> Webhook:
        """Do this to a webhook of an account (``None``: anybody's); as it is then. ``NotFound``;
        ``InvalidTransition`` for a test of one that is paused."""

    def remove_webhook(self, id: str, *, account: str | None, actor: str) -> Webhook:
        """Forget a webhook; as it was. ``NotFound``."""

    def claim_webhooks(
        self, claim_id: str, wanted: Mapping[str, Position | None], *, ttl_s: float
    ) -> list[Taking]:
        """Take webhooks to deliver for, each unless it is paused, another's, not due, or has come
        past the event that is wanted of it (``None``: whatever there is). What is not there any
        more is left out."""

    def settle_webhooks(
        self, claim_id: str, steps: Sequence[Step], *, ttl_s: float
    ) -> list[Webhook]:
        """Note what came of delivering, under the claim; those taken note of, as they are then.
        One that has failed for :data:`~quanopy.domain.webhooks.PATIENCE` is paused."""
