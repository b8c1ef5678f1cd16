"""What a worker serves: asked of its providers, told to the catalogue, and known here by name."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from quanopy.domain.resources import Resource
from quanopy.ports.providers import Provider, is_remote
from quanopy.ports.resources import ResourceStore
from quanopy.services.rosters import Rosters

log = logging.getLogger(__name__)


class Serving:
    """The resources of one worker; told by one thread at a time, read by any."""

    def __init__(
        self, store: ResourceStore, worker: str, providers: Sequence[Provider], *, ttl_s: float
    ) -> None:
        """The worker is dead where nothing is told for ``ttl_s`` seconds."""
        self._store = store
        self._worker = worker
        self._providers = providers
        self._ttl_s = ttl_s
        self._rosters = Rosters(providers)
        self._twice: set[tuple[str, str]] = set()
        """Resources, with their providers, whose name another provider's has."""
        self.resources: Mapping[str, Resource] = {}
        """By name."""
        self.names: Mapping[str, tuple[str, ...]] = {}
        """By provider."""

    def tell(self, *, patience_s: float) -> None:
        """Say that the worker lives, and what it serves: a provider that takes longer than so many
        seconds serves what it said last."""
        found: dict[str, Resource] = {}
        for provider, resources in self._rosters.look(patience_s=patience_s):
            for resource in resources:
                able = replace(resource.capabilities, adopts=is_remote(provider))
                resource = replace(resource, capabilities=able)
                if found.setdefault(resource.name, resource).provider != resource.provider:
                    self._tell_twice(resource, found[resource.name])
        taken = self._store.register(self._worker, list(found.values()), ttl_s=self._ttl_s)
        for name in taken:
            left_out = found.pop(name)
            log.warning("%s is another's: that of %s is left out", name, left_out.provider)
        self.resources = found
        self.names = {
            provider.name: tuple(n for n, r in found.items() if r.provider == provider.name)
            for provider in self._providers
        }

    def _tell_twice(self, resource: Resource, first: Resource) -> None:
        """Two providers have a resource of one name: the first has it, for jobs name it alone."""
        if (resource.name, resource.provider) not in self._twice:
            self._twice.add((resource.name, resource.provider))
            log.error(
                "%s of provider %s is not served: provider %s has a resource of that name",
                *(resource.name, resource.provider, first.provider),
            )

    def close(self) -> None:
        """Wait for providers that are being asked."""
        self._rosters.close()
