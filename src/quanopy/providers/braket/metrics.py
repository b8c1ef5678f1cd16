"""What Braket says of a machine's quality, as metrics."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from quanopy.domain.calibration import Metric
from quanopy.providers.braket.documents import mapping
from quanopy.providers.braket.gates import GATES

_KNOWN_FIDELITIES = {"READOUT": "measure", "RANDOMIZED_BENCHMARKING": "1q"}
_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


def metrics_of(document: Mapping[str, Any]) -> Iterator[Metric]:
    """What a device's capabilities say of its qubits, its couplings and, of atoms, its lasers."""
    standard = mapping(document.get("standardized"))
    for qubit, of in sorted(mapping(standard.get("oneQubitProperties")).items()):
        yield from _one_qubit(_labels(qubit), mapping(of))
    for pair, of in sorted(mapping(standard.get("twoQubitProperties")).items()):
        yield from _two_qubits(_labels(pair), mapping(of))
    yield from _leaves("", mapping(mapping(document.get("paradigm")).get("performance")))


def _one_qubit(qubit: tuple[int, ...], of: Mapping[str, Any]) -> Iterator[Metric]:
    for time in ("T1", "T2"):
        entry = mapping(of.get(time))
        value, factor = _number(entry.get("value")), _UNITS.get(str(entry.get("unit")).lower())
        if value is not None and factor is not None:
            yield Metric(name=time, targets=qubit, value=value * factor, unit="s")
    fidelities = of.get("oneQubitFidelity")
    for one in map(mapping, fidelities if isinstance(fidelities, list) else []):
        kind = str(mapping(one.get("fidelityType")).get("name"))[:80]
        value = _number(one.get("fidelity"))
        if value is not None:
            name = _KNOWN_FIDELITIES.get(kind, kind)
            yield Metric(name=f"{name}.error", targets=qubit, value=1 - value)


def _two_qubits(pair: tuple[int, ...], of: Mapping[str, Any]) -> Iterator[Metric]:
    fidelities = of.get("twoQubitGateFidelity")
    for one in map(mapping, fidelities if isinstance(fidelities, list) else []):
        gate, value = str(one.get("gateName")).lower()[:40], _number(one.get("fidelity"))
        if value is not None:
            yield Metric(name=f"{GATES.get(gate, gate)}.error", targets=pair, value=1 - value)


def _leaves(path: str, of: Mapping[str, Any]) -> Iterator[Metric]:
    """Numbers in the performance of an atom machine, by their path."""
    for name, value in sorted(of.items()):
        own = f"{path}.{name}" if path else str(name)
        number = _number(value)
        if number is not None:
            last = str(name)
            unit = "s" if re.match(r"T[12]", last) else "m" if "ositionError" in last else ""
            yield Metric(name=own[:120], value=number, unit=unit)
        elif isinstance(value, Mapping) and path.count(".") < 4:
            yield from _leaves(own, value)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def _labels(text: str) -> tuple[int, ...]:
    parts: Sequence[str] = str(text).split("-")
    return tuple(int(part) for part in parts if part.isascii() and part.isdigit())
