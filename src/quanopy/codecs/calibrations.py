"""Snapshots as they are kept: the vendor's document beside its numbers in one form.

The numbers are ``{metric: {targets: {"value", "unit"?, "measured_at"?}}}``, ``targets`` being the
indices of qubits (or modes) joined by commas, and empty for the whole device.
"""

import json
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from quanopy.domain.calibration import Metric, Snapshot
from quanopy.domain.errors import Invalid
from quanopy.domain.texts import is_showable

MOST_BYTES = 32 * 1024 * 1024
MOST_METRICS = 1_000_000
_LONGEST = 200
_MOST_TARGETS = 16
_LAST_TARGET = 1_000_000

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def check(snapshot: Snapshot) -> None:
    """Refuse what a vendor's answer must not be; raises :class:`Invalid` naming the place."""
    if len(snapshot.raw) > MOST_BYTES or b"\n" in snapshot.raw:
        raise Invalid(f"{len(snapshot.raw)} bytes are no document of one line", where="raw")
    if len(snapshot.metrics) > MOST_METRICS:
        raise Invalid(f"{len(snapshot.metrics)} numbers, at most {MOST_METRICS}", where="metrics")
    _check_text("format", snapshot.format)
    if snapshot.vendor_id is not None:
        _check_text("vendor_id", snapshot.vendor_id)
    _check_time("calibrated_at", snapshot.calibrated_at)
    _check_time("fetched_at", snapshot.fetched_at)
    for index, metric in enumerate(snapshot.metrics):
        _check_metric(f"metrics[{index}]", metric)


def _check_metric(where: str, metric: Metric) -> None:
    _check_text(f"{where}.name", metric.name)
    if metric.unit:
        _check_text(f"{where}.unit", metric.unit)
    if not math.isfinite(metric.value):
        raise Invalid(f"{metric.name} is {metric.value}, no number", where=f"{where}.value")
    if len(metric.targets) > _MOST_TARGETS or not all(
        0 <= target <= _LAST_TARGET for target in metric.targets
    ):
        raise Invalid(f"{metric.name} is of no qubits", where=f"{where}.targets")
    _check_time(f"{where}.measured_at", metric.measured_at)


def _check_text(where: str, text: str) -> None:
    if not (0 < len(text) <= _LONGEST and is_showable(text)):
        raise Invalid(f"{text[:_LONGEST]!r} is no name", where=where)


def _check_time(where: str, time: datetime | None) -> None:
    if time is not None and time.tzinfo is None:
        raise Invalid(f"{time} has no zone", where=where)


def encode_metrics(metrics: Sequence[Metric]) -> bytes:
    """The numbers as one line of JSON; the same numbers give the same bytes."""
    document: dict[str, dict[str, dict[str, object]]] = {}
    for metric in metrics:
        entry: dict[str, object] = {"value": metric.value}
        if metric.unit:
            entry["unit"] = metric.unit
        if metric.measured_at is not None:
            entry["measured_at"] = metric.measured_at.isoformat()
        document.setdefault(metric.name, {})[",".join(map(str, metric.targets))] = entry
    return _encode(document).encode()


def decode_metrics(data: bytes) -> list[Metric]:
    """The numbers of a document; raises :class:`Invalid` for anything else."""
    try:
        document: Mapping[str, Mapping[str, Mapping[str, Any]]] = json.loads(data)
        return [
            Metric(
                name=name,
                targets=tuple(int(one) for one in targets.split(",") if one),
                value=float(entry["value"]),
                unit=str(entry.get("unit", "")),
                measured_at=_time(entry.get("measured_at")),
            )
            for name, places in document.items()
            for targets, entry in places.items()
        ]
    except (
        *(ValueError, TypeError, AttributeError, KeyError, RecursionError, OverflowError),
    ) as error:
        raise Invalid(f"no numbers of a calibration: {error}") from None


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
