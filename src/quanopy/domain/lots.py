"""Many things in lots that may be held, read or sent together."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def lots(
    things: Iterable[T], size: Callable[[T], int], *, most: int, count: int | None = None
) -> Iterator[list[T]]:
    """These in their order, as many at a time as are of size ``most`` together, and at most
    ``count``; one that is larger comes alone."""
    some: list[T] = []
    together = 0
    for one in things:
        own = size(one)
        if some and (together + own > most or len(some) == count):
            yield some
            some, together = [], 0
        some.append(one)
        together += own
    if some:
        yield some
