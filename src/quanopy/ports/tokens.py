"""Tokens: who may do what."""

from typing import Protocol

from quanopy.domain.accounts import Token


class TokenStore(Protocol):
    """Tokens in the catalogue, by the digests of their secrets."""

    def add_token(self, token: Token) -> None:
        """Keep a new token."""

    def token(self, digest: str) -> Token | None:
        """The token whose secret has this digest."""

    def tokens(self) -> list[Token]:
        """All tokens, newest first."""

    def revoke_token(self, id: str) -> Token:
        """Make a token worthless from now on; ``NotFound``."""
