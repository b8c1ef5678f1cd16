"""A batch of works in child processes: what Aer and the vendors' own emulators have in common."""

import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from quanopy.domain.errors import QuanopyError, TaskFailed
from quanopy.ports.providers import Outcome, Work
from quanopy.sandbox.pool import (
    Call,
    ChildCancelled,
    ChildDied,
    ChildFailed,
    ChildTimedOut,
)

_SHARED_S = 1.0
"""Works estimated to take longer have a child to themselves: cancelling one then ends it."""

Submit = Callable[[Sequence[Work]], Call[Outcome]]
"""Has a child run these works, within the time limit."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Part:
    """Works that share a call of a child, by their places in the batch."""

    places: Sequence[int]
    call: Call[Outcome]


class ChildrenRunning:
    """A batch under way: its short works in one call, each long one in its own."""

    def __init__(self, works: Sequence[Work], submit: Submit, *, time_limit_s: float) -> None:
        self._works = works
        self._submit = submit
        self._time_limit_s = time_limit_s
        self._lock = threading.Lock()
        self._cancelled: set[str] = set()
        short = [i for i, work in enumerate(works) if work.estimate_s <= _SHARED_S]
        long = [[i] for i, work in enumerate(works) if work.estimate_s > _SHARED_S]
        self._parts = [self._begin(places) for places in (short, *long) if places]

    def wait(self) -> list[Outcome]:
        """Block until all have ended; see the port."""
        outcomes: dict[int, Outcome] = {}
        for part in list(self._parts):
            outcomes |= zip(part.places, self._finish(part), strict=True)
        return [
            Outcome(error=_cancelled()) if work.task_id in self._cancelled else outcomes[place]
            for place, work in enumerate(self._works)
        ]

    def cancel(self, task_ids: Sequence[str]) -> None:
        """Kill calls all of whose works are cancelled; discard results of the others."""
        with self._lock:
            self._cancelled |= set(task_ids) & {work.task_id for work in self._works}
            for part in self._parts:
                if self._is_cancelled(part.places):
                    part.call.cancel()

    def _is_cancelled(self, places: Sequence[int]) -> bool:
        return all(self._works[place].task_id in self._cancelled for place in places)

    def _begin(self, places: Sequence[int]) -> _Part:
        return _Part(places=places, call=self._submit([self._works[place] for place in places]))

    def _finish(self, part: _Part) -> list[Outcome]:
        try:
            return part.call.result()
        except ChildFailed as failure:
            return self._after(part, failure)

    def _after(self, part: _Part, failure: ChildFailed) -> list[Outcome]:
        """A child was lost: its only work is to blame; of several each is tried once by itself."""
        if len(part.places) == 1:
            return [Outcome(error=_blame(failure, self._time_limit_s))]
        return [self._alone(place) for place in part.places]

    def _alone(self, place: int) -> Outcome:
        with self._lock:
            if self._is_cancelled([place]):
                return Outcome(error=_cancelled())
            part = self._begin([place])
            self._parts.append(part)
        return self._finish(part)[0]


def _cancelled() -> TaskFailed:
    return TaskFailed("cancelled")


def _blame(failure: ChildFailed, time_limit_s: float) -> QuanopyError:
    """Why a work failed whose child was lost under it alone."""
    match failure:
        case ChildCancelled():
            return _cancelled()
        case ChildTimedOut():
            return TaskFailed(
                f"not done after {time_limit_s:g} s", hint="Make it smaller, or split it."
            )
        case ChildDied(signal=signal.SIGKILL):
            return TaskFailed(
                "its emulator was killed, most likely for want of memory",
                hint="Use fewer qubits or another method.",
            )
    return TaskFailed(
        f"it broke its emulator: {failure}", hint="Report it with the program, if you can."
    )
