"""Frozen dataclasses as plain JSON and back, in the standard library alone: every type checked."""

import math
import types
import typing
from collections.abc import Callable, Mapping
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
    kind: Any = type(value)
    if kind in _AS_THEY_ARE:
        return value
    if (names := _names(kind)) is not None:
        return {name: to_plain(getattr(value, name)) for name in names}
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, Mapping):
        return {str(name): to_plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(one) for one in value]
    return value


_AS_THEY_ARE = frozenset({str, int, float, bool, type(None)})


@cache
def _names(kind: Any) -> tuple[str, ...] | None:
    """The fields of a dataclass; ``None`` of anything else."""
    return tuple(one.name for one in fields(kind)) if is_dataclass(kind) else None


def from_plain(kind: type[D], document: Any, where: str) -> D:
    """A dataclass from what :func:`to_plain` made of one. Fields that it does not know are left
    out: a later version may have added them.

    Raises:
        Invalid: something else is there, or something is not; with its place, which ``where``
            begins.
    """
    try:
        return typing.cast(D, _reader(typing.cast(Any, kind))(document))
    except Invalid as error:
        raise _inside(error, where) from None


Reader = Callable[[Any], Any]
"""Reads a value, or raises :class:`Invalid` with the place within it."""


@cache
def _reader(expected: Any) -> Reader:
    """What reads values of a type. A value's place is put together only once it is wrong."""
    origin, inside = typing.get_origin(expected), typing.get_args(expected)
    if expected is Any:
        return lambda value: value
    if origin in (types.UnionType, typing.Union):
        (one,) = (some for some in inside if some is not types.NoneType)
        return _optional(_reader(one))
    if origin is tuple:
        return _items(_reader(inside[0]))
    if origin is not None and issubclass(origin, Mapping):
        return _mapping(_reader(inside[1]))
    if is_dataclass(expected):
        return _dataclass(expected)
    if issubclass(expected, StrEnum):
        return _member(expected)
    return _SCALARS.get(expected) or _of(expected)


def _inside(error: Invalid, place: str) -> Invalid:
    """The same, of something that lies at this place."""
    error.where = place + (error.where or "")
    return error


def _optional(read: Reader) -> Reader:
    return lambda value: None if value is None else read(value)


def _items(read: Reader) -> Reader:
    def items(value: Any) -> tuple[Any, ...]:
        found = []
        for one in _checked(value, list):
            try:
                found.append(read(one))
            except Invalid as error:
                raise _inside(error, f"[{len(found)}]") from None
        return tuple(found)

    return items


def _mapping(read: Reader) -> Reader:
    def mapping(value: Any) -> dict[str, Any]:
        found = {}
        for name, one in _checked(value, dict).items():
            try:
                found[name] = read(one)
            except Invalid as error:
                raise _inside(error, f".{name}") from None
        return found

    return mapping


def _dataclass(kind: Any) -> Reader:
    hints = typing.get_type_hints(kind)
    known = [(one.name, _reader(hints[one.name])) for one in fields(kind)]
    needed = [
        one.name
        for one in fields(kind)
        if one.default is MISSING and one.default_factory is MISSING
    ]

    def dataclass(value: Any) -> Any:
        if not isinstance(value, dict):
            raise Invalid("it is no object")
        given = {}
        for name, read in known:
            if name in value:
                try:
                    given[name] = read(value[name])
                except Invalid as error:
                    raise _inside(error, f".{name}") from None
        for name in needed:
            if name not in given:
                raise Invalid(f"it has no {name}")
        return kind(**given)

    return dataclass


def _member(kind: type[StrEnum]) -> Reader:
    members = {one.value: one for one in kind}

    def member(value: Any) -> StrEnum:
        found = members.get(value) if isinstance(value, str) else None
        if found is None:
            raise Invalid(f"{str(value)[:60]!r} is no {kind.__name__}")
        return found

    return member


def _of(kind: type) -> Reader:
    return lambda value: _checked(value, kind)


def _checked(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise Invalid(f"it is {type(value).__name__}, not {kind.__name__}")
    return value


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= _LARGEST:
        raise Invalid(f"{str(value)[:60]!r} is no whole number")
    return value


def _float(value: Any) -> float:
    try:
        number = math.nan if isinstance(value, bool | str) else float(value)
    except (TypeError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise Invalid(f"{str(value)[:60]!r} is no number")
    return number


def _time(value: Any) -> datetime:
    try:
        found = datetime.fromisoformat(_checked(value, str))
    except ValueError:
        raise Invalid(f"{str(value)[:60]!r} is no time") from None
    if found.tzinfo is None:
        raise Invalid("the time has no zone")
    try:
        return found.astimezone(UTC)
    except OverflowError:
        raise Invalid(f"{value[:60]!r} is before or after all times") from None


_SCALARS: Mapping[Any, Reader] = {int: _whole, float: _float, datetime: _time}
