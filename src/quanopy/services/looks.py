"""Looks: asking a vendor what became of executions, so that none of them hinders another."""

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from quanopy.domain.errors import Denied, QuanopyError, Transient, Unavailable, retry_after
from quanopy.domain.jobs import Execution
from quanopy.domain.texts import is_showable
from quanopy.ports.executions import ExecutionChange
from quanopy.ports.providers import RemoteProvider

T = TypeVar("T")

log = logging.getLogger(__name__)

_ROUGHLY_S = 0.25
_SLOWEST = 16
_SLOWEST_S = 60.0
"""Between looks that cost a request each, at least."""
_LONGEST_ID = 500


def broke(error: Exception) -> str:
    """What is said to users of a provider that raised what no provider may."""
    return f"the provider broke: {type(error).__name__}"


def is_provider_id(text: object) -> bool:
    """Whether this can be a vendor's id of something, to be kept and shown."""
    return isinstance(text, str) and 0 < len(text) <= _LONGEST_ID and is_showable(text)


def ask_of_many(
    ask: Callable[[Sequence[str]], Mapping[str, T]],
    names: Sequence[str],
    *,
    sound: Callable[[object], bool],
) -> tuple[dict[str, T], dict[str, Exception]]:
    """What a vendor answers of these, and of which it gives no answer, and why.

    Where the question fails for many it is asked again of each half, so that what cannot be
    answered of one keeps no other's answer from coming. A vendor that is busy, away, or refuses
    the key is left alone. ``sound``: whether an answer is one.
    """
    if not names:
        return {}, {}
    try:
        return _sound(ask(names), sound), {}
    except (Transient, Unavailable, Denied) as error:
        return {}, dict.fromkeys(names, error)
    except Exception as error:
        if len(names) == 1:
            log.warning("no answer for %s", names[0], exc_info=error)
            return {}, {names[0]: error}
    middle = len(names) // 2
    found, failures = ask_of_many(ask, names[:middle], sound=sound)
    others, more = ask_of_many(ask, names[middle:], sound=sound)
    return found | others, failures | more


def _sound(answers: Mapping[str, T], sound: Callable[[object], bool]) -> dict[str, T]:
    found: dict[Any, T] = dict(answers)
    for name, answer in found.items():
        if not sound(answer):
            raise TypeError(f"the answer for {name!s:.100} is none: {type(answer).__name__}")
    return found


def pause_s(
    provider: RemoteProvider, execution: Execution, queue_position: int | None = None
) -> float:
    """Until the next look: as long as nothing has changed so far, so it doubles each time; but
    an interval for each that is ahead of it in the vendor's queue, and one for itself, is enough.
    """
    able = provider.capabilities
    base = able.poll_interval_s
    since = execution.started_at or execution.created_at
    unchanged = (datetime.now(UTC) - since).total_seconds()
    longest = max(_SLOWEST * base, _SLOWEST_S if able.one_by_one else 0.0)
    if queue_position is not None:
        longest = min(longest, base * (1 + queue_position))
    return in_step(max(base, min(unchanged, longest)), base)


def in_step(pause_s: float, base_s: float) -> float:
    """A pause, cut by a quarter at most so that it ends when those of others that wait about as
    long do: one request then tells of many."""
    step_s: float = base_s / 4 * 2 ** int(math.log2(pause_s / base_s))
    # So roughly that those looked at together, one by one, are given the very same time.
    now = math.floor(time.time() / _ROUGHLY_S) * _ROUGHLY_S
    return max(base_s, math.floor((now + pause_s) / step_s) * step_s - now)


class Looks:
    """What a look at one vendor's executions leaves where it told nothing of how they are."""

    def __init__(self, provider: RemoteProvider) -> None:
        self._provider = provider
        self._told: dict[str, str] = {}
        """What was last noted of an execution."""

    def failed(self, execution: Execution, error: Exception) -> ExecutionChange:
        """There was no answer: it is what it was, and is asked for again. A vendor may be away or
        busy; what broke its provider is told, for somebody has to mend that."""
        if not isinstance(error, QuanopyError):
            return self.told(execution, broke(error))
        log.warning("%s: %s", execution.id, error)
        return ExecutionChange(
            execution_id=execution.id,
            due_in_s=max(retry_after(error) or 0.0, pause_s(self._provider, execution)),
        )

    def told(self, execution: Execution, status: str) -> ExecutionChange:
        """What is no state that anybody knows is noted once, and waited out."""
        new = self._told.get(execution.id) != status
        self._told[execution.id] = status
        return ExecutionChange(
            execution_id=execution.id,
            due_in_s=pause_s(self._provider, execution),
            detail={"status": status} if new else {},
        )

    def forget(self, execution: Execution) -> None:
        """It has ended."""
        self._told.pop(execution.id, None)
