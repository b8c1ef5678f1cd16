"""What is remembered of executions lately, and which things belong together."""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")
K = TypeVar("K")
_MOST = 2_000


class Recent(Generic[T]):
    """The latest values by the id of an execution; threads may share it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: OrderedDict[str, T] = OrderedDict()

    def keep(self, id: str, value: T) -> None:
        """The value of an execution is this from now on."""
        with self._lock:
            self._kept[id] = value
            self._kept.move_to_end(id)
            if len(self._kept) > _MOST:
                self._kept.popitem(last=False)

    def get(self, id: str) -> T | None:
        """The value of an execution; ``None`` where it is not remembered."""
        with self._lock:
            return self._kept.get(id)


def grouped(items: Iterable[T], of: Callable[[T], K]) -> dict[K, list[T]]:
    """Things by what they have in common, in their order."""
    groups: dict[K, list[T]] = {}
    for item in items:
        groups.setdefault(of(item), []).append(item)
    return groups
