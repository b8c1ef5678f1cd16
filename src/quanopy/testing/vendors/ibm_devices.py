"""The machines of the loopback IBM service: fake devices with their calibration, run by Aer."""

import base64
import io
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property, lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

from quanopy.providers.aer.devices import devices
from quanopy.testing.vendors.messages import Rejected

_MOST_BYTES = 256 * 2**20
_DRIFT = 0.97
"""What coherence times shrink to, and errors grow by, with each calibration."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibrated:
    """A device in the condition that one calibration found it in."""

    configuration: Mapping[str, Any]
    properties: dict[str, Any]

    @cached_property
    def target(self) -> Any:
        """As qiskit-ibm-runtime makes it of what the service tells of a machine."""
        from qiskit_ibm_runtime.models import BackendProperties, QasmBackendConfiguration
        from qiskit_ibm_runtime.utils.backend_converter import convert_to_target

        return convert_to_target(
            QasmBackendConfiguration.from_dict({**self.configuration}),
            BackendProperties.from_dict(self.properties),
        )


class Machine:
    """A device: its configuration, its calibrations so far, and an emulator of it."""

    def __init__(self, fake: str, now: datetime, *, most_shots: int | None = None) -> None:
        """``fake`` is one of qiskit-ibm-runtime's fake devices; it was calibrated an hour ago."""
        folder = next(device.folder for device in devices() if device.name == fake)
        self.name = f"ibm_{fake}"
        self._lock = Lock()
        self.configuration = {**_load(folder / f"conf_{fake}.json"), "backend_name": self.name}
        if most_shots is not None:
            self.configuration["max_shots"] = most_shots
        properties = {**_load(folder / f"props_{fake}.json"), "backend_name": self.name}
        self._calibrations = [self._calibrated(_moved(properties, now - timedelta(hours=1)))]

    def properties(self, before: datetime | None = None) -> Mapping[str, Any]:
        """The latest calibration, or that of some time."""
        with self._lock:
            known = [one.properties for one in self._calibrations]
        early = [c for c in known if before is None or _date(c["last_update_date"]) <= before]
        return (early or known[:1])[-1]

    def recalibrate(self, now: datetime) -> None:
        """It is a little worse from now on, and so is what runs on it."""
        with self._lock:
            properties = _drifted(_moved(self._calibrations[-1].properties, now))
            self._calibrations.append(self._calibrated(properties))

    def _calibrated(self, properties: dict[str, Any]) -> "Calibrated":
        return Calibrated(configuration=self.configuration, properties=properties)

    def _now(self) -> "Calibrated":
        with self._lock:
            return self._calibrations[-1]

    def listed(self, waiting: int) -> Mapping[str, Any]:
        """What the list of backends says of it."""
        return {
            "name": self.name,
            "status": {"name": "online", "reason": "available"},
            "is_simulator": False,
            "qubits": self.configuration["n_qubits"],
            "queue_length": waiting,
            "processor_type": self.configuration.get("processor_type", {}),
        }

    def status(self, waiting: int) -> Mapping[str, Any]:
        """Its state and queue."""
        version = self.configuration["backend_version"]
        said = {"state": True, "status": "active", "message": "available"}
        return {**said, "length_queue": waiting, "backend_version": version}

    def sample(self, pubs: Sequence[Sequence[Any]], default_shots: int) -> Any:
        """Qiskit's result of pubs as the service is sent them."""
        known = [_sampler_pub(pub) for pub in pubs]
        return (
            _sampler(self._now(), _active(one[0] for one in known), default_shots)
            .run(known)
            .result()
        )

    def estimate(self, pubs: Sequence[Sequence[Any]], default_precision: float) -> Any:
        """The same for expectation values."""
        known = [_estimator_pub(pub, default_precision) for pub in pubs]
        return _estimator(self._now(), _active(one[0] for one in known)).run(known).result()


def _sampler_pub(pub: Sequence[Any]) -> tuple[Any, ...]:
    circuit, values, shots = (*pub, None, None)[:3]
    return (circuit_of(circuit), _values(values), shots)


def _estimator_pub(pub: Sequence[Any], default: float) -> tuple[Any, ...]:
    circuit, observables, values, precision = (*pub, None, None)[:4]
    return (circuit_of(circuit), observables, _values(values), precision or default)


def circuit_of(told: Any) -> Any:
    """A circuit from its QPY or OpenQASM 3."""
    if isinstance(told, str):
        from qiskit import qasm3

        return qasm3.loads(told)
    from qiskit import qpy

    if not isinstance(told, Mapping) or told.get("__type__") != "QuantumCircuit":
        raise Rejected("a pub has no circuit")
    return qpy.load(io.BytesIO(_inflated(told["__value__"])))[0]


def _values(told: Any) -> Any:
    import numpy as np

    if isinstance(told, Mapping) and told.get("__type__") == "ndarray":
        return np.load(io.BytesIO(_inflated(told["__value__"])), allow_pickle=False)
    if told is None:
        return []
    return np.asarray(told, dtype=np.float64)


def _inflated(text: str) -> bytes:
    return zlib.decompressobj().decompress(base64.b64decode(text), _MOST_BYTES)


def _active(circuits: Iterable[Any]) -> frozenset[int]:
    return frozenset(
        circuit.find_bit(qubit).index
        for circuit in circuits
        for one in circuit.data
        if one.name != "barrier"
        for qubit in one.qubits
    )


@lru_cache(maxsize=16)
def _simulator(machine: Calibrated, active: frozenset[int]) -> Any:
    """Aer with the machine's noise on these qubits: most of a run's cost is to build it."""
    from qiskit_aer import AerSimulator

    from quanopy.providers.aer.noise import noise_within

    return AerSimulator(noise_model=noise_within(machine.target, active), max_parallel_threads=1)


@lru_cache(maxsize=16)
def _sampler(machine: Calibrated, active: frozenset[int], default_shots: int) -> Any:
    from qiskit_aer.primitives import SamplerV2

    return SamplerV2.from_backend(_simulator(machine, active), default_shots=default_shots)


@lru_cache(maxsize=16)
def _estimator(machine: Calibrated, active: frozenset[int]) -> Any:
    from qiskit.primitives import BackendEstimatorV2

    return BackendEstimatorV2(backend=_simulator(machine, active))


def _load(file: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(file.read_bytes())
    return document


def _date(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _moved(properties: Mapping[str, Any], to: datetime) -> dict[str, Any]:
    """A calibration with all its dates moved by as much as makes it one of ``to``."""
    by = to - _date(properties["last_update_date"])

    def value(one: Mapping[str, Any]) -> dict[str, Any]:
        return {**one, "date": (_date(one["date"]) + by).isoformat()}

    return {
        **properties,
        "last_update_date": to.isoformat(),
        "qubits": [[value(one) for one in qubit] for qubit in properties["qubits"]],
        "gates": [
            {**gate, "parameters": [value(one) for one in gate["parameters"]]}
            for gate in properties["gates"]
        ],
        "general": [value(one) for one in properties["general"]],
    }


def _drifted(properties: dict[str, Any]) -> dict[str, Any]:
    def value(one: Mapping[str, Any]) -> dict[str, Any]:
        match one["name"]:
            case "T1" | "T2":
                return {**one, "value": one["value"] * _DRIFT}
            case "gate_error" | "readout_error" | "prob_meas0_prep1" | "prob_meas1_prep0":
                return {**one, "value": min(1.0, one["value"] / _DRIFT)}
        return dict(one)

    return {
        **properties,
        "qubits": [[value(one) for one in qubit] for qubit in properties["qubits"]],
        "gates": [
            {**gate, "parameters": [value(one) for one in gate["parameters"]]}
            for gate in properties["gates"]
        ],
    }
