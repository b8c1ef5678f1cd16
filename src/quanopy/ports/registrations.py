"""Resources that registered themselves, as the provider that serves them sees them."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from quanopy.domain.resources import Registration


@runtime_checkable
class Registrations(Protocol):
    """Those of the broker's catalogue."""

    def known(self, *, anew: bool = False) -> Sequence[Registration]:
        """All that have not left, those whose heartbeat has stopped included; a few seconds old
        at most, and as they are now where they are asked for ``anew``."""

    def token(self, registration_id: str) -> str:
        """The token that the broker gave one of them; raises ``Denied`` where this process has
        not the key that tokens are made with."""
