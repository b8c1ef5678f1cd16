"""How a loopback vendor misbehaves: once, so many times, or until it is told otherwise."""

import select
import socket
from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum
from threading import Lock


class Fault(StrEnum):
    """What the next request to a route meets."""

    DENIED = "denied"
    """401."""
    FORBIDDEN = "forbidden"
    """403."""
    MISSING = "missing"
    """404."""
    TIMEOUT = "timeout"
    """408."""
    LOCKED = "locked"
    """423."""
    MANY = "many"
    """429, with Retry-After."""
    BROKEN = "broken"
    """500; nothing was done."""
    BUSY = "busy"
    """503, with Retry-After."""
    ECHO = "echo"
    """401, and the message repeats all headers and the body of the request."""
    ELSEWHERE = "elsewhere"
    """307 to another host, which notes what it is sent."""
    CUT = "cut"
    """The connection is cut before anything is done."""
    LOST = "lost"
    """It is cut after all was done: the answer is lost."""
    TRUNCATED = "truncated"
    """Half of the answer's body, then the connection is cut."""
    MALFORMED = "malformed"
    """A body that is no JSON."""
    STRANGE = "strange"
    """JSON, but not what belongs there."""
    SLOW = "slow"
    """The answer comes late: after ``delay_s``, or once nobody waits for it any more."""
    REJECT = "reject"
    """The vendor's own refusal of a program, for good."""
    UNSEEN = "unseen"
    """A status that nobody has seen before."""
    VANISHED = "vanished"
    """The vendor has forgotten the job, now and later."""


STATUSES = {
    Fault.DENIED: 401,
    Fault.FORBIDDEN: 403,
    Fault.MISSING: 404,
    Fault.TIMEOUT: 408,
    Fault.LOCKED: 423,
    Fault.MANY: 429,
    Fault.BROKEN: 500,
    Fault.BUSY: 503,
    Fault.ECHO: 401,
    Fault.ELSEWHERE: 307,
}


def spoilt(data: bytes, fault: Fault | None) -> tuple[bytes, int]:
    """What is sent of a body, and how long it is said to be."""
    match fault:
        case Fault.TRUNCATED:
            return data[: len(data) // 2], max(2, len(data))
        case Fault.MALFORMED:
            data = b'{"this is": no JSON'
        case Fault.STRANGE:
            data = b'{"nothing": ["that", "belongs", "here"]}'
    return data, len(data)


def linger(connection: socket.socket, seconds: float) -> None:
    """Wait so long, or until whoever is at the other end has gone away."""
    waiting = select.poll()
    waiting.register(connection, select.POLLRDHUP)
    waiting.poll(1000 * seconds)


@dataclass(slots=True, kw_only=True)
class Planned:
    """A fault that is to come."""

    kind: Fault
    times: int | None = 1
    """``None``: until the route is cleared."""
    delay_s: float = 0.0


class Faults:
    """Faults to come by route; safe for threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._planned: dict[str, list[Planned]] = defaultdict(list)

    def plan(self, route: str, kind: str, *, times: int | None = 1, delay_s: float = 0.0) -> None:
        """The next requests to a route meet this; after those that were planned before.

        Raises:
            ValueError: there is no such kind.
        """
        if kind not in [*Fault]:
            raise ValueError(f"there is no fault {kind!r}; there are {', '.join(Fault)}")
        with self._lock:
            self._planned[route].append(Planned(kind=Fault(kind), times=times, delay_s=delay_s))

    def clear(self, route: str | None = None) -> None:
        """Behave again, on one route or all."""
        with self._lock:
            if route is None:
                self._planned.clear()
            else:
                self._planned.pop(route, None)

    def met(self, route: str) -> bool:
        """Whether nothing planned for a route is still to come."""
        with self._lock:
            return not self._planned.get(route)

    def next(self, route: str) -> Planned | None:
        """What this request to a route meets."""
        with self._lock:
            waiting = self._planned.get(route)
            if not waiting:
                return None
            first = waiting[0]
            if first.times is not None:
                first.times -= 1
                if first.times <= 0:
                    waiting.pop(0)
            return first
