"""Webhooks: where an account is told what happens."""

import hashlib
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from quanopy.domain.accounts import Identity
from quanopy.domain.errors import Invalid, NotFound
from quanopy.domain.ids import is_id, new_id
from quanopy.domain.webhooks import Webhook, WebhookChange, checked_kinds
from quanopy.ports.wakeups import Topic
from quanopy.server.auth import is_operator
from quanopy.server.bodies import parse, read_body
from quanopy.server.notes import webhook_out
from quanopy.server.openapi import problems, shows, takes
from quanopy.server.routes import examples
from quanopy.server.routes.groups import owned
from quanopy.server.routes.parameters import KEY, Wait, account_asked, aware, idempotency_key
from quanopy.server.waiting import wait_for_try
from quanopy.server.web import Web, answer, identity_of, web_of
from quanopy.wire.webhooks import WebhookIn, WebhookOut, WebhookSecretOut, WebhooksOut

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])

_LIMIT = 64 * 1024
_UNSEEN = {"Cache-Control": "no-store"}
_KEY = KEY | {
    "description": "The same key with the same body gives the same webhook, however often sent."
}
Id = Annotated[
    str, Path(description="A webhook's id.", max_length=100, examples=[examples.WEBHOOK["id"]])
]


@router.post(
    "",
    summary="Add a webhook",
    status_code=201,
    response_model=WebhookOut,
    responses={
        200: {"model": WebhookOut, "description": "What this Idempotency-Key made before."},
        **shows(examples.WEBHOOK | {"secret": "whsec_…"}, status=201),
        **problems(403, 404, 409, 413, 415, 429),
    },
    openapi_extra={**takes(WebhookIn, example=examples.WEBHOOK_IN), "parameters": [_KEY]},
)
async def add(request: Request) -> Response:
    """It is sent what happens from now on, one event a request, in order, signed with the
    `secret` of the answer."""
    web, identity = web_of(request), identity_of(request)
    key = idempotency_key(request)
    body = await read_body(request, limit=_LIMIT, timeout_s=web.settings.body_timeout_s)
    asked = parse(WebhookIn, body)
    web.egress.place(asked.url)
    await _check_subject(web, identity, asked)
    webhook = Webhook(
        id=new_id("hook"),
        account=identity.account,
        url=asked.url,
        kinds=checked_kinds(asked.kinds),
        job_id=asked.job,
        group_id=asked.group,
        label=asked.label,
        created_at=datetime.now(UTC),
    )
    digest = hashlib.sha256(body).hexdigest()
    made, new = await web.calls.run(
        web.store.add_webhook, webhook, idempotency_key=key, request_digest=digest
    )
    secret = await web.asks.run(web.webhook_secrets.newest, made)
    web.wakeups.notify(Topic.HOOKS, Topic.EVENTS)
    headers = _UNSEEN | {"Location": f"/v1/webhooks/{made.id}"}
    return answer(webhook_out(made, whole=True, secret=secret), 201 if new else 200, headers)


@router.get(
    "",
    summary="All one's webhooks",
    response_model=WebhooksOut,
    responses={**shows({"webhooks": [examples.WEBHOOK]}), **problems(403)},
)
async def list_webhooks(
    request: Request,
    account: Annotated[
        str | None, Query(max_length=100, description="Another's, or `*`: for operators.")
    ] = None,
) -> Response:
    """Newest first, and how each stands."""
    web, identity = web_of(request), identity_of(request)
    whose = account_asked(identity, account)
    found = await web.calls.run(web.store.webhooks, account=whose)
    return answer(WebhooksOut(webhooks=[_shown(one, identity) for one in found]))


@router.get(
    "/{id}",
    summary="One webhook",
    response_model=WebhookOut,
    responses={**shows(examples.WEBHOOK), **problems(404)},
)
async def look(
    request: Request,
    id: Id,
    wait: Wait = 0.0,
    attempts: Annotated[int, Query(ge=0, le=2**53)] = 0,
    delivered_at: datetime | None = None,
) -> Response:
    """How it stands: what was delivered, why it fails, when it is tried again. With `wait`:
    answers once something was sent, or tried, since it stood as these `attempts` and
    `delivered_at` say, or it is paused, or time is over."""
    web, identity = web_of(request), identity_of(request)
    since = aware("delivered_at", delivered_at)

    def tried(one: Webhook) -> bool:
        return one.paused or one.attempts > attempts or one.delivered_at != since

    async def seen() -> Webhook:
        return await web.calls.run(_one, web, identity, id)

    return answer(_shown(await wait_for_try(web, id, seen, tried, wait), identity))


@router.delete(
    "/{id}",
    summary="Remove a webhook",
    response_model=WebhookOut,
    responses={**shows(examples.WEBHOOK), **problems(404)},
)
async def remove(request: Request, id: Id) -> Response:
    """Nothing more is sent; the answer shows it as it was."""
    web, identity = web_of(request), identity_of(request)
    was = await web.calls.run(
        web.store.remove_webhook, _checked(id), account=_whose(identity), actor=identity.account
    )
    web.wakeups.notify(Topic.HOOKS, Topic.EVENTS)
    return answer(_shown(was, identity))


@router.post(
    "/{id}/pause",
    summary="Send nothing for a while",
    response_model=WebhookOut,
    responses={**shows(examples.WEBHOOK | {"state": "paused"}), **problems(404)},
)
async def pause(request: Request, id: Id) -> Response:
    """What happens meanwhile is sent once it is resumed."""
    return await _change(request, id, WebhookChange.PAUSE)


@router.post(
    "/{id}/resume",
    summary="Go on, or try again now",
    response_model=WebhookOut,
    responses={**shows(examples.WEBHOOK), **problems(404)},
)
async def resume(request: Request, id: Id) -> Response:
    """From where it stood: nothing is left out."""
    return await _change(request, id, WebhookChange.RESUME)


@router.post(
    "/{id}/test",
    summary="Send a test",
    response_model=WebhookOut,
    responses={**shows(examples.WEBHOOK), **problems(404, 409)},
)
async def send_test(request: Request, id: Id) -> Response:
    """An event `webhook.ping`, after all that is to be sent before it; what fails is tried now."""
    return await _change(request, id, WebhookChange.PING)


@router.get(
    "/{id}/secret",
    summary="What its requests are signed with",
    response_model=WebhookSecretOut,
    responses={**shows(examples.WEBHOOK_SECRET), **problems(404)},
)
async def secret(request: Request, id: Id) -> Response:
    """For its owner alone."""
    web, identity = web_of(request), identity_of(request)
    found = await web.calls.run(_one, web, identity, id)
    return await _secret(web, _own(found, identity))


@router.post(
    "/{id}/secret",
    summary="Sign with a new secret",
    response_model=WebhookSecretOut,
    responses={**shows(examples.WEBHOOK_SECRET), **problems(404)},
)
async def rotate(request: Request, id: Id) -> Response:
    """The answer has it. For a day the one before it signs too. For its owner alone."""
    web, identity = web_of(request), identity_of(request)
    changed = await web.calls.run(
        web.store.change_webhook,
        _checked(id),
        WebhookChange.ROTATE,
        account=identity.account,
        actor=identity.account,
    )
    web.wakeups.notify(Topic.HOOKS, Topic.EVENTS)
    return await _secret(web, changed)


async def _check_subject(web: Web, identity: Identity, asked: WebhookIn) -> None:
    """Raise unless it is of something that the caller's own account has."""
    if asked.job is not None and asked.group is not None:
        raise Invalid("a job and a group are asked for", where="group", hint="Give one.")
    if asked.job is not None:
        known = [asked.job] if is_id(asked.job, "job") else []
        if not await web.calls.run(web.store.jobs, known, account=identity.account):
            raise NotFound(f"you have no job {asked.job[:60]!r}", where="job")
    if asked.group is not None:
        group = await owned(web, identity, asked.group)
        if group.account != identity.account:
            raise NotFound(f"you have no group {asked.group[:60]!r}", where="group")


async def _change(request: Request, id: str, change: WebhookChange) -> Response:
    web, identity = web_of(request), identity_of(request)
    after = await web.calls.run(
        web.store.change_webhook,
        _checked(id),
        change,
        account=_whose(identity),
        actor=identity.account,
    )
    web.wakeups.notify(Topic.HOOKS, Topic.EVENTS)
    return answer(_shown(after, identity))


async def _secret(web: Web, webhook: Webhook) -> Response:
    made = await web.asks.run(web.webhook_secrets.newest, webhook)
    found = WebhookSecretOut(id=webhook.id, secret=made, rotated_at=webhook.rotated_at)
    return answer(found, headers=_UNSEEN)


def _one(web: Web, identity: Identity, id: str) -> Webhook:
    found = web.store.webhooks(account=_whose(identity), ids=[_checked(id)])
    if not found:
        raise _no_such(id)
    return found[0]


def _own(webhook: Webhook, identity: Identity) -> Webhook:
    if webhook.account != identity.account:
        raise _no_such(webhook.id)
    return webhook


def _checked(id: str) -> str:
    """Not every text can be asked for."""
    if not is_id(id, "hook"):
        raise _no_such(id)
    return id


def _no_such(id: str) -> NotFound:
    return NotFound(
        f"there is no webhook {id[:60]!r}",
        where="id",
        hint="List yours: `quanopy webhook list`, or GET /v1/webhooks.",
    )


def _whose(identity: Identity) -> str | None:
    """Operators may stop anybody's."""
    return None if is_operator(identity) else identity.account


def _shown(webhook: Webhook, identity: Identity) -> WebhookOut:
    return webhook_out(webhook, whole=webhook.account == identity.account)
