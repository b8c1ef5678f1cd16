"""IBM's documents of a machine: its configuration and properties as a target and a snapshot.

They are a vendor's, and may be anything: what cannot be read raises :class:`Transient`, naming it.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from quanopy.codecs.targets import encode_target
from quanopy.domain.calibration import Metric, Snapshot
from quanopy.domain.errors import Transient
from quanopy.domain.resources import Target

FORMAT = "ibm-backend-properties/1"
_PREFIXES = {"": 1.0, "n": 1e-9, "u": 1e-6, "µ": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9}
_UNITS = ("Hz", "s")
_FLOW = frozenset({"if_else", "for_loop", "while_loop", "switch_case"})
_FRACTIONAL = frozenset({"rx", "rzz"})
"""Gates by an angle: no machine runs them in one job with control flow, and IBM's own client
leaves them out, too, unless it is asked."""
_UNTIMED: Mapping[str, Any] = {"parameters": None, "qubits": None}


def target_of(configuration: Mapping[str, Any], properties: Mapping[str, Any] | None) -> Target:
    """Gates and coupling, with the errors and durations of a calibration."""
    with _read("configuration"):
        qubits = int(configuration["n_qubits"])
        dt = configuration.get("dt")
        return encode_target(
            qubits=qubits,
            instructions=_instructions(configuration, properties or {}, qubits),
            dt=dt * 1e-9 if dt else None,
        )


def snapshot_of(resource: str, properties: Mapping[str, Any], fetched_at: datetime) -> Snapshot:
    """A calibration, raw and as metrics in SI units."""
    with _read("properties"):
        return Snapshot(
            resource=resource,
            format=FORMAT,
            raw=json.dumps(properties, sort_keys=True, separators=(",", ":")).encode(),
            metrics=tuple(_metrics(properties)),
            calibrated_at=time_of(properties.get("last_update_date")),
            fetched_at=fetched_at,
        )


def time_of(text: Any) -> datetime | None:
    """A time as the service writes it, aware; ``None`` for none."""
    if not isinstance(text, str):
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.utcoffset() is not None else at.replace(tzinfo=UTC)


@contextmanager
def _read(what: str) -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        told = f"IBM gave {what} that cannot be read: {type(error).__name__}: {error}"
        raise Transient(told[:300]) from None


def _metrics(properties: Mapping[str, Any]) -> Iterator[Metric]:
    for qubit, values in enumerate(properties.get("qubits") or ()):
        yield from _each(values, (qubit,))
    for gate in properties.get("gates") or ():
        yield from _each(gate["parameters"], tuple(map(int, gate["qubits"])), str(gate["gate"]))
    yield from _each(properties.get("general") or (), ())


def _each(
    values: Sequence[Mapping[str, Any]], targets: tuple[int, ...], gate: str = ""
) -> Iterator[Metric]:
    for one in values:
        value, unit = in_si(one["value"], one.get("unit") or "")
        if not math.isfinite(value):
            continue
        name = str(one["name"])
        yield Metric(
            name=f"{gate}.{name.removeprefix('gate_')}" if gate else name,
            targets=targets,
            value=value,
            unit=unit,
            measured_at=time_of(one.get("date")),
        )


def in_si(value: Any, unit: str) -> tuple[float, str]:
    """A value in SI units without prefix; what has no such unit stays as it is."""
    for base in _UNITS:
        scale = _PREFIXES.get(unit.removesuffix(base)) if unit.endswith(base) else None
        if scale is not None:
            return float(value) * scale, base
    return float(value), unit


def _instructions(
    configuration: Mapping[str, Any], properties: Mapping[str, Any], qubits: int
) -> dict[str, Mapping[str, Any]]:
    gates = properties.get("gates") or ()
    measured = {(gate["gate"], tuple(gate["qubits"])): gate for gate in gates}
    found = {
        gate["name"]: _gate(gate, measured)
        for gate in configuration["gates"]
        if gate["name"] in configuration["basis_gates"]
        and gate["name"] not in _FRACTIONAL
        and gate.get("coupling_map")
    }
    supported = set(configuration.get("supported_instructions") or ())
    return {
        **found,
        "measure": _measurement(properties, qubits),
        "reset": {"parameters": 0, "qubits": None},
        "delay": {"parameters": 1, "qubits": None},
        **dict.fromkeys(sorted(supported & _FLOW), _UNTIMED),
    }


def _gate(
    gate: Mapping[str, Any], measured: Mapping[tuple[str, tuple[int, ...]], Mapping[str, Any]]
) -> dict[str, Any]:
    places = [tuple(qubits) for qubits in gate["coupling_map"]]
    known = [_values(measured.get((gate["name"], place))) for place in places]
    return {
        "parameters": len(gate.get("parameters") or ()),
        "qubits": [list(place) for place in places],
        "errors": [values.get("gate_error") for values in known],
        "durations_s": [values.get("gate_length") for values in known],
    }


def _measurement(properties: Mapping[str, Any], qubits: int) -> dict[str, Any]:
    listed = list(properties.get("qubits") or [()] * qubits)[:qubits]
    known = [_values({"parameters": one}) for one in listed]
    return {
        "parameters": 0,
        "qubits": [[qubit] for qubit in range(len(known))],
        "errors": [values.get("readout_error") for values in known],
        "durations_s": [values.get("readout_length") for values in known],
    }


def _values(entry: Mapping[str, Any] | None) -> dict[str, float]:
    """Parameters by name, in SI units."""
    return {
        one["name"]: in_si(one["value"], one.get("unit") or "")[0]
        for one in (entry or {}).get("parameters", ())
    }
