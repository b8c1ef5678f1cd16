"""Tokens, for administrators."""

from typing import Annotated

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from quanopy.domain.accounts import Scope
from quanopy.server.auth import make_token, new_secret, require
from quanopy.server.bodies import parse, read_body
from quanopy.server.openapi import problems, shows, takes
from quanopy.server.routes import examples
from quanopy.server.shown import token_out
from quanopy.server.web import answer, identity_of, web_of
from quanopy.wire.service import TokenIn, TokenOut, TokensOut

router = APIRouter(prefix="/v1/tokens", tags=["tokens"])


@router.get(
    "",
    summary="All tokens",
    response_model=TokensOut,
    responses={**shows({"tokens": [examples.TOKEN]}), **problems(403)},
)
async def list_tokens(request: Request) -> Response:
    """Newest first, without their secrets: those are not kept."""
    web = web_of(request)
    require(identity_of(request), Scope.ADMIN)
    tokens = await web.calls.run(web.store.tokens)
    return answer(TokensOut(tokens=[token_out(token) for token in tokens]))


@router.post(
    "",
    summary="Make a token",
    status_code=201,
    response_model=TokenOut,
    responses={
        **shows(examples.TOKEN | {"secret": "qnp_…"}, status=201),
        **problems(403, 413, 415),
    },
    openapi_extra=takes(TokenIn, example={"account": "ada", "label": "laptop"}),
)
async def make(request: Request) -> Response:
    """The answer is the only place where its secret ever appears."""
    web = web_of(request)
    require(identity_of(request), Scope.ADMIN)
    body = await read_body(request, limit=64 * 1024, timeout_s=web.settings.body_timeout_s)
    asked = parse(TokenIn, body)
    secret = new_secret()
    token = make_token(
        asked.account,
        asked.scope,
        secret=secret,
        label=asked.label,
        expires_in_s=asked.expires_in_s,
    )
    await web.calls.run(web.store.add_token, token)
    return answer(token_out(token, secret), 201, {"Cache-Control": "no-store"})


@router.delete(
    "/{id}",
    summary="Revoke a token",
    response_model=TokenOut,
    responses={**shows(examples.TOKEN), **problems(403, 404)},
)
async def revoke(
    request: Request,
    id: Annotated[str, Path(max_length=100, examples=[examples.TOKEN["id"]])],
) -> Response:
    """Worthless here at once, and within seconds at other servers of the same database."""
    web = web_of(request)
    require(identity_of(request), Scope.ADMIN)
    token = await web.calls.run(web.store.revoke_token, id)
    web.authenticator.forget(token)
    return answer(token_out(token))
