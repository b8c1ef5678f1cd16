"""Points: the parameter values of many runs of one circuit, from what people write."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quanopy.domain.errors import Invalid

Values = NDArray[np.float64]
MOST = 10_000_000
"""Points of a sweep."""
_SHOWN = 10


class Combine(StrEnum):
    """How the values of several parameters go together."""

    PRODUCT = "product"
    """Each of one with each of the others: an axis a parameter, in the order given."""
    ZIP = "zip"
    """The first of one with the first of the others, and so on."""


def points(values: Any, names: Sequence[str] | None, combine: Combine | None) -> dict[str, Values]:
    """Each parameter's value at each point, all of the shape of the points.

    ``values`` is an array whose last axis goes over the parameters, or a mapping of parameters
    (or their names, or vectors of them) to arrays. ``names`` are the circuit's, in order; ``None``
    where nobody knows. Where several parameters have several values, ``combine`` must be said.

    Raises :class:`Invalid` for what is not all of the circuit's parameters, each once, or is no
    array of finite numbers.
    """
    found = (
        _of_mapping(values, combine) if isinstance(values, Mapping) else _of_array(values, names)
    )
    if names is not None and set(found) != set(names):
        missing, unknown = sorted({*names} - {*found}), sorted({*found} - {*names})
        raise Invalid(
            f"there are no values for {_some(missing)}" if missing else "too many parameters",
            where="values",
            hint=f"The circuit has no {_some(unknown)}." if unknown else None,
        )
    if not all(array.size for array in found.values()) or not found:
        raise Invalid("there are no points", where="values")
    count = next(iter(found.values())).size
    if count > MOST:
        raise Invalid(f"{count:,} points; {MOST:,} are the most", where="values")
    return found if names is None else {name: found[name] for name in names}


def stacked(found: Mapping[str, Values]) -> Values:
    """The points as one array, its last axis over the parameters."""
    return np.stack(list(found.values()), axis=-1)


def _of_array(values: Any, names: Sequence[str] | None) -> dict[str, Values]:
    array = _numbers(values, "values")
    if names is None:
        raise Invalid("an array does not say which parameters it is of", where="values")
    if not array.ndim or array.shape[-1] != len(names):
        raise Invalid(
            f"an array of shape {array.shape} for {len(names)} parameters",
            where="values",
            hint=f"Its last axis goes over {_some(names)}.",
        )
    return {name: array[..., place] for place, name in enumerate(names)}


def _of_mapping(values: Mapping[Any, Any], combine: Combine | None) -> dict[str, Values]:
    each = [_entry(key, value) for key, value in values.items()]
    names = [name for some, _ in each for name in some]
    if len(set(names)) < len(names):
        raise Invalid("a parameter is given twice", where="values")
    shapes = [array.shape[1:] for _, array in each]
    if combine is None and sum(shape != () for shape in shapes) > 1:
        raise Invalid(
            "several parameters have several values",
            where="combine",
            hint="Say 'product' for each with each, or 'zip' for one after the other.",
        )
    spread = _zipped(each) if combine is Combine.ZIP else _crossed(each)
    return dict(zip(names, spread, strict=True))


def _entry(key: Any, value: Any) -> tuple[list[str], Values]:
    """Names, and their values: an axis over the names first."""
    if isinstance(key, str):
        names, array = [key], _numbers(value, key)[None]
    elif isinstance(key, Sequence) or hasattr(key, "params"):  # a vector of parameters
        names, array = [_name(one) for one in key], _numbers(value, str(getattr(key, "name", key)))
        if not array.ndim or array.shape[-1] != len(names):
            raise Invalid(
                f"an array of shape {array.shape} for {len(names)} parameters",
                where=f"values[{getattr(key, 'name', 'vector')}]",
            )
        array = np.moveaxis(array, -1, 0)
    else:
        names, array = [_name(key)], _numbers(value, _name(key))[None]
    return names, array


def _name(parameter: Any) -> str:
    name = getattr(parameter, "name", parameter)
    if not isinstance(name, str):
        raise Invalid(f"{str(parameter)[:60]!r} is no parameter", where="values")
    return name


def _numbers(values: Any, where: str) -> Values:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise Invalid(f"no array of real numbers: {error}", where=where) from error
    if not np.isfinite(array).all():
        raise Invalid("the array holds NaN or infinity", where=where)
    return array


def _zipped(each: Sequence[tuple[list[str], Values]]) -> list[Values]:
    shapes = [array.shape[1:] for _, array in each]
    try:
        shape = np.broadcast_shapes(*shapes)
    except ValueError:
        raise Invalid(
            f"arrays of shapes {', '.join(map(str, shapes))} do not go together",
            where="values",
            hint="Give each parameter as many values as the others, or one.",
        ) from None
    return [np.broadcast_to(row, shape) for _, array in each for row in array]


def _crossed(each: Sequence[tuple[list[str], Values]]) -> list[Values]:
    shape = tuple(size for _, array in each for size in array.shape[1:])
    spread, before = [], 0
    for _, array in each:
        own = array.shape[1:]
        after = len(shape) - before - len(own)
        laid = (1,) * before + own + (1,) * after
        spread += [np.broadcast_to(row.reshape(laid), shape) for row in array]
        before += len(own)
    return spread


def _some(names: Sequence[str]) -> str:
    rest = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
