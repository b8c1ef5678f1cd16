"""Calibration: what a resource's operator measured of it, and what an execution ran under."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from statistics import median

from quanopy.domain.programs import digest_of


class CalibrationLabel(StrEnum):
    """How surely the calibration that an execution ran under is known."""

    EXACT = "exact"
    """The vendor names it with the result, or it was the same before and after."""
    CLOSEST = "closest"
    """The one nearest in time: it changed meanwhile, or only one side of the run was seen."""
    UNKNOWN = "unknown"
    """None was to be had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One number of a calibration: ``T1`` of qubit 3, the error of ``cx`` on (0, 1) …"""

    name: str
    """As the vendor calls it, with the instruction before a dot: ``T1``, ``cx.error``."""
    targets: tuple[int, ...] = ()
    """Qubits (or modes) that it is of, in order; empty: of the device."""
    value: float
    unit: str = ""
    """SI without prefix where it has one (``s``, ``Hz``); empty for ratios."""
    measured_at: datetime | None = None
    """The vendor's time of this one number."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """An immutable calibration record of a resource, by the digest of what its vendor gave."""

    resource: str
    format: str
    """What ``raw`` is: ``ibm-backend-properties/1``, ``iqm-quality-metrics/1`` …"""
    raw: bytes
    """The vendor's own document as canonical JSON, without the time it was fetched."""
    metrics: Sequence[Metric]
    calibrated_at: datetime | None
    """The vendor's time; ``None`` where it gives none."""
    fetched_at: datetime
    vendor_id: str | None = None
    """The vendor's own name of it, where results name it too (IQM's calibration sets)."""

    @cached_property
    def digest(self) -> str:
        """Digest of the raw document: the same calibration fetched twice is one snapshot."""
        return digest_of(self.raw)


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """What an execution ran under, as far as that is known: snapshots, each by its digest."""

    label: CalibrationLabel = CalibrationLabel.UNKNOWN
    snapshot: str | None = None
    """The one it ran under, as surely as ``label`` says."""
    submitted: str | None = None
    """Seen last when the first of its jobs was submitted."""
    started: str | None = None
    """Seen just before it was sent, or begun."""
    ended: str | None = None
    """Seen once its result was there."""
    named: str | None = None
    """The vendor's own name of the calibration, where the result gave one."""

    @property
    def changed(self) -> bool:
        """Whether the resource was calibrated anew between submission and end."""
        return len({self.submitted, self.started, self.ended} - {None}) > 1


UNBOUND = Binding()
"""Nothing is known: the resource publishes no calibration, or it was not to be had."""


def medians(metrics: Sequence[Metric]) -> Mapping[str, float]:
    """By its name, the median of each metric over all that it is told of."""
    values: dict[str, list[float]] = {}
    for metric in metrics:
        values.setdefault(metric.name, []).append(metric.value)
    return {name: median(found) for name, found in values.items()}
