"""Receipts: jobs with all that belongs to them, as one archive to keep."""

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from tempfile import TemporaryFile
from typing import IO

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from quanopy.codecs.receipt_files import ReceiptFile
from quanopy.codecs.receipts import MEDIA_TYPE
from quanopy.domain.imports import ImportStep
from quanopy.ports.wakeups import Topic
from quanopy.server.bodies import spool_body
from quanopy.server.openapi import problems, shows
from quanopy.server.routes import examples
from quanopy.server.routes.groups import owned
from quanopy.server.routes.parameters import GroupId, JobId
from quanopy.server.underway import MEDIA_TYPE as EVENTS
from quanopy.server.underway import told, wants_events
from quanopy.server.web import Web, answer, identity_of, web_of
from quanopy.services.importing import TakenIn, Tell
from quanopy.services.receipts import Made, members_of, receipt_of
from quanopy.wire.jobs import ImportingOut, LeftOutOut, ReceiptOut

router = APIRouter(prefix="/v1", tags=["receipts"])

_PACKAGES = (
    *("quanopy", "numpy", "qiskit", "qiskit-aer", "qiskit-ibm-runtime", "iqm-client"),
    *("amazon-braket-sdk", "amazon-braket-default-simulator", "bloqade-analog"),
    *("perceval-quandela", "pasqal-cloud", "pulser-core", "qrmi"),
)
"""Those whose versions may matter for what a job gave."""
_ZIP = {"schema": {"type": "string", "format": "binary"}, "example": "PK…"}


@router.get(
    "/jobs/{id}/receipt",
    summary="A job's receipt",
    response_class=StreamingResponse,
    responses={
        200: {"content": {MEDIA_TYPE: _ZIP}},
        **problems(404),
    },
)
async def get_receipt(request: Request, id: JobId) -> Response:
    """One zip with program, options, result, calibrations, history, versions and digests, to be
    read without this server. Of a job that is not final: as far as it is known now."""
    web = web_of(request)
    await web.reads.owned([id], identity_of(request))
    pieces = receipt_of(web.store, web.objects, [id], _made(request))
    return await _streamed(web, pieces, id)


@router.get(
    "/groups/{id}/receipt",
    summary="A group's receipt",
    response_class=StreamingResponse,
    responses={
        200: {"content": {MEDIA_TYPE: _ZIP}},
        **problems(404),
    },
)
async def get_group_receipt(request: Request, id: GroupId) -> Response:
    """The same of all jobs of a group, in order, with its policy and history; what they share is
    there once."""
    web = web_of(request)
    group = await owned(web, identity_of(request), id)
    ids = await web.calls.run(members_of, web.store, group)
    pieces = receipt_of(web.store, web.objects, ids, _made(request), group=group)
    return await _streamed(web, pieces, id)


@router.post(
    "/receipts",
    summary="Import a receipt",
    status_code=201,
    response_model=ReceiptOut,
    responses={
        200: {
            "model": ReceiptOut,
            "description": "All its jobs were there already; or the event stream.",
            "content": {EVENTS: {"example": examples.IMPORTING}},
        },
        **shows(examples.RECEIPT, status=201),
        **problems(409, 413, 415),
    },
    openapi_extra={"requestBody": {"required": True, "content": {MEDIA_TYPE: _ZIP}}},
)
async def import_receipt(request: Request) -> Response:
    """Its jobs become the caller's, with their ids and as they ended; what is known of them was
    told, not seen, and they say so. Importing twice changes nothing. A job that is there and is
    another, or another's, is a conflict; one that was not final is left out. With `Accept:
    text/event-stream` it is told how far it is: events `progress`, then `done` with the answer, or
    `problem`; the import goes on where nobody listens."""
    web, identity, far = web_of(request), identity_of(request), _HowFar()
    work = web.asks.run(_take_in, web, await _spooled(request, web), identity.account, far.tell)
    if wants_events(request):
        return told(work, lambda: far.last)
    found = await work
    return answer(found, 201 if found.new else 200)


async def _spooled(request: Request, web: Web) -> IO[bytes]:
    """The body as a file, which whoever reads it closes."""
    settings = web.settings
    with ExitStack() as opened:
        file = opened.enter_context(TemporaryFile())
        await spool_body(
            request,
            file,
            MEDIA_TYPE,
            web.calls,
            limit=settings.receipt_limit,
            timeout_s=settings.body_timeout_s,
        )
        opened.pop_all()
    return file


@dataclass(slots=True)
class _HowFar:
    """What was told last."""

    last: ImportingOut | None = None

    def tell(self, step: ImportStep, done: int, of: int) -> None:
        self.last = ImportingOut(step=step, done=done, of=of)


def _take_in(web: Web, file: IO[bytes], account: str, tell: Tell) -> ReceiptOut:
    with file, ReceiptFile(file) as receipt:
        taken = web.importing.take_in(receipt, account, tell)
    web.wakeups.notify(Topic.EVENTS)
    return _receipt_out(taken)


def _receipt_out(taken: TakenIn) -> ReceiptOut:
    return ReceiptOut(
        receipt=taken.imported.receipt,
        broker=taken.imported.broker,
        exported_at=taken.imported.exported_at,
        new=list(taken.new),
        known=list(taken.known),
        left_out=[LeftOutOut(id=one.id, reason=one.reason) for one in taken.left_out],
    )


async def _streamed(web: Web, pieces: Iterator[bytes], name: str) -> Response:
    """The pieces as they are made. What is wrong before the first is an answer of its own; what
    goes wrong later breaks the connection, and nobody takes it for a whole receipt."""
    first = await web.calls.run(next, pieces, b"")
    headers = {"Content-Disposition": f'attachment; filename="{name}.quanopy"'}
    return StreamingResponse(_rest(web, first, pieces), media_type=MEDIA_TYPE, headers=headers)


async def _rest(web: Web, piece: bytes, pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    while piece:
        yield piece
        piece = await web.calls.run(next, pieces, b"")


def _made(request: Request) -> Made:
    return Made(
        at=datetime.now(UTC),
        broker=_address(request),
        account=identity_of(request).account,
        versions=_versions(),
    )


def _address(request: Request) -> str:
    """As the caller names this broker, without credentials."""
    url = request.url
    return f"{url.scheme}://{url.hostname or ''}" + (f":{url.port}" if url.port else "")


@cache
def _versions() -> dict[str, str]:
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
