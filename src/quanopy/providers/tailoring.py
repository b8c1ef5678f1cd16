"""What an operator says of a provider's resources, in place of what the provider does."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

from quanopy.domain.errors import Invalid
from quanopy.domain.resources import Resource
from quanopy.ports.providers import LocalProvider, Provider, RemoteProvider
from quanopy.providers.options import bound

P = TypeVar("P", LocalProvider, RemoteProvider, LocalProvider | RemoteProvider)


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What is to be said of a resource; ``None``: what its provider says."""

    description: str | None = None
    lanes: int | None = None
    """How many claims and executions may be on it at once."""
    device: str | None = None
    """The physical device that it is a part of."""
    part: tuple[str | int, ...] | None = None
    """What of its device it takes: names or numbers of qubits, lanes, threads."""

    technology: str | None = None
    price_per_task: float | None = None
    price_per_shot: float | None = None

    def __post_init__(self) -> None:
        if self.lanes is not None and self.lanes < 1:
            raise Invalid("must be 1 or more", where="lanes")
        if self.part is not None and not self.part:
            raise Invalid("names nothing", where="part")
        for name in ("price_per_task", "price_per_shot"):
            if not 0 <= (getattr(self, name) or 0.0) < math.inf:
                raise Invalid("is no price", where=name)

    def of(self, resource: Resource) -> Resource:
        """The resource, changed."""
        given = {
            "description": self.description,
            "lanes": self.lanes,
            "device": self.device,
            "part": None if self.part is None else tuple(sorted({str(one) for one in self.part})),
        }
        able = {
            "technology": self.technology,
            "price_per_task": self.price_per_task,
            "price_per_shot": self.price_per_shot,
        }
        changed = replace(resource.capabilities, **_known(able))
        return replace(resource, capabilities=changed, **_known(given))


def _known(given: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in given.items() if value is not None}


def changes_of(tables: object, *, where: str) -> Mapping[str, Changes]:
    """Changes by the resource's name; raises :class:`Invalid` naming what cannot be meant."""
    if not isinstance(tables, Mapping):
        raise Invalid("is no table", where=where)
    return {name: _changes(table, f"{where}.{name}") for name, table in tables.items()}


def _changes(table: object, where: str) -> Changes:
    if not isinstance(table, Mapping):
        raise Invalid("is no table", where=where)
    given = bound(Changes, table, where=where)
    try:
        return Changes(**given)
    except Invalid as error:
        raise Invalid(error.message, where=f"{where}.{error.where}", hint=error.hint) from None


def tailored(provider: P, changes: Mapping[str, Changes]) -> P:
    """The provider, whose resources are as the changes say."""
    return cast(P, Tailored(provider, changes)) if changes else provider


class Tailored:
    """A provider that says of its resources what an operator wants said; all else is its own."""

    def __init__(self, provider: Provider, changes: Mapping[str, Changes]) -> None:
        self._provider = provider
        self._changes = changes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._provider, name)

    def resources(self) -> Sequence[Resource]:
        """The provider's, changed."""
        return [
            self._changes[one.name].of(one) if one.name in self._changes else one
            for one in self._provider.resources()
        ]
