"""Accounts and the tokens that speak for them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Scope(StrEnum):
    """What a token may do."""

    USER = "user"
    """Submit, and see and cancel what belongs to its account."""
    OPERATOR = "operator"
    """Also: every account's jobs, resources in and out of maintenance, stranded executions."""
    ADMIN = "admin"
    """Also: make and revoke tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who a request speaks for."""

    account: str
    scope: Scope
    token_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A bearer token as it is stored: only the SHA-256 of its secret."""

    id: str
    account: str
    scope: Scope
    digest: str
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    label: str = ""
