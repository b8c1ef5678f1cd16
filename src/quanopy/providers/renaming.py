"""A prefix before the names of a provider's resources: two accounts of one vendor have the same."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar, cast

from quanopy.domain.calibration import Snapshot
from quanopy.domain.errors import NotFound
from quanopy.domain.resources import Resource, Target
from quanopy.ports.providers import (
    Foreign,
    LocalProvider,
    Order,
    Outcome,
    Provider,
    RemoteProvider,
    Work,
)

P = TypeVar("P", LocalProvider, RemoteProvider, LocalProvider | RemoteProvider)


def renamed(provider: P, prefix: str) -> P:
    """The provider, with this before the name of each of its resources."""
    return cast(P, Renamed(provider, prefix)) if prefix else provider


class Renamed:
    """Names with the prefix outside, and without it inside; all else is the provider's own."""

    def __init__(self, provider: Provider, prefix: str) -> None:
        self._provider: Any = provider
        self._prefix = prefix

    def __getattr__(self, name: str) -> Any:
        return getattr(self._provider, name)

    def __repr__(self) -> str:
        return f"Renamed({self._provider!r}, {self._prefix!r})"

    def resources(self) -> Sequence[Resource]:
        """The provider's, renamed."""
        return [replace(one, name=self._prefix + one.name) for one in self._provider.resources()]

    def target(self, resource: str) -> Target:
        """See the port."""
        found: Target = self._provider.target(self._inner(resource))
        return found

    def calibration(self, resource: str) -> Snapshot | None:
        """See the port; the snapshot is of the resource as it is named here."""
        found: Snapshot | None = self._provider.calibration(self._inner(resource))
        return None if found is None else replace(found, resource=resource)

    def check(self, work: Work) -> None:
        """See the port."""
        self._provider.check(self._work(work))

    def start(self, given: Sequence[Work | Order]) -> Any:
        """Works of a local provider, orders of a remote one."""
        return self._provider.start([self._given(one) for one in given])

    def result(self, id: str, works: Callable[[], Sequence[Work]] | None) -> list[Outcome]:
        """See the port."""
        inner = None if works is None else lambda: [self._work(one) for one in works()]
        found: list[Outcome] = self._provider.result(id, inner)
        return found

    def describe(self, id: str) -> Foreign:
        """See the port."""
        found: Foreign = self._provider.describe(id)
        return replace(found, resource=self._prefix + found.resource)

    def _given(self, one: Work | Order) -> Work | Order:
        if isinstance(one, Work):
            return self._work(one)
        works = [self._work(work) for work in one.works]
        return replace(one, resource=self._inner(one.resource), works=works)

    def _work(self, work: Work) -> Work:
        return replace(work, resource=self._inner(work.resource))

    def _inner(self, resource: str) -> str:
        if not resource.startswith(self._prefix):
            raise NotFound(f"{self._provider.name} has no resource {resource!r}")
        return resource.removeprefix(self._prefix)
