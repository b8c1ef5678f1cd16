"""In a child process: Qiskit's view of a target, and whether a circuit fits it as it stands."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from qiskit import QuantumCircuit
from qiskit.transpiler import Target as QiskitTarget

from quanopy.codecs.qiskit_targets import qiskit_target
from quanopy.codecs.targets import decode_target
from quanopy.domain.resources import Target

_FREE = frozenset({"barrier"})

Places = frozenset[tuple[int, ...]] | None
"""Where an instruction may act; ``None``: anywhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A target as circuits are checked against and compiled for."""

    qubits: int
    places: Mapping[str, Places]
    qiskit: QiskitTarget


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """The first instruction of a circuit that its target does not carry out."""

    name: str
    qubits: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name} on qubits {', '.join(map(str, self.qubits))}"


@lru_cache(maxsize=32)
def machine(target: Target) -> Machine:
    """The machine a target describes; built once."""
    document = decode_target(target)
    instructions: Mapping[str, Mapping[str, Any]] = document["instructions"]
    return Machine(
        qubits=document["qubits"],
        places={name: _places(one.get("qubits")) for name, one in instructions.items()},
        qiskit=qiskit_target(document),
    )


def misfit(circuit: QuantumCircuit, machine: Machine) -> Misfit | None:
    """The first instruction that does not fit, with the qubits it acts on; ``None``: all fit."""
    if circuit.num_qubits > machine.qubits:
        return Misfit(name="a register", qubits=(circuit.num_qubits - 1,))
    return next(_misfits(circuit, machine, tuple(range(circuit.num_qubits))), None)


def _misfits(
    circuit: QuantumCircuit, machine: Machine, qubits: tuple[int, ...]
) -> Iterator[Misfit]:
    """``qubits``: where the circuit's own lie on the machine (a block's lie elsewhere)."""
    places = machine.places
    index = dict(zip(circuit.qubits, qubits, strict=True))
    for instruction in circuit.data:
        name = instruction.name
        if name in _FREE:
            continue
        allowed = places.get(name, frozenset())
        if allowed is None and not instruction.is_control_flow():
            continue
        acting = tuple(index[bit] for bit in instruction.qubits)
        if allowed is not None and acting not in allowed:
            yield Misfit(name=name, qubits=acting)
        if instruction.is_control_flow():
            for block in instruction.operation.blocks:
                yield from _misfits(block, machine, acting)


def _places(qubits: list[list[int]] | None) -> Places:
    return None if qubits is None else frozenset(map(tuple, qubits))
