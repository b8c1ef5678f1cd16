"""Requests to a vendor that has no call for many at once: some side by side, each with an answer
or an error of its own."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from quanopy.domain.errors import NotFound, OutcomeUnknown, ProviderError, QuanopyError, Rejected
from quanopy.ports.providers import Order, Report

log = logging.getLogger(__name__)

T = TypeVar("T")
A = TypeVar("A")


class Several:
    """So many requests at once; threads may share it."""

    def __init__(self, name: str, *, width: int = 8) -> None:
        self._pool = ThreadPoolExecutor(width, thread_name_prefix=name)

    def start(
        self, orders: Sequence[Order], send: Callable[[Order], str]
    ) -> list[str | ProviderError]:
        """Send each order. An error that is no provider's is raised where it is all there is:
        nothing that was accepted is lost of it."""
        answers = self.each(orders, send)
        if not any(isinstance(answer, str | ProviderError) for answer in answers):
            _raise_first(answers)
        return [
            answer if isinstance(answer, str | ProviderError) else Rejected(str(answer))
            for answer in answers
        ]

    def poll(self, ids: Sequence[str], ask: Callable[[str], Report]) -> dict[str, Report]:
        """Reports by id; one that is not found is left out. An answer that cannot be had for one
        of several is no state of it, and keeps no other's back."""
        answers = dict(zip(ids, self.each(ids, ask), strict=True))
        found = {key: one for key, one in answers.items() if not isinstance(one, NotFound)}
        if not any(isinstance(one, Report) for one in found.values()):
            _raise_first(list(found.values()))
        return {key: _report(one) for key, one in found.items()}

    def each(self, items: Sequence[T], action: Callable[[T], A]) -> list[A | QuanopyError]:
        """What comes of each, in order."""
        if len(items) == 1:
            return [_tried(action, items[0])]
        return list(self._pool.map(lambda item: _tried(action, item), items))

    def close(self) -> None:
        """End; idempotent."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _tried(action: Callable[[T], A], item: T) -> A | QuanopyError:
    try:
        return action(item)
    except QuanopyError as error:
        return error
    except Exception as error:
        # Raised, it would lose the ids of what the others have started.
        log.exception("one of several requests broke")
        return OutcomeUnknown(f"the provider broke: {type(error).__name__}")


def _raise_first(answers: Sequence[object]) -> None:
    for answer in answers:
        if isinstance(answer, QuanopyError):
            raise answer


def _report(answer: Report | QuanopyError) -> Report:
    return answer if isinstance(answer, Report) else Report(state=None, detail=str(answer)[:500])
