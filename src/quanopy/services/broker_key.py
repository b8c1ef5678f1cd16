"""The broker's key, of which the tokens of registered resources and the secrets of webhooks are
made."""

from quanopy.domain.errors import Denied

_LEAST = 16


def long_enough(key: str) -> str:
    """The key; raises :class:`Denied` for one that could be guessed."""
    if len(key) < _LEAST:
        raise Denied(f"the registration key has fewer than {_LEAST} characters")
    return key
