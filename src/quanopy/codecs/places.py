"""Places of an array's values, in C order."""

from collections.abc import Sequence

from quanopy.domain.errors import Invalid


def place_of(index: Sequence[int], shape: Sequence[int], *, where: str | None = None) -> int:
    """Where the value at an index lies; raises :class:`Invalid` for one that is not inside."""
    inside = len(index) == len(shape) and all(
        0 <= one < size for one, size in zip(index, shape, strict=True)
    )
    if not inside:
        raise Invalid(f"{tuple(index)} is no index into shape {tuple(shape)}", where=where)
    place = 0
    for one, size in zip(index, shape, strict=True):
        place = place * size + one
    return place
