"""The secrets that webhooks are signed with: made of the broker's key, and kept nowhere."""

import hashlib
import hmac
from collections.abc import Callable, Sequence
from datetime import datetime

from quanopy.domain.webhooks import Webhook
from quanopy.services.broker_key import long_enough
from quanopy.webhooks import secret_of

Signing = Callable[[Webhook, datetime], Sequence[str]]
"""The secrets that sign for a webhook at a time."""


class WebhookSecrets:
    """Makes them; ``key`` gives the broker's key."""

    def __init__(self, key: Callable[[], str]) -> None:
        self._key = key

    def signing(self) -> Signing:
        """Reads the key, which may take long, and gives those that sign a webhook's requests at a
        time, the newest first; raises :class:`Denied` where it cannot be read."""
        key = self._checked()
        return lambda webhook, now: [
            _made(key, webhook.id, each) for each in webhook.generations(now)
        ]

    def newest(self, webhook: Webhook) -> str:
        """The one that its owner is shown; raises :class:`Denied`."""
        return _made(self._checked(), webhook.id, webhook.generation)

    def _checked(self) -> str:
        return long_enough(self._key())


def _made(key: str, id: str, generation: int) -> str:
    named = f"webhook:{id}:{generation}"
    return secret_of(hmac.new(key.encode(), named.encode(), hashlib.sha256).digest())
