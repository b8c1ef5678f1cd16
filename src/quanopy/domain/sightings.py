"""Sightings: which snapshot was seen at a resource, from when to when, and where it is kept."""

from dataclasses import dataclass
from datetime import datetime

from quanopy.domain.jobs import Extent, Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A snapshot as it was seen at a resource, time and again without another between."""

    resource: str
    digest: str
    format: str
    metrics: int
    """How many numbers it has."""
    calibrated_at: datetime | None
    """The vendor's time of it; ``None`` where it gives none."""
    vendor_id: str | None
    seen_from: datetime
    seen_until: datetime
    """When it was seen first and last, by our clock."""
    raw: Extent
    """The vendor's own document."""
    normal: Extent
    """The same as metric → targets → value, unit, time (:mod:`quanopy.codecs.calibrations`)."""
    owner: str | None = None
    """Who had registered the resource then; ``None``: it was a provider's own."""

    @property
    def at(self) -> datetime:
        """What its age is counted from: the vendor's time, or else when it was first seen."""
        return self.calibrated_at or self.seen_from

    def age_s(self, now: datetime) -> float:
        """Seconds since :attr:`at`; none where the vendor's clock is ahead of ours."""
        return max(0.0, (now - self.at).total_seconds())


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is known of a resource's calibration now."""

    resource: str
    asked_at: datetime | None = None
    """When its provider was last asked; ``None``: never."""
    sighting: Sighting | None = None
    """The snapshot seen last; ``None`` where none was ever seen."""
    published: bool | None = None
    """Whether the last answer had one; ``None`` before the first."""
    problem: Problem | None = None
    """Why the last question had no answer."""
    owner: str | None = None
    """Who registered the resource, and whose history this is; ``None``: it is a provider's own."""
    registration: str | None = None
    """Which of its registrations stands."""

    @property
    def seen(self) -> Sighting | None:
        """The snapshot of the last question, if that was answered with one."""
        return self.sighting if self.published and self.problem is None else None

    @property
    def silent(self) -> bool:
        """Whether it is known that the resource publishes no calibration."""
        return self.published is False and self.problem is None
