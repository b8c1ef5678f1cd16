"""uvicorn's HTTP protocol with bounds on what comes before a request's body."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD = 64 * 1024
"""Bytes of a request line and headers."""
HEAD_S = 75.0
"""Seconds until the headers of a connection's first request, or of one begun, are complete."""


class BoundedProtocol(HttpToolsProtocol):
    """Refuses headers without end, and lets go of callers that never send all of theirs."""

    _head = 0
    _in_body = False
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See :class:`asyncio.Protocol`."""
        super().connection_made(transport)
        self._timer = self.loop.call_later(HEAD_S, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """See :class:`asyncio.Protocol`."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what belongs to no body."""
        self._head += 0 if self._in_body else len(data)
        super().data_received(data)
        if self._in_body or not self._head or self.transport.is_closing():
            return
        if self._head > MOST_HEAD:
            self.send_400_response("The headers are too large.")
        elif self._timer is None:
            self._timer = self.loop.call_later(HEAD_S, self.transport.close)

    def on_headers_complete(self) -> None:
        """A body follows, if only an empty one."""
        self._head, self._in_body = 0, True
        self._stop_timer()
        super().on_headers_complete()

    def on_message_complete(self) -> Any:
        """The next request begins."""
        self._in_body = False
        return super().on_message_complete()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
