"""Frozen dataclasses as plain JSON and back, in the standard library alone: every type checked."""

import math
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar

from quanopy.domain.errors import Invalid

D = TypeVar("D")
_LARGEST = 2**63


def to_plain(value: Any) -> Any:
    """A dataclass as JSON has it: objects, arrays, and times as ISO 8601 in UTC."""
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: to_plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, Mapping):
        return {str(name): to_plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(one) for one in value]
    return value


def from_plain(kind: type[D], document: Any, where: str) -> D:
    """A dataclass from what :func:`to_plain` made of one. Fields that it does not know are left
    out: a later version may have added them.

    Raises:
        Invalid: something else is there, or something is not; with its place, which ``where``
            begins.
    """
    return typing.cast(D, _dataclass(kind, document, where))


def _dataclass(kind: type, document: Any, where: str) -> Any:
    if not isinstance(document, dict):
        raise Invalid("it is no object", where=where)
    given = {}
    for name, expected, needed in _fields(kind):
        if name in document:
            given[name] = _value(expected, document[name], f"{where}.{name}")
        elif needed:
            raise Invalid(f"it has no {name}", where=where)
    return kind(**given)


@cache
def _fields(kind: Any) -> tuple[tuple[str, Any, bool], ...]:
    """Name and type of each field, and whether it has to be given."""
    hints = typing.get_type_hints(kind)
    return tuple(
        (
            one.name,
            hints[one.name],
            one.default is MISSING and one.default_factory is MISSING,
        )
        for one in fields(kind)
    )


@cache
def _form(expected: Any) -> tuple[Any, tuple[Any, ...], bool]:
    """What a type is made of, and whether it is a dataclass."""
    return typing.get_origin(expected), typing.get_args(expected), is_dataclass(expected)


def _value(expected: Any, value: Any, where: str) -> Any:
    origin, inside, has_fields = _form(expected)
    if expected is Any:
        return value
    if origin in (types.UnionType, typing.Union):
        if value is None:
            return None
        (one,) = (some for some in inside if some is not types.NoneType)
        return _value(one, value, where)
    if origin is tuple:
        items = _checked(value, list, where)
        return tuple(_value(inside[0], one, f"{where}[{at}]") for at, one in enumerate(items))
    if origin is not None and issubclass(origin, Mapping):
        items = _checked(value, dict, where)
        return {name: _value(inside[1], one, f"{where}.{name}") for name, one in items.items()}
    if has_fields:
        return _dataclass(expected, value, where)
    return _scalar(expected, value, where)


def _scalar(expected: Any, value: Any, where: str) -> Any:
    if issubclass(expected, StrEnum):
        if not isinstance(value, str) or value not in set(expected):
            raise Invalid(f"{str(value)[:60]!r} is no {expected.__name__}", where=where)
        return expected(value)
    if expected is datetime:
        return _time(value, where)
    if expected is float:
        return _float(value, where)
    if expected is int:
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= _LARGEST:
            raise Invalid(f"{str(value)[:60]!r} is no whole number", where=where)
        return value
    return _checked(value, expected, where)


def _checked(value: Any, kind: type, where: str) -> Any:
    if not isinstance(value, kind):
        raise Invalid(f"it is {type(value).__name__}, not {kind.__name__}", where=where)
    return value


def _float(value: Any, where: str) -> float:
    try:
        number = math.nan if isinstance(value, bool | str) else float(value)
    except (TypeError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise Invalid(f"{str(value)[:60]!r} is no number", where=where)
    return number


def _time(value: Any, where: str) -> datetime:
    try:
        found = datetime.fromisoformat(_checked(value, str, where))
    except ValueError:
        raise Invalid(f"{str(value)[:60]!r} is no time", where=where) from None
    if found.tzinfo is None:
        raise Invalid("the time has no zone", where=where)
    try:
        return found.astimezone(UTC)
    except OverflowError:
        raise Invalid(f"{value[:60]!r} is before or after all times", where=where) from None
