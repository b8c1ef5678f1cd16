"""History: pages of events, and a stream that follows them."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from quanopy.domain.errors import Invalid, QuanopyError
from quanopy.domain.events import Event, Position
from quanopy.ports.events import EventPage, EventQuery
from quanopy.server.feed import Subscription
from quanopy.server.openapi import problems, shows
from quanopy.server.routes import examples
from quanopy.server.routes.groups import owned
from quanopy.server.routes.parameters import JobId, account_asked
from quanopy.server.shown import event_out
from quanopy.server.web import Web, answer, identity_of, web_of
from quanopy.wire.problems import to_problem
from quanopy.wire.service import EventsOut

router = APIRouter(prefix="/v1", tags=["events"])

KEEP_ALIVE_S = 15.0
PAGE = 500

After = Annotated[str | None, Query(max_length=40, description="`position`, or an event's `id`.")]
Limit = Annotated[int, Query(ge=1, le=1000)]
Jobs = Annotated[list[str] | None, Query(max_length=1000, description="Only of these jobs.")]
GroupOf = Annotated[
    str | None, Query(max_length=100, description="Only of this group and its jobs.", alias="group")
]
Account = Annotated[
    str | None, Query(max_length=100, description="Another's events, or `*`: for operators.")
]


@router.get(
    "/jobs/{id}/events",
    summary="A job's history",
    response_model=EventsOut,
    responses={**shows(examples.EVENTS), **problems(404)},
)
async def job_events(
    request: Request, id: JobId, after: After = None, limit: Limit = 1000
) -> Response:
    """What happened to the job, its tasks and executions, in order."""
    web = web_of(request)
    await web.reads.owned([id], identity_of(request))
    query = EventQuery(after=_position(after), job_ids=[id], limit=limit)
    return answer(_page(await web.calls.run(web.store.events, query)))


@router.get(
    "/events",
    summary="History of all one's jobs",
    response_model=EventsOut,
    responses={**shows(examples.EVENTS), **problems(403, 404)},
)
async def events(
    request: Request,
    after: After = None,
    limit: Limit = 1000,
    job: Jobs = None,
    account: Account = None,
    group: GroupOf = None,
) -> Response:
    """A page in order; go on from its `position`, which never skips an event."""
    web = web_of(request)
    query = await _query(request, _position(after), job, account, limit, group)
    return answer(_page(await web.calls.run(web.store.events, query)))


@router.get(
    "/events/stream",
    summary="Follow events as they happen",
    response_class=StreamingResponse,
    responses={
        200: {
            "content": {
                "text/event-stream": {
                    "example": 'id: 1042.7\nevent: job.queued\ndata: {"id":"1042.7",…}\n\n'
                }
            }
        },
        **problems(403, 404),
    },
)
async def stream(
    request: Request,
    after: After = None,
    job: Jobs = None,
    account: Account = None,
    group: GroupOf = None,
) -> Response:
    """Server-sent events: those after `after` (or `Last-Event-ID`; without either from now on),
    then each as it happens. Comments keep the connection alive."""
    web = web_of(request)
    start = request.headers.get("last-event-id", after)
    position = await web.calls.run(web.store.horizon) if start is None else _position(start)
    query = await _query(request, position, job, account, PAGE, group)
    return StreamingResponse(
        _follow(web, query),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


def _position(text: str | None) -> Position:
    return Position() if text is None else Position.parse(text)


async def _query(
    request: Request,
    after: Position,
    jobs: list[str] | None,
    account: str | None,
    limit: int,
    group: str | None,
) -> EventQuery:
    identity = identity_of(request)
    whose = account_asked(identity, account)
    if group is not None:
        if jobs:
            raise Invalid("jobs and a group are asked for", where="group", hint="Give one.")
        found = await owned(web_of(request), identity, group)
        return EventQuery(after=after, account=found.account, group_id=group, limit=limit)
    if jobs:
        await web_of(request).reads.owned(jobs, identity)
        return EventQuery(after=after, job_ids=frozenset(jobs), limit=limit)
    return EventQuery(after=after, account=whose, limit=limit)


def _page(page: EventPage) -> EventsOut:
    return EventsOut(
        events=[event_out(event) for event in page.events], position=str(page.position)
    )


async def _follow(web: Web, query: EventQuery) -> AsyncIterator[bytes]:
    """Catch up from the store, then go on with what the feed brings; again when it was too much
    to hold. Ends with a problem when the store is gone: the follower comes back."""
    position = query.after
    # The position, though no event has it: a follower whose connection breaks before the first
    # event goes on from here.
    yield b": following\nid: %s\n\n" % str(position).encode()
    with web.feed.subscribe(lambda event: _wanted(query, event)) as subscription:
        try:
            await web.feed.following()
            async for chunk, at in _chunks(web, query, subscription, position):
                yield chunk
                position = at
        except QuanopyError as error:
            problem = to_problem(error).model_dump_json(exclude_none=True)
            yield b"event: problem\ndata: %b\n\n" % problem.encode()


async def _chunks(
    web: Web, query: EventQuery, subscription: Subscription, position: Position
) -> AsyncIterator[tuple[bytes, Position]]:
    behind = True
    while True:
        if behind or subscription.lagging:
            subscription.restart()
            async for chunk, at in _catch_up(web, query, position):
                yield chunk, at
                position = at
            behind = False
        try:
            event = await asyncio.wait_for(subscription.next(), KEEP_ALIVE_S)
        except TimeoutError:
            yield b": alive\n\n", position
            continue
        if event is None:
            return
        if query.group_id is not None:
            # An event does not say whose group its job is in: the store does.
            behind = True
        elif event.position > position:
            position = event.position
            yield _line(event), position


async def _catch_up(
    web: Web, query: EventQuery, position: Position
) -> AsyncIterator[tuple[bytes, Position]]:
    while True:
        following = replace(query, after=position, limit=PAGE)
        page = await web.calls.run(web.store.events, following)
        position = page.position
        yield b"".join(_line(event) for event in page.events), position
        if len(page.events) < PAGE:
            return


def _wanted(query: EventQuery, event: Event) -> bool:
    if query.job_ids is not None:
        return event.job_id in query.job_ids
    return query.account is None or event.account == query.account


def _line(event: Event) -> bytes:
    data = event_out(event).model_dump_json()
    return f"id: {event.position}\nevent: {event.kind}\ndata: {data}\n\n".encode()
