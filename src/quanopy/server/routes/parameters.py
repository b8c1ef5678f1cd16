"""Parameters that several routes take."""

from datetime import datetime
from typing import Annotated

from fastapi import Path, Query
from starlette.requests import Request

from quanopy.domain.accounts import Identity, Scope
from quanopy.domain.errors import Invalid
from quanopy.domain.texts import is_showable
from quanopy.server.auth import require
from quanopy.server.routes import examples
from quanopy.server.waiting import MOST_S

JobId = Annotated[str, Path(description="A job's id.", max_length=100, examples=[examples.JOB_ID])]
GroupId = Annotated[str, Path(description="A group's id.", max_length=100)]
Wait = Annotated[
    float, Query(ge=0, le=MOST_S, description="Seconds to wait, at most.", alias="wait")
]
KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200},
    "description": "The same key with the same body gives the same jobs, however often sent.",
}
CUT = "segments group_"
"""How the keys begin that stand for the segments of groups; none of a request does."""


def account_asked(identity: Identity, account: str | None) -> str | None:
    """Whose things to show: the caller's own, or for operators another's or (``*``) all."""
    if account is None or account == identity.account:
        return identity.account
    require(identity, Scope.OPERATOR)
    return None if account == "*" else text_of("account", account)


def text_of(where: str, text: str | None) -> str | None:
    """A text that is asked for; raises :class:`Invalid` for one that none can be."""
    if text is not None and not is_showable(text):
        raise Invalid("it has characters that cannot be shown", where=where)
    return text


def aware(where: str, at: datetime | None) -> datetime | None:
    """A time that is asked for; raises :class:`Invalid` for one without a zone."""
    if at is not None and at.tzinfo is None:
        raise Invalid("the time has no zone", where=where, hint="End it with Z for UTC.")
    return at


def idempotency_key(request: Request) -> str | None:
    """What makes a repeated request the same; raises :class:`Invalid`."""
    key = request.headers.get("idempotency-key")
    if key is None:
        return None
    if not (1 <= len(key) <= 200 and key.isascii() and key.isprintable()):
        raise Invalid("it is not 1 to 200 printable ASCII characters", where="Idempotency-Key")
    if key.startswith(CUT):
        raise Invalid(f"keys that begin with {CUT!r} are the broker's own", where="Idempotency-Key")
    return key
