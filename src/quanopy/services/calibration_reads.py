"""Calibrations as callers may have them: how things stand, what was seen, and the numbers."""

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime

from quanopy.codecs.calibrations import decode_metrics
from quanopy.domain.calibration import Metric
from quanopy.domain.errors import NotFound
from quanopy.domain.sightings import Sighting, Standing
from quanopy.ports.objects import Objects
from quanopy.ports.providers import Provider, is_remote
from quanopy.ports.store import Store
from quanopy.services.calibrate import Calibrations
from quanopy.services.catalogue import Catalogue


class CalibrationReads:
    """Reads from the catalogue and the archive; no vendor is asked, only emulators are."""

    def __init__(
        self,
        *,
        store: Store,
        objects: Objects,
        calibrations: Calibrations,
        providers: Callable[[], Sequence[Provider]],
    ) -> None:
        """``providers`` of this process, loaded when they are first needed."""
        self._store = store
        self._catalogue = Catalogue(store)
        self._objects = objects
        self._calibrations = calibrations
        self._providers = providers

    def standing(self, resource: str) -> Standing:
        """How things stand at a resource; an emulator that nobody has asked yet is asked.

        Raises:
            NotFound: there is no such resource.
        """
        provider = self._provider_of(resource)
        (standing,) = self._store.standings([resource])
        if standing.asked_at is not None:
            return standing
        for one in self._providers():
            if one.name == provider and not is_remote(one):
                return self._of_emulator(one, resource)
        return standing

    def is_constant(self, resource: str) -> bool:
        """Whether it is an emulator's of this process, which never changes."""
        provider = self._provider_of(resource)
        return any(one.name == provider and not is_remote(one) for one in self._providers())

    def history(
        self, resource: str, since: datetime | None, until: datetime | None, limit: int
    ) -> Sequence[Sighting]:
        """What was seen of a resource, newest first; raises as :meth:`standing`."""
        self._provider_of(resource)
        return self._store.sightings(
            resource, since=since, until=until or datetime.now(UTC), limit=limit
        )

    def sighting(self, digest: str) -> Sighting:
        """Where and when a snapshot was seen last; raises :class:`NotFound`."""
        found = self._store.sighting(digest)
        if found is None:
            raise no_snapshot(digest)
        return found

    def metrics(
        self, sightings: Sequence[Sighting], names: Collection[str] = ()
    ) -> list[list[Metric]]:
        """The numbers of each, all or those of these names; raises :class:`NotFound` where the
        archive has lost them."""
        return [
            [metric for metric in decode_metrics(data) if not names or metric.name in names]
            for data in self._objects.read([one.normal for one in sightings])
        ]

    def raw(self, sighting: Sighting) -> bytes:
        """The vendor's own document; raises as :meth:`metrics`."""
        return self._objects.read([sighting.raw])[0]

    def _provider_of(self, resource: str) -> str:
        return self._catalogue.find(resource).provider

    def _of_emulator(self, provider: Provider, resource: str) -> Standing:
        self._calibrations.of_emulator(provider, resource)
        (standing,) = self._store.standings([resource])
        if standing.asked_at is not None:
            return standing
        # It publishes none, which is not worth a row.
        return Standing(resource=resource, asked_at=datetime.now(UTC), published=False)


def no_snapshot(digest: str) -> NotFound:
    """There is no snapshot of this digest."""
    return NotFound(f"there is no calibration {digest[:80]!r}", where="digest")
