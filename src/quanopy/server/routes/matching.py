"""Matching: which resources fit what a job asks for, and why the others do not."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from quanopy.domain.requirements import Choice, Need
from quanopy.server.asked import requirements_of
from quanopy.server.bodies import parse, read_body
from quanopy.server.openapi import problems, shows, takes
from quanopy.server.routes import examples
from quanopy.server.shown import match_out
from quanopy.server.web import Web, answer, identity_of, web_of
from quanopy.services.choosing import choose
from quanopy.wire.matching import MatchIn, MatchOut

router = APIRouter(prefix="/v1/match", tags=["resources"])


@router.post(
    "",
    summary="Which resources fit",
    response_model=MatchOut,
    responses={**shows(examples.MATCH), **problems(413, 415)},
    openapi_extra=takes(MatchIn, example={"requires": {"qubits": 5, "connectivity": "linear"}}),
)
async def match(request: Request) -> Response:
    """All resources, those that fit first, the best before all; the others with the reasons why
    they do not. Vendors are asked for what is not known yet."""
    web = web_of(request)
    body = await read_body(request, limit=256 * 1024, timeout_s=web.settings.body_timeout_s)
    asked = parse(MatchIn, body)
    account = identity_of(request).account
    return answer(match_out(await web.asks.run(_choice, web, account, asked)))


def _choice(web: Web, account: str, asked: MatchIn) -> Choice:
    wanted = requirements_of(asked.requires)
    need = Need(kind=asked.kind, formats=tuple(asked.formats), shots=asked.shots)
    return choose(wanted, need, web.candidates.of(account, wanted, need, patient=True))
