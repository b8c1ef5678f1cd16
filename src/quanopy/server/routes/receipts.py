"""Receipts: jobs with all that belongs to them, as one archive to keep."""

import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from quanopy.codecs.receipts import MEDIA_TYPE
from quanopy.server.openapi import problems
from quanopy.server.routes.jobs import JobId
from quanopy.server.web import Web, identity_of, web_of
from quanopy.services.receipts import Made, receipt_of

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
