"""Work that takes long, told of while it is done: as an event stream."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import StreamingResponse

from quanopy.domain.errors import QuanopyError
from quanopy.server.problems import unexpected_problem
from quanopy.wire.problems import to_problem

MEDIA_TYPE = "text/event-stream"
EVERY_S = 0.5
"""How often it is told how far the work is; so that no proxy takes silence for an end, too."""


def wants_events(request: Request) -> bool:
    """Whether a caller asks for an event stream."""
    return MEDIA_TYPE in request.headers.get("accept", "")


def told(work: Awaitable[BaseModel], how_far: Callable[[], BaseModel | None]) -> StreamingResponse:
    """How far the work is (``progress``), then what came of it (``done``), or why nothing did
    (``problem``). The work begins at once, and goes on where nobody listens any more."""
    return StreamingResponse(
        _events(asyncio.ensure_future(_last(work)), how_far),
        media_type=MEDIA_TYPE,
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _events(
    last: asyncio.Future[bytes], how_far: Callable[[], BaseModel | None]
) -> AsyncIterator[bytes]:
    while not (await asyncio.wait({last}, timeout=EVERY_S))[0]:
        far = how_far()
        yield b": begun\n\n" if far is None else _event("progress", far)
    yield last.result()


async def _last(work: Awaitable[BaseModel]) -> bytes:
    """The event with which the work ends. What nobody foresaw is logged, listened to or not."""
    try:
        return _event("done", await work)
    except QuanopyError as error:
        return _event("problem", to_problem(error))
    except Exception as error:  # noqa: BLE001 - the answer has begun: it is told in it
        return _event("problem", unexpected_problem(error))


def _event(kind: str, data: BaseModel) -> bytes:
    return f"event: {kind}\ndata: {data.model_dump_json(exclude_none=True)}\n\n".encode()
