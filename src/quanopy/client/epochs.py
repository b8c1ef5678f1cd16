"""Epochs: segments of a long experiment that ran on one resource under one calibration.

A segment that a new calibration came between is in none of those, but in an epoch of its own kind.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple, Protocol

from quanopy.client.numbers import least_sure
from quanopy.codecs.merging import Merge
from quanopy.domain.calibration import CalibrationLabel
from quanopy.domain.errors import Invalid
from quanopy.domain.states import JobState


class Known(Protocol):
    """A calibration, as :class:`~quanopy.client.calibrations.Calibration` is one."""

    @property
    def calibrated_at(self) -> datetime | None:
        """The vendor's time of it."""

    @property
    def seen_from(self) -> datetime:
        """When the broker saw it first."""

    @property
    def metrics(self) -> Mapping[str, Mapping[tuple[int, ...], Any]]:
        """Metric → targets → number, which has a ``value`` and a ``unit``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One job of a long experiment: where and when it ran, under what, and what came of it."""

    index: int
    """Its place in the order of the experiment."""
    job_id: str
    state: JobState
    resource: str
    """What it ran on, or is to."""
    platform: str | None = None
    """The provider that ran it; ``None`` where nothing of it ran."""
    label: CalibrationLabel = CalibrationLabel.UNKNOWN
    """How surely :attr:`snapshot` is what it ran under."""
    snapshot: str | None = None
    """Digest of the calibration it ran under."""
    submitted: str | None = None
    """That seen last at submission."""
    started: str | None = None
    """That seen just before it was sent."""
    ended: str | None = None
    """That seen once its result was there."""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    shots: int | None = None
    problem: str | None = None
    """Why there is no result, where that is known."""
    result: Merge | None = None
    """What it gave; ``None``: a gap."""

    @property
    def across(self) -> bool:
        """Whether another calibration came while it ran, and nobody tells which part ran under
        which: both sides of the run were seen, and are still no sure answer."""
        seen = self.started is not None and self.ended is not None
        return seen and self.label is CalibrationLabel.CLOSEST

    @property
    def at(self) -> datetime | None:
        """The middle of its run."""
        if self.started_at is None or self.ended_at is None:
            return self.ended_at or self.started_at
        return self.started_at + (self.ended_at - self.started_at) / 2


class _Key(NamedTuple):
    """What segments of one epoch have in common."""

    resource: str
    platform: str | None
    digests: tuple[str | None, ...]


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """Segments that ran on one resource under one calibration."""

    number: int
    """Its place in the order of time, from 1."""
    resource: str
    platform: str | None
    snapshots: tuple[str, ...]
    """Digest of the calibration; two where one came after the other while these segments ran,
    none where it is not known."""
    segments: tuple[Segment, ...]

    @property
    def across(self) -> bool:
        """Whether its segments fell across a change of calibration."""
        return len(self.snapshots) > 1

    @property
    def label(self) -> CalibrationLabel:
        """The least sure label of its segments."""
        return least_sure(one.label for one in self.segments)

    @cached_property
    def merge(self) -> Merge:
        """Its segments' results, added up."""
        return _merged(self.segments)


def epochs_of(segments: Iterable[Segment]) -> tuple[Epoch, ...]:
    """Those with a result, by resource and calibration, in the order of time."""
    groups: dict[_Key, list[Segment]] = {}
    for one in sorted((one for one in segments if one.result is not None), key=_when):
        groups.setdefault(_key(one), []).append(one)
    return tuple(
        Epoch(
            number=number,
            resource=key.resource,
            platform=key.platform,
            snapshots=tuple(digest for digest in key.digests if digest is not None),
            segments=tuple(some),
        )
        for number, (key, some) in enumerate(groups.items(), start=1)
    )


def _merged(segments: Sequence[Segment]) -> Merge:
    merge = Merge()
    for one in segments:
        if one.result is None:
            continue
        try:
            merge.include(one.result)
        except Invalid as error:
            place = f"segment {one.index}"
            where = f"{place}, {error.where}" if error.where else place
            raise Invalid(
                error.message, where=where, hint="Segments are of one program."
            ) from error
    return merge


def _key(one: Segment) -> _Key:
    digests = (one.started, one.ended) if one.across else (one.snapshot,)
    return _Key(one.resource, one.platform, digests)


def _when(one: Segment) -> tuple[bool, float, int]:
    """Those of unknown times last, in their own order."""
    at = one.at
    return (at is None, at.timestamp() if at else 0.0, one.index)
