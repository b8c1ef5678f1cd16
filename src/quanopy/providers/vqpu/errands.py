"""What is asked of one vQPU: by threads of its own, so that a slow one holds up nobody else.

Whoever asks waits a moment. What takes longer goes on by itself, and who asks for the same again
gets its answer. A vQPU for which that came to nothing is left alone for a while.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Condition, Thread
from typing import Any, TypeVar

from quanopy.domain.errors import (
    ProviderError,
    QuanopyError,
    Transient,
    Unavailable,
)

T = TypeVar("T")

PATIENCE_S = 3.0
"""How long an answer is waited for."""
_IMPATIENCE_S = 0.5
"""The same while the vQPU has not answered something else in time."""
_AT_ONCE = 4
"""Requests to one vQPU under way."""
_KEPT_S = 15.0
"""How long an answer that came late is kept for who asks again."""
_FIRST_PAUSE_S = 5.0
_LONGEST_PAUSE_S = 300.0


class Late(Transient):
    """No answer yet: ask for the same again."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Errand:
    """A request under way, or answered late."""

    began: float
    future: Future[Any] = field(default_factory=Future)
    ended: float = 0.0


class Errands:
    """The requests to one vQPU."""

    def __init__(
        self,
        who: str,
        *,
        patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``patience_s``: an answer that takes longer is slow."""
        self._who = who
        self._slow_s = patience_s
        self._clock = clock
        self._changed = Condition()
        self._errands: dict[str, _Errand] = {}
        self._paused_until = 0.0
        self._failures = 0
        self._why: QuanopyError | None = None

    @property
    def paused(self) -> str | None:
        """Why nothing is asked for a while, where that is so."""
        with self._changed:
            refusal = self._pause()
        return None if refusal is None else refusal.message

    def run(self, name: str, do: Callable[[], T], *, patience_s: float | None = PATIENCE_S) -> T:
        """What ``do`` answers; raises what it raises. Under way already, or answered lately where
        nobody waited any more, it is not done again: ``name`` says what is the same.

        Raises :class:`Late` where there is no answer after ``patience_s`` (``None``: waits for
        it), :class:`Transient` or :class:`Unavailable` where nothing is asked at all.
        """
        errand = self._begun(name, do, patience_s)
        with self._changed:
            self._changed.wait_for(errand.future.done, self._left_s(errand, patience_s))
            if not errand.future.done():
                raise Late(f"{self._who} has not answered yet", retry_after_s=PATIENCE_S)
            if self._errands.get(name) is errand:
                del self._errands[name]
        answer: T = errand.future.result()
        return answer

    def _begun(self, name: str, do: Callable[[], Any], patience_s: float | None) -> _Errand:
        with self._changed:
            self._forget()
            room = self._changed.wait_for(
                lambda: name in self._errands or self._has_room(), self._shortened(patience_s)
            )
            if (found := self._errands.get(name)) is not None:
                return found
            if not room:
                raise Transient(
                    f"{self._who} is still at {_AT_ONCE} requests", retry_after_s=PATIENCE_S
                )
            refusal = self._pause()
            if refusal is not None:
                raise refusal
            errand = self._errands[name] = _Errand(began=self._clock())
        thread = Thread(target=self._do, args=(errand, do), name=f"vqpu-{self._who}", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            with self._changed:
                del self._errands[name]
            raise Transient(f"{self._who} cannot be asked: {error}") from error
        return errand

    def _do(self, errand: _Errand, do: Callable[[], Any]) -> None:
        try:
            answer, error = do(), None
        except BaseException as raised:  # noqa: BLE001 - it is who waits that it is raised to
            answer, error = None, raised
        with self._changed:
            errand.ended = self._clock()
            self._note(errand, error)
            if error is None:
                errand.future.set_result(answer)
            else:
                errand.future.set_exception(error)
            self._changed.notify_all()

    def _note(self, errand: _Errand, error: BaseException | None) -> None:
        """What took long and came to nothing is not tried again at once."""
        slow = errand.ended - errand.began > self._slow_s
        if error is None:
            self._failures = 0
        elif slow and isinstance(error, ProviderError):
            pause_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(self._failures, 16))
            self._failures += 1
            self._why = error
            self._paused_until = errand.ended + pause_s

    def _pause(self) -> ProviderError | None:
        """Why nothing is asked now; what was not asked cannot have been heard."""
        left_s = self._paused_until - self._clock()
        if left_s <= 0 or self._why is None:
            return None
        kind = Unavailable if isinstance(self._why, Unavailable) else Transient
        said = f"{self._why.message}; it is left alone for a while"
        return kind(said, retry_after_s=left_s)

    def _left_s(self, errand: _Errand, patience_s: float | None) -> float | None:
        """How long to wait for one; once that was waited, by whomever, no longer."""
        if patience_s is None:
            return None
        waited_s = self._clock() - errand.began
        return max(0.0, (self._shortened(patience_s) or 0.0) - waited_s)

    def _shortened(self, patience_s: float | None) -> float | None:
        overdue = self._clock() - self._slow_s
        late = any(one.began < overdue for one in self._under_way())
        return min(_IMPATIENCE_S, patience_s) if late and patience_s is not None else patience_s

    def _has_room(self) -> bool:
        return len(self._under_way()) < _AT_ONCE

    def _under_way(self) -> list[_Errand]:
        return [one for one in self._errands.values() if not one.ended]

    def _forget(self) -> None:
        """Answers that nobody came back for."""
        old = self._clock() - _KEPT_S
        self._errands = {
            name: one for name, one in self._errands.items() if not one.ended or one.ended > old
        }
