"""Identifiers: a kind and a UUIDv7, so that ids of one kind sort by the time they were made."""

import os
import re
import threading
import time
from datetime import UTC, datetime
from typing import Literal, get_args

Kind = Literal[
    "job", "task", "exec", "claim", "group", "lease", "token", "worker", "registration", "hook"
]

_PATTERN = re.compile(rf"(?:{'|'.join(get_args(Kind))})_[0-9a-f]{{32}}")


class _Clock:
    """Milliseconds and a counter that never go backwards within one process (RFC 9562, 6.2)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def tick(self) -> int:
        """The next 60-bit stamp: 48 bits of Unix milliseconds, 12 bits of counter."""
        now = (time.time_ns() // 1_000_000) << 12
        with self._lock:
            self._last = max(self._last + 1, now)
            return self._last


_clock = _Clock()


def new_id(kind: Kind) -> str:
    """A fresh id such as ``job_0193…``; ids made later in this process sort after it."""
    stamp = _clock.tick()
    random = int.from_bytes(os.urandom(8)) & ((1 << 62) - 1)
    value = (stamp >> 12) << 80 | 0x7 << 76 | (stamp & 0xFFF) << 64 | 0b10 << 62 | random
    return f"{kind}_{value:032x}"


def is_id(given: object, kind: Kind) -> bool:
    """Whether this is the text of a well-formed id of ``kind``."""
    if not isinstance(given, str) or not given.startswith(f"{kind}_"):
        return False
    return _PATTERN.fullmatch(given) is not None


def made_at(id: str) -> datetime:
    """When an id was made, to the millisecond."""
    stamp = int(id.rpartition("_")[2][:12], 16)
    return datetime.fromtimestamp(stamp / 1000, UTC)
