"""One end of the socket between a parent and its child: whole frames go in and come out.

A frame is one byte for its kind, eight for its length (big-endian), and so many bytes of message.
Whoever answers may have been taken over by what it read: nothing is allocated for a length that
is only claimed, and whatever the other end does, sending and receiving end when the caller says:
however little at a time it gives or takes.
"""

import math
import socket
import struct
import time
from contextlib import suppress

_HEAD = struct.Struct("!BQ")
_TIME = struct.Struct("@ll")
_LEAST, _MOST = 64 * 1024, 1024 * 1024
"""How many bytes are read at once, and at most sent."""
_LOOK_S = 0.02
"""How long the kernel waits before more can be sent. It waits anew for every piece of some 32 KiB
that it makes of what it is given, so that sending may end half a second late."""

HEAD = _HEAD.size
"""Bytes of a frame before its message, to be filled in when it is sent."""


class BadFrame(Exception):
    """What arrives is longer than it may be, or not alone."""


class Channel:
    """Sends and receives frames, in turns; for one thread at a time."""

    def __init__(self, end: socket.socket) -> None:
        """``end`` of a socket pair."""
        self._end = end

    def send(self, kind: int, frame: bytearray, ends_at: float | None = None) -> None:
        """Send a frame. Raises ``OSError`` where nobody listens, ``TimeoutError`` (which is one)
        where it has not all been taken when ``time.monotonic()`` is ``ends_at``: the rest can no
        longer be sent, and the channel is of no more use."""
        _HEAD.pack_into(frame, 0, kind, len(frame) - HEAD)
        rest = memoryview(frame)
        while rest:
            self._limit(socket.SO_SNDTIMEO, ends_at, most_s=_LOOK_S)
            with suppress(BlockingIOError):
                rest = rest[self._end.send(rest[:_MOST]) :]

    def receive(
        self, most: int | None = None, ends_at: float | None = None
    ) -> tuple[int, memoryview]:
        """The kind of the next frame, and its message of at most so many bytes.

        Raises :class:`BadFrame`; ``EOFError`` or ``OSError`` where the other end is closed;
        ``TimeoutError`` where it is not all there at ``ends_at``.
        """
        frame, kind, end = bytearray(), 0, HEAD
        while len(frame) < end:
            frame += self._some(end - len(frame), ends_at)
            if end == HEAD <= len(frame):
                kind, length = _HEAD.unpack_from(frame)
                if most is not None and length > most:
                    raise BadFrame(f"{length} bytes, at most {most} are read")
                end += length
        if len(frame) > end:
            raise BadFrame("more than one message")
        return kind, memoryview(frame)[HEAD:]

    def shut(self) -> None:
        """Let whoever waits at this end hear that there is nothing more, from any thread."""
        with suppress(OSError):
            self._end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of this end; idempotent."""
        self._end.close()

    def _some(self, wanted: int, ends_at: float | None) -> bytes:
        self._limit(socket.SO_RCVTIMEO, ends_at)
        try:
            some = self._end.recv(max(_LEAST, min(wanted, _MOST)))
        except BlockingIOError:
            raise TimeoutError from None
        if not some:
            raise EOFError
        return some

    def _limit(self, option: int, ends_at: float | None, most_s: float = math.inf) -> None:
        """Have the kernel end the next wait: for the socket's own time-out Python asks first and
        acts then, and may have to wait for the interpreter's lock after each. Raises
        ``TimeoutError`` where no time is left."""
        left = 0.0  # for the kernel: for ever
        if ends_at is not None:
            left = ends_at - time.monotonic()
            if left <= 0:
                raise TimeoutError
            left = min(max(1e-3, left), most_s)
        seconds = int(left)
        microseconds = int((left - seconds) * 1e6)
        self._end.setsockopt(socket.SOL_SOCKET, option, _TIME.pack(seconds, microseconds))
