"""Adoptions: jobs that were made at a vendor by somebody else, taken over."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from quanopy.domain.accounts import Scope
from quanopy.domain.adoptions import Adoption
from quanopy.domain.errors import NotFound, ResourceMismatch
from quanopy.ports.wakeups import Topic
from quanopy.server.auth import require
from quanopy.server.bodies import parse, read_body
from quanopy.server.openapi import problems, shows, takes
from quanopy.server.routes import examples
from quanopy.server.routes.parameters import Wait
from quanopy.server.shown import problem_out
from quanopy.server.waiting import wait_for_try
from quanopy.server.web import answer, identity_of, web_of
from quanopy.wire.service import AdoptIn, AdoptionOut

router = APIRouter(prefix="/v1/adoptions", tags=["adoptions"])


@router.post(
    "",
    summary="Take over a vendor's job",
    status_code=202,
    response_model=AdoptionOut,
    responses={
        200: {"model": AdoptionOut, "description": "It has been taken over before."},
        **shows(examples.ADOPTION, status=202),
        **problems(403, 404, 409, 413, 415, 422),
    },
    openapi_extra=takes(AdoptIn, example={"provider": "acme", "id": "d1a2", "name": "old"}),
)
async def adopt_job(request: Request) -> Response:
    """A worker with that provider asks the vendor for it: ask `GET` what became of it. The same
    job is taken over once, however often asked for; one that was sent from here is a conflict,
    which names its job. For operators: the account at the vendor is theirs."""
    web, identity = web_of(request), identity_of(request)
    require(identity, Scope.OPERATOR)
    body = await read_body(request, limit=64 * 1024, timeout_s=web.settings.body_timeout_s)
    asked = parse(AdoptIn, body)
    statuses = await web.calls.run(web.store.resources)
    known = sorted({one.resource.provider for one in statuses})
    if asked.provider not in known:
        raise NotFound(
            f"no worker has a provider {asked.provider}",
            where="provider",
            hint=f"Known: {', '.join(known) or 'none'}.",
        )
    own = [one.resource for one in statuses if one.resource.provider == asked.provider]
    if not any(resource.capabilities.adopts for resource in own):
        raise ResourceMismatch(
            f"{asked.provider} emulates here, and has no jobs that were made elsewhere",
            where="provider",
            hint="Name a vendor's provider; or submit the program as a job.",
        )
    found = await web.calls.run(
        web.store.ask_adoption,
        Adoption(
            provider=asked.provider,
            provider_job_id=asked.id,
            account=asked.account or identity.account,
            name=asked.name,
            tags=tuple(dict.fromkeys(asked.tags)),
            actor=identity.account,
            asked_at=datetime.now(UTC),
        ),
    )
    web.wakeups.notify(Topic.CANCEL)
    return answer(_out(found), 202 if found.open else 200)


@router.get(
    "",
    summary="What became of an adoption",
    response_model=AdoptionOut,
    responses={**shows(examples.ADOPTION), **problems(403, 404)},
)
async def get_adoption(
    request: Request,
    provider: Annotated[str, Query(max_length=100, description="The provider's name.")],
    id: Annotated[str, Query(max_length=500, description="The vendor's id.")],
    wait: Wait = 0.0,
) -> Response:
    """`job_id` once it is a job here, `problem` where it cannot be, neither until the vendor has
    been asked; with `wait`: answers when it has been, or time is over. For operators."""
    web = web_of(request)
    require(identity_of(request), Scope.OPERATOR)

    async def look() -> Adoption:
        found = await web.calls.run(web.store.adoption, provider, id)
        if found is None:
            raise NotFound("nobody has asked to adopt that", where="id", hint="POST it first.")
        return found

    found = await wait_for_try(web, id, look, lambda one: not one.open, wait)
    return answer(_out(found))


def _out(found: Adoption) -> AdoptionOut:
    return AdoptionOut(
        provider=found.provider,
        id=found.provider_job_id,
        account=found.account,
        job_id=found.job_id,
        problem=problem_out(found.problem),
        asked_at=found.asked_at,
    )
