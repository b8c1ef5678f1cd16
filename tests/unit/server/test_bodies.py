"""Bodies of requests that are kept in a file while they come."""

import asyncio
import io
import threading
from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
from starlette.requests import Request

from quanopy.domain.errors import TooLarge
from quanopy.server.bodies import spool_body
from quanopy.server.loop import Calls

ZIP = "application/zip"
MEGA = 1024 * 1024


class Slow(io.BytesIO):
    """A file on a disk that takes its time."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: list[int] = []
        self.sizes: list[int] = []

    def write(self, data: Any, /) -> int:
        self.threads.append(threading.get_ident())
        self.sizes.append(len(data))
        return super().write(data)


@pytest.fixture
def calls() -> Iterator[Calls]:
    calls = Calls(threads=1)
    yield calls
    calls.close()


def request_of(parts: list[bytes]) -> Request:
    """A request whose body comes in these parts."""
    left = iter(parts)

    async def receive() -> MutableMapping[str, Any]:
        part = next(left, None)
        return {"type": "http.request", "body": part or b"", "more_body": part is not None}

    headers = [(b"content-type", ZIP.encode())]
    return Request({"type": "http", "method": "POST", "headers": headers}, receive)


def spooled(file: Slow, parts: list[bytes], calls: Calls, limit: int) -> None:
    asyncio.run(
        spool_body(request_of(parts), file, ZIP, calls, limit=limit, timeout_s=60.0),
    )


def test_no_other_request_waits_for_the_disk(calls: Calls) -> None:
    file, parts = Slow(), [bytes([i % 256]) * 65_536 for i in range(50)]
    spooled(file, parts, calls, limit=4 * MEGA)
    assert file.getvalue() == b"".join(parts)
    assert threading.get_ident() not in file.threads
    assert file.sizes == [MEGA, MEGA, MEGA, 2 * 65_536]


def test_what_is_too_large_is_refused_as_soon_as_it_is(calls: Calls) -> None:
    file = Slow()
    with pytest.raises(TooLarge):
        spooled(file, [b"x" * MEGA] * 3, calls, limit=2 * MEGA)
    assert sum(file.sizes) == 2 * MEGA
