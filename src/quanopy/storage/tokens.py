"""Tokens, kept by the digest of their secret."""

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.types import BigInteger, Text

from quanopy.domain.accounts import Scope, Token
from quanopy.domain.errors import NotFound
from quanopy.storage.compiled import Row
from quanopy.storage.schema import tokens
from quanopy.storage.statements import insert_rows
from quanopy.storage.transaction import Transaction
from quanopy.storage.values import Values, moment, moment_or_none, stamp, stamp_or_none

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
    insert_rows(connection, tokens, [_row_of(token)])


def by_digest(connection: Transaction, digest: str) -> Token | None:
    """The token whose secret has this digest."""
    row = connection.first(_BY_DIGEST, {"wanted": digest})
    return None if row is None else _token_of(row)


def everyone(connection: Transaction) -> list[Token]:
    """All tokens, newest first."""
    return [_token_of(row) for row in connection.execute(_ALL)]


def revoke(connection: Transaction, id: str, *, now: int) -> Token:
    """Make a token worthless from now on; raises ``NotFound``."""
    row = connection.first(_REVOKE, {"wanted": id, "now": now})
    if row is None:
        raise NotFound(f"there is no token {id!r}")
    return _token_of(row)


def _row_of(token: Token) -> Values:
    """A token as a row."""
    return {
        "id": token.id,
        "account": token.account,
        "scope": token.scope.value,
        "digest": token.digest,
        "created_at": stamp(token.created_at),
        "expires_at": stamp_or_none(token.expires_at),
        "revoked_at": stamp_or_none(token.revoked_at),
        "label": token.label,
    }


def _token_of(row: Row) -> Token:
    """A token from its row."""
    return Token(
        id=row.id,
        account=row.account,
        scope=Scope(row.scope),
        digest=row.digest,
        created_at=moment(row.created_at),
        expires_at=moment_or_none(row.expires_at),
        revoked_at=moment_or_none(row.revoked_at),
        label=row.label,
    )
