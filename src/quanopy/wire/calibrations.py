"""Calibrations as they cross the wire."""

from datetime import datetime
from typing import Any

from pydantic import Field

from quanopy.wire.fields import Answer
from quanopy.wire.jobs import ProblemOut


class MetricOut(Answer):
    """One number of a calibration."""

    value: float
    unit: str = ""
    measured_at: datetime | None = Field(
        default=None, description="The vendor's time of this one number."
    )


Metrics = dict[str, dict[str, MetricOut]]
"""Metric → targets (indices of qubits joined by commas; empty: the device) → number."""


class SnapshotOut(Answer):
    """A snapshot of a resource's calibration, as it was seen there."""

    digest: str
    resource: str
    format: str = Field(description="What the vendor's own document is.")
    calibrated_at: datetime | None = Field(
        default=None, description="The vendor's time; `null` where it gives none."
    )
    vendor_id: str | None = Field(default=None, description="The vendor's own name of it.")
    seen_from: datetime
    seen_until: datetime
    age_s: float = Field(
        description="Seconds since `calibrated_at`, or else since it was first seen."
    )
    count: int = Field(description="How many numbers it has.")
    metrics: Metrics | None = None
    raw: Any = Field(default=None, description="The vendor's own document, where asked for.")


class CalibrationOut(Answer):
    """How a resource's calibration stands."""

    resource: str
    published: bool | None = Field(
        default=None, description="`false`: there is none to publish; `null`: not asked yet."
    )
    asked_at: datetime | None = Field(default=None, description="When its provider was asked last.")
    problem: ProblemOut | None = Field(
        default=None, description="Why the last question had no answer."
    )
    snapshot: SnapshotOut | None = Field(default=None, description="The one seen last.")


class SnapshotsOut(Answer):
    """What was seen of a resource, newest first."""

    snapshots: list[SnapshotOut]
