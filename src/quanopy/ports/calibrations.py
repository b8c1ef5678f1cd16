"""Calibrations: what was seen of each resource, and when to look again."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from quanopy.domain.jobs import Problem
from quanopy.domain.sightings import Sighting, Standing


class CalibrationStore(Protocol):
    """Calibrations in the catalogue."""

    def calibrations_due(self, names: Collection[str], *, hold_s: float) -> set[str]:
        """Of these resources, those whose calibration is to be asked for now; nobody else is told
        so for ``hold_s``, unless what came of it is noted before."""

    def note_calibration(
        self,
        resource: str,
        found: Sighting | None,
        problem: Problem | None = None,
        *,
        pause_s: float,
        registration: str | None = None,
        actor: str = "",
    ) -> tuple[Standing, int]:
        """What a provider answered: how things stand then, and how many tasks that waited for it
        may go on. ``found`` has the times of its first sighting where it was seen last, too;
        ``None``: it publishes none, or ``problem`` says why there is no answer. It is due again
        after ``pause_s``. Where the resource is not of the ``registration`` any more that stood
        when the provider was asked, nothing is noted, and it is due at once."""

    def standings(self, names: Sequence[str]) -> list[Standing]:
        """How things stand at each of these resources, in order."""

    def awaited_calibrations(self, task_ids: Collection[str]) -> dict[str, float]:
        """Of these tasks, those that wait for a calibration, with the seconds that it may be
        old."""

    def sightings(
        self, resource: str, *, since: datetime | None, until: datetime, limit: int
    ) -> list[Sighting]:
        """What was seen of a resource in a time, newest first, with what was there as it began."""

    def sighting(self, digest: str) -> Sighting | None:
        """The latest sighting of a snapshot."""

    def first_sightings(self, digests: Collection[str]) -> list[Sighting]:
        """Of each of these snapshots that there is, where and when it was seen first."""
