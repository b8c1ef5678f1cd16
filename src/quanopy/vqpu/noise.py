"""Noise as calibration metrics, from parameters, a snapshot, or IBM's fake devices.

A metric with no targets holds for all qubits, or all places of its gate. Known are ``T1``, ``T2``
(seconds), ``GATE.error`` and ``GATE.duration``, with ``measure`` for readout.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quanopy.domain.calibration import Metric
from quanopy.domain.errors import Invalid

MOST_BYTES = 64 * 1024 * 1024
MOST_METRICS = 100_000
MOST_QUBITS = 5_000
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "": 1.0}
_RENAMED = {
    "readout_error": "measure.error",
    "readout_length": "measure.duration",
    "readout_duration": "measure.duration",
    "readout.error": "measure.error",
    "readout.duration": "measure.duration",
}
_KINDS = {"gate_error": "error", "gate_length": "duration", "length": "duration"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """Noise that is the same everywhere; ``None``: no such noise."""

    depolarising: float | None = None
    """Error of gates on one qubit."""
    depolarising_2q: float | None = None
    """Error of gates on two; by default ten times that of one."""
    readout: float | None = None
    """How often a measured bit is wrong."""
    t1_s: float | None = None
    t2_s: float | None = None
    gate_s: float = 50e-9
    """Duration of gates on one qubit, where T1 or T2 is given."""
    gate_2q_s: float = 300e-9
    readout_s: float = 1e-6

    def __post_init__(self) -> None:
        for name in ("depolarising", "depolarising_2q", "readout"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise Invalid(f"{name} is a probability, not {value}", where=name)
        for name in ("t1_s", "t2_s", "gate_s", "gate_2q_s", "readout_s"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise Invalid(f"{name} is a time in seconds, not {value}", where=name)
        if self.t1_s is not None and self.t2_s is not None and self.t2_s > 2 * self.t1_s:
            raise Invalid("T2 is at most twice T1", where="t2_s")

    def metrics(self, gates: Mapping[str, int]) -> list[Metric]:
        """As metrics of gates, given with how many qubits each acts on."""
        return list(self._metrics(gates))

    def _metrics(self, gates: Mapping[str, int]) -> Iterator[Metric]:
        relaxing = self.t1_s is not None or self.t2_s is not None
        t1 = self.t1_s if self.t1_s is not None or not relaxing else 10 * (self.t2_s or 0)
        t2 = self.t2_s if self.t2_s is not None or not relaxing else t1
        if relaxing and t1 is not None and t2 is not None:
            yield Metric(name="T1", value=t1, unit="s")
            yield Metric(name="T2", value=t2, unit="s")
        for gate, width in gates.items():
            error = self._error(width)
            if error is not None:
                yield Metric(name=f"{gate}.error", value=error)
            if relaxing:
                duration = self.gate_s if width == 1 else self.gate_2q_s
                yield Metric(name=f"{gate}.duration", value=duration, unit="s")
        if self.readout is not None:
            yield Metric(name="measure.error", value=self.readout)
        if relaxing:
            yield Metric(name="measure.duration", value=self.readout_s, unit="s")

    def _error(self, width: int) -> float | None:
        if width == 1:
            return self.depolarising
        if self.depolarising_2q is not None:
            return self.depolarising_2q
        return None if self.depolarising is None else min(1.0, 10 * self.depolarising)


def read_snapshot(file: Path) -> list[Metric]:
    """The metrics in a file: what ``quanopy calibration NAME --json`` prints, or IBM's backend
    properties. Raises :class:`Invalid` naming what is wrong."""
    try:
        if file.stat().st_size > MOST_BYTES:
            raise Invalid(f"more than {MOST_BYTES} bytes", where=str(file))
        document = json.loads(file.read_bytes())
    except OSError as error:
        raise Invalid(f"cannot be read: {error.strerror}", where=str(file)) from error
    except (ValueError, RecursionError) as error:
        raise Invalid(f"no JSON: {error}", where=str(file)) from None
    try:
        return parse_snapshot(document)
    except Invalid as error:
        error.where = ": ".join(filter(None, (str(file), error.where)))
        raise


def parse_snapshot(document: object) -> list[Metric]:
    """The metrics of a snapshot's document; raises :class:`Invalid`."""
    if isinstance(document, dict) and isinstance(document.get("snapshot"), dict):
        document = document["snapshot"]
    if isinstance(document, list):
        document = {"metrics": document}
    if not isinstance(document, dict):
        raise Invalid("no snapshot", hint="Give an object with `metrics`, or IBM's properties.")
    try:
        if "metrics" in document:
            found = list(_normalised(document["metrics"]))
        elif "qubits" in document and "gates" in document:
            found = list(_of_properties(document))
        else:
            raise Invalid(
                "no snapshot", hint="Give an object with `metrics`, or IBM's backend properties."
            )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Invalid(f"no snapshot: {type(error).__name__}: {error}"[:200]) from None
    if len(found) > MOST_METRICS:
        raise Invalid(f"{len(found)} metrics, at most {MOST_METRICS}")
    return found


def _normalised(given: Any) -> Iterator[Metric]:
    """Metrics in a list, or by name and targets as the broker shows them."""
    for row in _rows(given) if isinstance(given, dict) else given:
        unit = str(row.get("unit") or "")
        name = _name(str(row["name"]))
        if name is None or unit not in _SECONDS:
            continue
        yield _metric(name, row.get("targets") or (), float(row["value"]), unit)


def _rows(given: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for name, places in given.items():
        for place, number in places.items():
            yield {**number, "name": name, "targets": place.split(",") if place else ()}


def _of_properties(document: Mapping[str, Any]) -> Iterator[Metric]:
    for qubit, values in enumerate(document["qubits"]):
        for one in values:
            name = _name(one["name"])
            if name is not None:
                yield _metric(name, [qubit], float(one["value"]), one.get("unit") or "")
    for gate in document["gates"]:
        for one in gate["parameters"]:
            name = _name(f"{gate['gate']}.{one['name']}")
            if name is not None:
                yield _metric(name, gate["qubits"], float(one["value"]), one.get("unit") or "")


def _name(name: str) -> str | None:
    """What it is called here; ``None``: no noise comes of it."""
    if name in ("T1", "T2"):
        return name
    name = _RENAMED.get(name, name)
    gate, dot, kind = name.partition(".")
    kind = _KINDS.get(kind, kind)
    return f"{gate}.{kind}" if dot and kind in ("error", "duration") else None


def _metric(name: str, targets: Sequence[Any], value: float, unit: str) -> Metric:
    places = tuple(int(one) for one in targets)
    timed = name in ("T1", "T2") or name.endswith(".duration")
    if not math.isfinite(value) or value < 0 or len(places) > 8:
        raise ValueError(f"{name} of {value}")
    if any(not 0 <= place < MOST_QUBITS for place in places):
        raise ValueError(f"{name} of qubit {max(places)}")
    if not timed:
        return Metric(name=name, targets=places, value=min(value, 1.0))
    return Metric(name=name, targets=places, value=value * _SECONDS[unit], unit="s")
