"""What a vendor said last: asked for again about once a minute, and kept while it is silent."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from quanopy.domain.errors import QuanopyError

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said(Generic[T]):
    """An answer, and why there is none newer."""

    answer: T | None
    """``None``: there was never any."""
    problem: QuanopyError | None = None


class Kept(Generic[T]):
    """An answer that costs a request; threads may share it."""

    def __init__(
        self, ask: Callable[[], T], *, fresh_s: float = 60.0, silent_s: float = 15.0
    ) -> None:
        """``ask`` raises a ``QuanopyError`` where there is no answer; it is then asked again
        after ``silent_s`` at the earliest."""
        self._ask = ask
        self._fresh_s = fresh_s
        self._silent_s = silent_s
        self._lock = threading.Lock()
        self._said: Said[T] = Said(answer=None)
        self._good_until = -1.0

    def said(self) -> Said[T]:
        """The latest answer, if need be after asking for it; while another thread asks, the one
        before it, if there is one: a vendor that is slow to answer keeps one waiting, not all."""
        if not self._lock.acquire(blocking=self._said.answer is None):
            return self._said
        try:
            if time.monotonic() >= self._good_until:
                self._renew()
            return self._said
        finally:
            self._lock.release()

    @property
    def latest(self) -> T | None:
        """The latest answer there was; nothing is asked."""
        return self._said.answer

    def now(self) -> T:
        """The answer as it is now; raises why there is none."""
        with self._lock:
            self._renew()
        return self._known()

    def known(self) -> T:
        """The latest answer; raises why there never was one."""
        self.said()
        return self._known() if self._said.answer is None else self._said.answer

    def _known(self) -> T:
        said = self._said
        if said.problem is not None:
            raise said.problem
        assert said.answer is not None
        return said.answer

    def _renew(self) -> None:
        try:
            self._said = Said(answer=self._ask())
            self._good_until = time.monotonic() + self._fresh_s
        except QuanopyError as error:
            self._said = Said(answer=self._said.answer, problem=error)
            self._good_until = time.monotonic() + self._silent_s
