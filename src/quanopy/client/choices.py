"""Names that stand for one of a few things."""

from enum import StrEnum
from typing import TypeVar

from quanopy.domain.errors import Invalid

E = TypeVar("E", bound=StrEnum)


def chosen(choices: type[E], name: str, where: str) -> E:
    """The member that ``name`` is or names; raises :class:`Invalid` with those there are."""
    try:
        return choices(name)
    except ValueError as error:
        known = ", ".join(choices)
        raise Invalid(f"there is no {where} {name!r}", where=where, hint=f"Known: {known}.") from (
            error
        )
