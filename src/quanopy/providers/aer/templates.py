"""In a child process: circuits as Aer binds parameters right, and those that differ in their angles
alone as one.

Aer takes longer to take a small circuit in than to run it: circuits of one shape are taken in once,
with all their angles to be bound while it runs, at a fifth of the cost or less.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction, Measure, Parameter, ParameterExpression
from qiskit.circuit.library import get_standard_gate_name_mapping

_ROTATIONS = "p r rx rxx ry ryy rz rzx rzz u u1 u2 u3"
_BOUND = frozenset((*_ROTATIONS.split(), "delay"))
"""What Aer binds parameters of. Of other gates, controlled ones above all, it leaves them at 0, and
says nothing."""
MOST_QUBITS = 14
"""Beyond, running takes longer than taking in, and is slower with parameters that are bound late:
gates are not fused then."""
_MOST_INSTRUCTIONS = 2048
_IDLE = frozenset({"barrier", "delay"})


def bindable(circuit: QuantumCircuit) -> QuantumCircuit:
    """The same circuit, of which Aer binds every parameter: gates of which it would not are put as
    their definitions."""
    if not circuit.num_parameters:
        return circuit
    if not any(one.is_control_flow() or _is_missed(one) for one in circuit.data):
        return circuit
    made = circuit.copy_empty_like()
    for one in circuit.data:
        operation = one.operation
        if one.is_control_flow():
            blocks = [bindable(block) for block in operation.blocks]
            made.append(operation.replace_blocks(blocks), one.qubits, one.clbits)
        elif _is_missed(one):
            made.compose(bindable(operation.definition), one.qubits, one.clbits, inplace=True)
        else:
            made._append(one)  # the way without checks: it comes from such a circuit
    return made


def _is_missed(one: CircuitInstruction) -> bool:
    return (
        one.name not in _BOUND
        and any(isinstance(value, ParameterExpression) and value.parameters for value in one.params)
        and one.operation.definition is not None
    )


def binds_late(circuit: QuantumCircuit) -> bool:
    """Whether Aer had best bind its parameters while it runs. It cannot bind a phase then."""
    phase_given = not isinstance(circuit.global_phase, ParameterExpression)
    return phase_given and circuit.num_qubits <= MOST_QUBITS


def without_phase(circuit: QuantumCircuit) -> QuantumCircuit | None:
    """The same, its phase left out; ``None`` where that is no parameter, or nothing else is."""
    if not isinstance(circuit.global_phase, ParameterExpression):
        return None
    bare = circuit.copy()
    bare.global_phase = 0.0
    return bare if bare.num_parameters else None


@dataclass(frozen=True, slots=True)
class Shape:
    """What a circuit of standard gates and measurements does, save for its angles and phase."""

    qubits: int
    clbits: int
    steps: tuple[tuple[str, tuple[int, ...], tuple[int, ...], tuple[float, ...] | None], ...]
    """Of each instruction its name, qubits and classical bits, and its numbers: ``None`` where
    they are angles to be bound."""

    def circuit(self) -> QuantumCircuit:
        """A circuit of this shape with a parameter for each angle, named so that they stand in
        order."""
        made = QuantumCircuit(self.qubits, self.clbits)
        number = 0
        for name, qubits, clbits, numbers in self.steps:
            if numbers is None:
                angles = [Parameter(f"a{number + i:06}") for i in range(len(_gates()[name].params))]
                number += len(angles)
                operation = _gates()[name].base_class(*angles)
            else:
                operation = _gates()[name].base_class(*numbers)
            made._append(
                CircuitInstruction(
                    operation,
                    [made.qubits[qubit] for qubit in qubits],
                    [made.clbits[clbit] for clbit in clbits],
                )
            )
        return made


def shape_of(circuit: QuantumCircuit) -> tuple[Shape, Sequence[float]] | None:
    """A circuit's shape and its angles; ``None`` where it is too large for that to pay, or does
    something else."""
    if circuit.num_qubits > MOST_QUBITS or len(circuit.data) > _MOST_INSTRUCTIONS:
        return None
    place = circuit.find_bit
    steps: list[Any] = []
    angles: list[float] = []
    for one in circuit.data:
        name, params = one.name, one.params
        if name in _IDLE:
            continue
        if name not in _gates() or not (one.is_standard_gate() or name == "measure"):
            return None
        if not all(isinstance(value, float | int) for value in params):
            return None
        numbers: tuple[float, ...] | None = tuple(params)
        if params and name in _BOUND:
            angles += params
            numbers = None
        steps.append(
            (
                name,
                tuple([place(qubit).index for qubit in one.qubits]),
                tuple([place(clbit).index for clbit in one.clbits]),
                numbers,
            )
        )
    return Shape(circuit.num_qubits, circuit.num_clbits, tuple(steps)), angles


@cache
def _gates() -> Mapping[str, Any]:
    """Standard operations by name; putting them together costs more than many a circuit."""
    return {**get_standard_gate_name_mapping(), "measure": Measure()}
