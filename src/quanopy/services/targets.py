"""The targets of resources as callers may have them, from the providers of this process."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock

from quanopy.domain.errors import NotFound, QuanopyError
from quanopy.domain.resources import Target
from quanopy.ports.providers import Provider
from quanopy.ports.store import Store
from quanopy.services.catalogue import Catalogue, no_resource


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    target: Target
    until: float


class ProviderTargets:
    """The :class:`~quanopy.ports.providers.Targets` of providers that are loaded when one of
    their targets is first asked for; each target is remembered for ``fresh_s``."""

    def __init__(
        self, store: Store, providers: Callable[[], Sequence[Provider]], *, fresh_s: float = 60.0
    ) -> None:
        self._store = store
        self._catalogue = Catalogue(store)
        self._providers = providers
        self._fresh_s = fresh_s
        self._lock = Lock()
        self._known: dict[str, _Known] = {}

    def target(self, resource: str) -> Target:
        """The target of a resource; see the port. Raises as its provider does."""
        known = self._remembered(resource)
        return self._asked(self._provider(resource), resource) if known is None else known

    def deciding(self, resource: str) -> Target | None:
        """The target of a resource where it alone tells what fits (no gates that any qubits may
        carry out are listed), if it is to be had at once: asked for lately, or of an emulator."""
        try:
            if self._catalogue.find(resource).capabilities.gates is not None:
                return None
            known = self._remembered(resource)
            if known is not None:
                return known
            provider = self._provider(resource)
            remote = hasattr(provider, "capabilities")
            return None if remote else self._asked(provider, resource)
        except QuanopyError:
            return None  # Whoever runs the job will know.

    def _remembered(self, resource: str) -> Target | None:
        with self._lock:
            known = self._known.get(resource)
        return known.target if known is not None and known.until > time.monotonic() else None

    def _asked(self, provider: Provider, resource: str) -> Target:
        target = provider.target(resource)
        with self._lock:
            self._known[resource] = _Known(target=target, until=time.monotonic() + self._fresh_s)
        return target

    def _provider(self, resource: str) -> Provider:
        names = {one.resource.name: one.resource.provider for one in self._store.resources()}
        if resource not in names:
            raise no_resource(resource, names, where="name")
        for provider in self._providers():
            if provider.name == names[resource]:
                return provider
        raise NotFound(
            f"this server has no provider {names[resource]} to ask for the target of {resource}",
            where="name",
            hint="Jobs are compiled where they run; leave `compile` on.",
        )
