"""Tokens, kept by the digest of their secret."""

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.types import BigInteger, Text

from quanopy.domain.accounts import Token
from quanopy.domain.errors import NotFound
from quanopy.storage.mapping import token_of, token_row
from quanopy.storage.schema import tokens
from quanopy.storage.statements import insert_rows
from quanopy.storage.transaction import Transaction

_BY_DIGEST = select(tokens).where(tokens.c.digest == bindparam("wanted", type_=Text))
_ALL = select(tokens).order_by(tokens.c.created_at.desc(), tokens.c.id.desc())
_REVOKE = (
    update(tokens)
    .where(tokens.c.id == bindparam("wanted", type_=Text))
    .values(revoked_at=func.coalesce(tokens.c.revoked_at, bindparam("now", type_=BigInteger)))
    .returning(*tokens.c)
)


def add(connection: Transaction, token: Token) -> None:
    """Keep a new token."""
    insert_rows(connection, tokens, [token_row(token)])


def by_digest(connection: Transaction, digest: str) -> Token | None:
    """The token whose secret has this digest."""
    row = connection.first(_BY_DIGEST, {"wanted": digest})
    return None if row is None else token_of(row)


def everyone(connection: Transaction) -> list[Token]:
    """All tokens, newest first."""
    return [token_of(row) for row in connection.execute(_ALL)]


def revoke(connection: Transaction, id: str, *, now: int) -> Token:
    """Make a token worthless from now on; raises ``NotFound``."""
    row = connection.first(_REVOKE, {"wanted": id, "now": now})
    if row is None:
        raise NotFound(f"there is no token {id!r}")
    return token_of(row)
