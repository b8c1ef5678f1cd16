"""Names that stand for one of a few things."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, TypeVar

from quanopy.domain.errors import Invalid

E = TypeVar("E", bound=StrEnum)


def several(given: object) -> list[Any]:
    """One or many, as many; a text is one."""
    return [given] if isinstance(given, str) or not isinstance(given, Iterable) else list(given)


def chosen(choices: type[E], name: str, where: str) -> E:
    """The member that ``name`` is or names; raises :class:`Invalid` with those there are."""
    try:
        return choices(name)
    except ValueError as error:
        known = ", ".join(choices)
        raise Invalid(f"there is no {where} {name!r}", where=where, hint=f"Known: {known}.") from (
            error
        )


def all_chosen(choices: type[E], names: Iterable[str], where: str) -> frozenset[E]:
    """The members that one or many names stand for; raises as :func:`chosen`."""
    return frozenset(chosen(choices, name, where) for name in several(names))
