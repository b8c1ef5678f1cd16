"""Who a request speaks for: bearer tokens, of which only a digest is kept."""

import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from quanopy.domain.accounts import Identity, Scope, Token
from quanopy.domain.errors import Denied, Forbidden
from quanopy.domain.ids import new_id
from quanopy.ports.tokens import TokenStore
from quanopy.server.loop import Calls

PREFIX = "qnp_"
FRESH_S = 5.0
"""How long a token is believed without asking again: a revoked one works no longer than this."""
MOST_REMEMBERED = 10_000
_RANK = {Scope.USER: 0, Scope.OPERATOR: 1, Scope.ADMIN: 2}


def new_secret() -> str:
    """A token's secret: 256 random bits."""
    return PREFIX + secrets.token_urlsafe(32)


def digest_of_secret(secret: str) -> str:
    """What is kept of a secret. A plain hash will do for 256 random bits."""
    return hashlib.sha256(secret.encode()).hexdigest()


def make_token(
    account: str,
    scope: Scope,
    *,
    secret: str,
    label: str = "",
    expires_in_s: float | None = None,
) -> Token:
    """A token as it is stored."""
    now = datetime.now(UTC)
    return Token(
        id=new_id("token"),
        account=account,
        scope=scope,
        digest=digest_of_secret(secret),
        created_at=now,
        expires_at=None if expires_in_s is None else now + timedelta(seconds=expires_in_s),
        label=label,
    )


def require(identity: Identity, scope: Scope) -> None:
    """Raise :class:`Forbidden` unless the caller has at least this scope."""
    if _RANK[identity.scope] < _RANK[scope]:
        raise Forbidden(
            f"this needs the scope {scope}, the token has {identity.scope}",
            hint="Ask the operator of this server.",
        )


def is_operator(identity: Identity) -> bool:
    """Whether the caller has the operator's scope, or more."""
    return _RANK[identity.scope] >= _RANK[Scope.OPERATOR]


class Authenticator:
    """Tells identities by their tokens and remembers each for a moment."""

    def __init__(
        self, store: TokenStore, calls: Calls, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._calls = calls
        self._clock = clock
        self._known: OrderedDict[str, tuple[Token, float]] = OrderedDict()

    async def identify(self, authorization: bytes | None) -> Identity:
        """The identity of an ``Authorization`` header; raises :class:`Denied`."""
        digest = digest_of_secret(_secret(authorization))
        found = self._known.get(digest)
        if found is None or found[1] < self._clock():
            token = await self._calls.run(self._store.token, digest)
            self._remember(digest, token)
        else:
            token = found[0]
        return _identity(token)

    def forget(self, token: Token) -> None:
        """Believe this token no longer, as of now."""
        self._known.pop(token.digest, None)

    def _remember(self, digest: str, token: Token | None) -> None:
        """Only tokens that exist are remembered: guesses must not push them out."""
        self._known.pop(digest, None)
        if token is not None:
            self._known[digest] = (token, self._clock() + FRESH_S)
            if len(self._known) > MOST_REMEMBERED:
                self._known.popitem(last=False)


def _secret(authorization: bytes | None) -> str:
    scheme, _, secret = (authorization or b"").partition(b" ")
    secret = secret.strip()
    if scheme.lower() != b"bearer" or not 1 <= len(secret) <= 200 or not secret.isascii():
        raise Denied(
            "this needs a bearer token",
            hint="Send `Authorization: Bearer qnp_…`; the client takes it from QUANOPY_TOKEN.",
        )
    return secret.decode("ascii")


def _identity(token: Token | None) -> Identity:
    if token is None or token.revoked_at is not None:
        raise Denied("this token is not known", hint="Ask the operator for a new one.")
    if token.expires_at is not None and token.expires_at <= datetime.now(UTC):
        raise Denied("this token has expired", hint="Ask the operator for a new one.")
    return Identity(account=token.account, scope=token.scope, token_id=token.id)
