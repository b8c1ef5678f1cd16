"""In a child process: the noise of a fake device, on the qubits that are used alone.

Aer translates the whole noise model at every run; that of 156 qubits takes it seconds, that of
the few qubits of a circuit milliseconds.
"""

import importlib
import inspect
from functools import cache, lru_cache
from typing import Any

from qiskit.providers import BackendV2, Options
from qiskit.transpiler import Target
from qiskit_aer.noise import NoiseModel


@lru_cache(maxsize=64)
def noise_model(device: str, qubits: frozenset[int]) -> NoiseModel:
    """The noise that Aer derives from a device's calibration, for operations on these qubits."""
    return noise_within(_target(device), qubits)


def noise_within(target: Target, qubits: frozenset[int]) -> NoiseModel:
    """The noise that Aer derives from a machine's errors and times, of operations on these
    qubits."""
    return NoiseModel.from_backend(backend_of(_part(target, qubits)))


def backend_of(target: Target) -> BackendV2:
    """A backend with this target, to derive a noise model from; it runs nothing."""
    return _Part(target)


class _Part(BackendV2):  # type: ignore[misc]
    """A backend that is only looked at, never run."""

    def __init__(self, target: Target) -> None:
        super().__init__(name="part")
        self._target = target

    @property
    def target(self) -> Target:
        return self._target

    @property
    def max_circuits(self) -> None:
        return None

    @classmethod
    def _default_options(cls) -> Options:
        return Options()

    def run(self, run_input: Any, **options: Any) -> Any:
        raise NotImplementedError


def _part(whole: Target, qubits: frozenset[int]) -> Target:
    """The target with what acts within these qubits alone."""
    part = Target(num_qubits=whole.num_qubits, dt=whole.dt, qubit_properties=whole.qubit_properties)
    for name in whole.operation_names:
        operation = whole.operation_from_name(name)
        if inspect.isclass(operation):
            continue  # control flow, which makes no noise
        properties = whole[name]
        if properties and None not in properties:
            properties = {at: one for at, one in properties.items() if qubits.issuperset(at)}
            if not properties:
                continue
        part.add_instruction(operation, properties, name=name)
    return part


@cache
def _target(device: str) -> Target:
    # Seconds to import: only where a fake device is wanted.
    from qiskit_ibm_runtime.fake_provider.fake_backend import FakeBackendV2

    module = importlib.import_module(
        f"qiskit_ibm_runtime.fake_provider.backends.{device}.fake_{device}"
    )
    backends: list[Any] = [
        each()
        for _, each in inspect.getmembers(module, inspect.isclass)
        if issubclass(each, FakeBackendV2) and each.__module__ == module.__name__
    ]
    return backends[0].target
