"""In a child process: one Aer simulator, set up once a resource, and circuits kept as loaded."""

from collections import OrderedDict
from collections.abc import Sequence
from functools import cache, cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit_aer import AerSimulator

from quanopy.domain.errors import ResourceMismatch, TaskFailed
from quanopy.domain.programs import CLIFFORD, CONTROL_FLOW
from quanopy.providers.aer.distribution import Distribution, distribution
from quanopy.providers.aer.emulator import Emulator
from quanopy.providers.aer.noise import noise_model
from quanopy.providers.aer.snapshots import noise_of
from quanopy.providers.aer.templates import (
    Shape,
    bindable,
    binds_late,
    shape_of,
    without_phase,
)
from quanopy.providers.circuits import positions_of, registers_of
from quanopy.providers.observables import places_in
from quanopy.sandbox.circuits import load_qpy

_KEPT_BYTES = 24 * 1024 * 1024
"""Of QPY: its circuits take 40 times as much where each has a shape of its own."""
_PADDED_BITS = 60
EXACT = frozenset({"automatic", "statevector"})
"""Methods whose states give exact probabilities."""
_RANDOM = frozenset({"measure", "reset", "initialize"})


class Circuit:
    """A circuit as it is run: what is asked of it again and again is kept with it."""

    def __init__(self, circuit: QuantumCircuit) -> None:
        self.circuit = bindable(circuit)
        self.parameters: Sequence[Any] = tuple(circuit.parameters) if circuit.num_parameters else ()
        """In the order of a pub's last axis."""
        self.observed: dict[tuple[tuple[str, ...], tuple[int, ...]], QuantumCircuit] = {}
        """Copies that save expectation values, by the Paulis they save and where these lie."""

    @cached_property
    def exact(self) -> "tuple[Circuit, Sequence[float] | None]":
        """What is run in its place where its states are exact, and the angles that it is this
        circuit with: circuits that differ in these alone are one. Itself, where it has parameters
        of its own (``None``; its phase, which nothing shows, is left out), or has no shape that
        others share."""
        if self.parameters:
            return self._without_phase(), None
        found = shape_of(self.circuit)
        if found is None:
            return self, None
        shape, angles = found
        positions = self.positions
        template = _template(shape, None if positions is None else tuple(positions))
        return template, angles if template.parameters else None

    def _without_phase(self) -> "Circuit":
        bare = without_phase(self.circuit)
        if bare is None:
            return self
        made = Circuit(bare)
        made.parameters = self.parameters
        return made

    @cached_property
    def late(self) -> bool:
        """Whether Aer is to bind its parameters while it runs, in an exact run."""
        return bool(self.parameters) and binds_late(self.circuit)

    @cached_property
    def names(self) -> frozenset[str]:
        """Names of its instructions, control flow included by its own name only."""
        return frozenset(self.circuit.count_ops())

    @property
    def random(self) -> bool:
        """Whether two runs may leave different states."""
        return bool(self.names & (_RANDOM | CONTROL_FLOW))

    @cached_property
    def active(self) -> frozenset[int]:
        """Qubits that something is done to: Aer leaves the others out."""
        used = {q for one in self.circuit.data if one.name != "barrier" for q in one.qubits}
        return frozenset(self.circuit.find_bit(qubit).index for qubit in used)

    @cached_property
    def registers(self) -> list[dict[str, Any]]:
        """Name and width of the classical registers."""
        return registers_of(self.circuit)

    @cached_property
    def positions(self) -> list[int] | None:
        """Where each bit of the registers lies in Aer's outcome; ``None``: just there."""
        return positions_of(self.circuit)

    @cached_property
    def places(self) -> tuple[int, ...]:
        """Where each qubit that observables speak of has come to lie when it ends."""
        return tuple(places_in(self.circuit))

    @cached_property
    def plain(self) -> bool:
        """Whether Aer's outcomes can be taken as they are; it pads those of many bits."""
        return self.positions is None and self.circuit.num_clbits < _PADDED_BITS

    @cached_property
    def distribution(self) -> Distribution | None:
        """How to draw its outcomes from exact probabilities, if it allows that."""
        positions = self.positions
        return distribution(
            self.circuit, range(self.circuit.num_clbits) if positions is None else positions
        )

    def binds(self, values: NDArray[np.float64]) -> dict[Any, NDArray[np.float64]]:
        """Aer's form of parameter sets (sets, parameters)."""
        return {parameter: values[:, i] for i, parameter in enumerate(self.parameters)}


@lru_cache(maxsize=64)
def _template(shape: Shape, positions: tuple[int, ...] | None) -> Circuit:
    made = Circuit(shape.circuit())
    made.positions = None if positions is None else list(positions)
    return made


class _Cache:
    """Circuits loaded lately, by the QPY they came in."""

    def __init__(self) -> None:
        self._loaded: OrderedDict[bytes, list[Circuit]] = OrderedDict()
        self._bytes = 0

    def load(self, data: bytes) -> list[Circuit]:
        found = self._loaded.get(data)
        if found is not None:
            self._loaded.move_to_end(data)
            return found
        circuits = [Circuit(circuit) for circuit in load_qpy(data)]
        self._loaded[data] = circuits
        self._bytes += len(data)
        while self._bytes > _KEPT_BYTES and len(self._loaded) > 1:
            old, _ = self._loaded.popitem(last=False)
            self._bytes -= len(old)
        return circuits


_cache = _Cache()


def circuits_in(data: bytes) -> list[Circuit]:
    """The circuits in some QPY of our own."""
    return _cache.load(data)


@cache
def simulator(emulator: Emulator, method: str | None = None) -> AerSimulator:
    """The simulator of a resource; ``method`` other than its own."""
    return AerSimulator(
        method=method or emulator.method,
        max_parallel_threads=emulator.threads,
        max_memory_mb=emulator.memory_bytes // 2**20,
    )


def noise_for(
    emulator: Emulator, circuits: Sequence[Circuit], noise: bytes | None
) -> dict[str, Any]:
    """Options of a run of these circuits: the noise of the device they are emulated on, or that a
    snapshot's numbers tell of."""
    if noise is None and emulator.device is None:
        return {}
    active = frozenset(qubit for circuit in circuits for qubit in circuit.active)
    if noise is not None:
        names = frozenset(name for circuit in circuits for name in circuit.names)
        return {"noise_model": noise_of(noise, active, names)}
    return {"noise_model": noise_model(emulator.device, active)}


def experiments(on: AerSimulator, circuits: Sequence[QuantumCircuit], **options: Any) -> list[Any]:
    """Aer's results of these circuits under each of their parameter sets, in order; raises
    :class:`TaskFailed` if it fails for any."""
    result = on.run(list(circuits), **options).result()
    if not result.success:
        failed = [each.status for each in result.results if not each.success]
        raise TaskFailed(f"Aer: {failed[0] if failed else result.status}"[:500])
    found: list[Any] = result.results
    return found


def check_memory(circuit: Circuit, emulator: Emulator, where: str, *, noisy: bool) -> None:
    """Refuse a circuit whose state does not fit, before anything is allocated for it.

    As Aer chooses: a Clifford circuit without noise takes the stabilizer method, which always
    fits; everything else under ``automatic`` the state vector, with no smaller way out.
    """
    if 16 << 2 * circuit.circuit.num_qubits <= emulator.memory_bytes:
        return  # as a density matrix, and all the more as a state
    qubits = len(circuit.active)
    match emulator.method:
        case "automatic" if not noisy and circuit.names <= CLIFFORD | CONTROL_FLOW:
            return
        case "automatic" | "statevector":
            needed = 16 << qubits
        case "density_matrix":
            needed = 16 << 2 * qubits
        case _:
            return
    if needed > emulator.memory_bytes:
        raise ResourceMismatch(
            f"{qubits} qubits need {_size(needed)} of memory, there are "
            f"{_size(emulator.memory_bytes)}",
            where=where,
            hint="Use fewer qubits, aer-mps, or aer-stabilizer if all gates are Clifford gates.",
        )


def _size(count: int) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB"):
        if count < 1024 or unit == "TiB":
            return f"{count} {unit}" if count < 10**6 else f"{count:.1e} {unit}"
        count //= 1024
    raise AssertionError
