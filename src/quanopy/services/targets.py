"""The targets of resources as callers may have them, from the providers of this process."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock

from quanopy.codecs.targets import instruction_names
from quanopy.domain.errors import NotFound, QuanopyError
from quanopy.domain.jobs import JobSpec, Options, Reading
from quanopy.domain.programs import CONTROL_FLOW
from quanopy.domain.resources import Capabilities, Target
from quanopy.ports.programs import Compilation
from quanopy.ports.providers import Provider, is_remote
from quanopy.ports.resources import ResourceStore
from quanopy.services.catalogue import Catalogue
from quanopy.services.matching import compilable


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    target: Target
    until: float


class ProviderTargets:
    """The :class:`~quanopy.ports.providers.Targets` of providers that are loaded when one of
    their targets is first asked for; each target is remembered for ``fresh_s``."""

    def __init__(
        self,
        store: ResourceStore,
        providers: Callable[[], Sequence[Provider]],
        *,
        fresh_s: float = 60.0,
    ) -> None:
        self._catalogue = Catalogue(store)
        self._providers = providers
        self._fresh_s = fresh_s
        self._lock = Lock()
        self._known: dict[str, _Known] = {}

    def target(self, resource: str) -> Target:
        """The target of a resource; see the port. Raises as its provider does."""
        known = self._remembered(resource)
        return self._asked(self._provider(resource), resource) if known is None else known

    def trials(self, spec: JobSpec, reading: Reading) -> Mapping[int, Compilation]:
        """What only its compiler can tell: by their index, the programs of a job that may not fit
        its resource, as they would be compiled to run. None where the target is not to be had at
        once (asked for lately, or of an emulator): whoever runs the job will know."""
        used = [footprint.gates for footprint in reading.footprints]
        try:
            able = self._catalogue.find(spec.resource).capabilities
            if _settled(used, spec.options, able):
                return {}
            target = self.at_hand(spec.resource)
        except QuanopyError:
            return {}
        if target is None:
            return {}
        known = instruction_names(target)
        level = spec.options.optimization_level
        return {
            index: Compilation(
                circuits=reading.circuits[index],
                target=target,
                level=able.default_level if level is None else level,
                options=spec.options,
            )
            for index, gates in enumerate(used)
            if not (spec.options.compile and compilable(gates, known))
        }

    def at_hand(self, resource: str) -> Target | None:
        """The same where no vendor need be asked; see the port."""
        known = self._remembered(resource)
        if known is not None:
            return known
        provider = self._provider(resource)
        return None if is_remote(provider) else self._asked(provider, resource)

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
        try:
            name = self._catalogue.find(resource).provider
        except NotFound as error:
            error.where = "name"
            raise
        for provider in self._providers():
            if provider.name == name:
                return provider
        raise NotFound(
            f"this server has no provider {name} to ask for the target of {resource}",
            where="name",
            hint="Jobs are compiled where they run; leave `compile` on.",
        )


def _settled(used: Sequence[Sequence[str]], options: Options, able: Capabilities) -> bool:
    """Whether the names of the gates that each program uses tell already what fits."""
    if able.gates is None:
        return options.compile and all(CONTROL_FLOW.isdisjoint(gates) for gates in used)
    known = able.gates
    return not options.compile or all(compilable(gates, known) for gates in used)
