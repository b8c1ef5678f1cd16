"""What a provider's factory is called with, checked against what it says that it takes."""

import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from quanopy.domain.errors import Invalid
from quanopy.providers.secrets import SCHEMES, Secret


def bound(
    create: Callable[..., object], table: Mapping[str, object], *, where: str
) -> dict[str, Any]:
    """The keyword arguments for ``create`` that a table of settings means.

    Raises :class:`Invalid` naming ``where`` and the key, and never showing what was given, which
    may be a credential in the wrong place: for a key that the factory does not take, one that it
    needs and did not get, and a value of another type than its annotation.
    """
    taken = {
        name: parameter
        for name, parameter in inspect.signature(create).parameters.items()
        if parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    }
    if unknown := sorted(table.keys() - taken.keys()):
        known = ", ".join(sorted(taken.keys() - {"name"})) or "none"
        raise Invalid(
            "there is no such option", where=f"{where}.{unknown[0]}", hint=f"Known: {known}."
        )
    for name, parameter in taken.items():
        if parameter.default is parameter.empty and name not in table:
            raise Invalid("the option is needed and not given", where=f"{where}.{name}")
    hints = _hints(create)
    return {
        key: _converted(value, hints.get(key, Any), f"{where}.{key}")
        for key, value in table.items()
    }


def takes(create: Callable[..., object], name: str) -> bool:
    """Whether a factory has a parameter of this name."""
    return name in inspect.signature(create).parameters


def _hints(create: Callable[..., object]) -> Mapping[str, Any]:
    """Of its parameters: the type of what it makes may be one that is loaded when it is called."""
    made_by: Any = create.__init__ if isinstance(create, type) else create  # type: ignore[misc]
    function = inspect.unwrap(made_by)
    said = {one: hint for one, hint in inspect.get_annotations(function).items() if one != "return"}
    hints: Mapping[str, Any] = typing.get_type_hints(
        types.SimpleNamespace(__annotations__=said), getattr(function, "__globals__", {})
    )
    return hints


def _converted(value: object, hint: Any, where: str) -> object:
    """The value in the type of an annotation."""
    alternatives = _alternatives(hint)
    if isinstance(value, str) and Secret in alternatives:
        referring = value.partition(":")[0] in SCHEMES
        return value if str in alternatives and not referring else _secret(value, where)
    for one in alternatives:
        found = _as(value, one, where)
        if found is not _MISFIT:
            return found
    meant = " or ".join(_named(one) for one in alternatives if one is not types.NoneType)
    raise Invalid(f"is {_KINDS.get(type(value), 'something else')}, not {meant}", where=where)


_MISFIT: Any = object()


def _as(value: object, hint: Any, where: str) -> object:
    origin, inner = typing.get_origin(hint) or hint, typing.get_args(hint)
    if origin is Literal:
        return value if value in inner else _MISFIT
    if origin is Any or not isinstance(origin, type):
        return value
    if origin is Path and isinstance(value, str):
        return Path(value).expanduser()
    if origin is float and type(value) is int:
        return float(value)
    if isinstance(value, Mapping) and issubclass(origin, Mapping):
        of = inner[1] if len(inner) == 2 else Any
        return {key: _converted(one, of, f"{where}.{key}") for key, one in value.items()}
    if issubclass(origin, Sequence) and origin is not str:
        return _listed(value, origin, inner, where)
    if issubclass(origin, StrEnum):
        return origin(str(value)) if value in set(origin) else _MISFIT
    if isinstance(value, bool) and origin not in (bool, object):
        return _MISFIT
    return value if isinstance(value, origin) else _MISFIT


def _listed(value: object, origin: type, inner: Sequence[Any], where: str) -> object:
    if not isinstance(value, list):
        return _MISFIT
    of = inner[0] if inner else Any
    items = [_converted(one, of, f"{where}[{i}]") for i, one in enumerate(value)]
    return items if origin is list else tuple(items)


def _secret(value: str, where: str) -> Secret:
    try:
        return Secret(value)
    except Invalid as error:
        raise Invalid(error.message, where=where, hint=error.hint) from None


def _alternatives(hint: Any) -> Sequence[Any]:
    """The types of a union, or the type."""
    union = isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union
    return typing.get_args(hint) if union else (hint,)


_KINDS: Mapping[Any, str] = {
    bool: "true or false",
    str: "text",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "a table",
    Path: "a path",
    Secret: "the place of a credential (env:NAME, file:PATH, command:PROGRAM)",
}


def _named(hint: Any) -> str:
    """A type in a reader's words."""
    origin = typing.get_origin(hint) or hint
    if origin is Literal:
        return " or ".join(repr(one) for one in typing.get_args(hint))
    if origin in _KINDS:
        return _KINDS[origin]
    if isinstance(origin, type) and issubclass(origin, StrEnum):
        return " or ".join(origin)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return "a table"
    return "a list" if isinstance(origin, type) and issubclass(origin, Sequence) else str(hint)
