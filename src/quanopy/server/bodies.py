"""Request bodies: bounded while they arrive, read once, refused with the place of the fault."""

import asyncio
from typing import IO, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request

from quanopy.domain.errors import Invalid, TooLarge, Unsupported
from quanopy.server.loop import Calls
from quanopy.wire.refusals import refusal

M = TypeVar("M", bound=BaseModel)
_JSON = "application/json"
_PIECE = 1024 * 1024
"""Bytes of a body that are kept in memory before they are written down."""


async def read_body(request: Request, *, limit: int, timeout_s: float) -> bytes:
    """The body of a JSON request.

    Raises :class:`Unsupported` for another media type or an encoded body, :class:`TooLarge`
    beyond ``limit`` bytes, whatever the request says of its length, :class:`Invalid` for one
    that does not arrive in ``timeout_s`` seconds.
    """
    _check_headers(request, limit)
    try:
        async with asyncio.timeout(timeout_s):
            return await _collect(request, limit)
    except TimeoutError:
        raise Invalid(f"the body did not arrive within {timeout_s:g} seconds") from None
    except ClientDisconnect:
        raise Invalid("the connection closed before the body had arrived") from None


async def spool_body(
    request: Request,
    file: IO[bytes],
    media_type: str,
    calls: Calls,
    *,
    limit: int,
    timeout_s: float,
) -> None:
    """Write the body of a request into a file as it comes, a piece at a time and in a thread: it
    may take long, but not stop for ``timeout_s`` seconds. Raises as :func:`read_body`."""
    _check_headers(request, limit, media_type)
    size, stream, piece = 0, aiter(request.stream()), bytearray()
    try:
        while True:
            async with asyncio.timeout(timeout_s):
                part = await anext(stream, None)
            if part is None:
                break
            size += len(part)
            if size > limit:
                raise _too_large(limit)
            piece += part
            if len(piece) >= _PIECE:
                await calls.run(file.write, bytes(piece))
                piece.clear()
        await calls.run(file.write, bytes(piece))
    except TimeoutError:
        raise Invalid(f"nothing of the body came for {timeout_s:g} seconds") from None
    except ClientDisconnect:
        raise Invalid("the connection closed before the body had arrived") from None


def _check_headers(request: Request, limit: int, wanted: str = _JSON) -> None:
    headers = request.headers
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != wanted:
        raise Unsupported(
            f"the body is {media_type[:100] or 'of no stated type'}",
            where="Content-Type",
            hint=f"Send {wanted}.",
        )
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise Unsupported("encoded bodies are not read", where="Content-Encoding")
    length = headers.get("content-length", "")
    if length.isdigit() and int(length) > limit:
        raise _too_large(limit)


async def _collect(request: Request, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(
        f"the body is larger than {limit} bytes", hint="Split the work into several requests."
    )


def parse(model: type[M], body: bytes) -> M:
    """The body as a model; raises :class:`Invalid` with the place of the first fault. Nesting is
    bounded by the parser (200 levels), which is not recursive in Python."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise refusal(error.errors(), model) from None
