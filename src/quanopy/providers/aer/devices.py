"""IBM's fake devices, from the JSON files that qiskit-ibm-runtime ships; nothing of it is imported.

Each has a configuration (gates, coupling) and properties (a real calibration snapshot).
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from quanopy.codecs.targets import encode_target
from quanopy.domain.resources import Capabilities, Target
from quanopy.providers.aer.methods import TASK_LIMITS, state_qubits

_FOLDER = Path("fake_provider", "backends")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}
_UNTIMED: Mapping[str, Any] = {"parameters": None, "qubits": None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A fake device: the folder of its files and its number of qubits."""

    name: str
    folder: Path
    qubits: int

    @property
    def resource(self) -> str:
        """Its name as a resource."""
        return f"aer-fake-{self.name.replace('_', '-')}"

    def capabilities(self, memory_bytes: int) -> Capabilities:
        """What can be emulated of it with so much memory: noise needs dense states of the qubits
        that a circuit uses."""
        most = min(self.qubits, state_qubits(memory_bytes))
        limits = replace(TASK_LIMITS, qubits=most)
        return Capabilities(limits=limits, gates=None, default_level=1)

    def target(self) -> Target:
        """Its gates and coupling, with the errors and durations of the snapshot."""
        configuration = _load(self.folder / f"conf_{self.name}.json")
        properties = _load(self.folder / f"props_{self.name}.json")
        dt = configuration.get("dt")
        return encode_target(
            qubits=self.qubits,
            instructions=_instructions(configuration, properties, self.qubits),
            dt=dt * 1e-9 if dt else None,
        )


@cache
def devices() -> tuple[Device, ...]:
    """Every fake device there is; none where qiskit-ibm-runtime is not installed."""
    spec = find_spec("qiskit_ibm_runtime")
    places = spec.submodule_search_locations if spec is not None else None
    return tuple(device for place in places or () for device in _within(Path(place, _FOLDER)))


def _within(backends: Path) -> Iterator[Device]:
    for file in sorted(backends.glob("*/conf_*.json")):
        name = file.parent.name
        if file.name == f"conf_{name}.json" and file.with_name(f"props_{name}.json").exists():
            yield Device(name=name, folder=file.parent, qubits=_qubits(file))


def _qubits(file: Path) -> int:
    return int(_load(file)["n_qubits"])


def _load(file: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(file.read_bytes())
    return document


def _instructions(
    configuration: Mapping[str, Any], properties: Mapping[str, Any], qubits: int
) -> dict[str, Mapping[str, Any]]:
    measured = {(gate["gate"], tuple(gate["qubits"])): gate for gate in properties["gates"]}
    found = {
        gate["name"]: _gate(gate, measured)
        for gate in configuration["gates"]
        if gate["name"] in configuration["basis_gates"] and gate.get("coupling_map")
    }
    supported = set(configuration.get("supported_instructions") or ())
    flow = supported & {"if_else", "for_loop", "while_loop", "switch_case"}
    return {
        **found,
        "measure": _measurement(properties, qubits),
        "reset": {"parameters": 0, "qubits": None},
        "delay": {"parameters": 1, "qubits": None},
        **dict.fromkeys(sorted(flow), _UNTIMED),
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
    known = [_values({"parameters": one}) for one in properties["qubits"][:qubits]]
    return {
        "parameters": 0,
        "qubits": [[qubit] for qubit in range(len(known))],
        "errors": [values.get("readout_error") for values in known],
        "durations_s": [values.get("readout_length") for values in known],
    }


def _values(entry: Mapping[str, Any] | None) -> dict[str, float]:
    """Parameters by name, in seconds where they are times."""
    return {
        one["name"]: one["value"] * _SECONDS.get(one.get("unit") or "", 1.0)
        for one in (entry or {}).get("parameters", ())
    }
