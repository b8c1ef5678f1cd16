"""IBM's fake devices, from the JSON files that qiskit-ibm-runtime ships; nothing of it is imported.

Each has a configuration (gates, coupling) and properties (a real calibration snapshot).
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from quanopy.domain.calibration import Snapshot
from quanopy.domain.resources import Capabilities, Target
from quanopy.providers.aer.methods import TASK_LIMITS, state_qubits
from quanopy.providers.ibm.documents import snapshot_of, target_of

_FOLDER = Path("fake_provider", "backends")


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
        return target_of(
            _load(self.folder / f"conf_{self.name}.json"),
            _load(self.folder / f"props_{self.name}.json"),
        )

    def snapshot(self) -> Snapshot:
        """The properties that its noise is made from."""
        properties = _load(self.folder / f"props_{self.name}.json")
        return snapshot_of(self.resource, properties, datetime.now(UTC))


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
