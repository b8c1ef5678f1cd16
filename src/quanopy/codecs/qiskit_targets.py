"""Targets as Qiskit has them: the one codec that imports Qiskit, for processes that do so too."""

from collections.abc import Mapping
from typing import Any

from qiskit.circuit import (
    BreakLoopOp,
    ContinueLoopOp,
    ForLoopOp,
    IfElseOp,
    Store,
    SwitchCaseOp,
    WhileLoopOp,
)
from qiskit.circuit.library import (
    DiagonalGate,
    Initialize,
    MCPhaseGate,
    MCXGate,
    PauliGate,
    UnitaryGate,
    get_standard_gate_name_mapping,
)
from qiskit.transpiler import InstructionProperties, Target

_CLASSES: Mapping[str, type] = {
    "if_else": IfElseOp,
    "for_loop": ForLoopOp,
    "while_loop": WhileLoopOp,
    "switch_case": SwitchCaseOp,
    "break_loop": BreakLoopOp,
    "continue_loop": ContinueLoopOp,
    "store": Store,
    "unitary": UnitaryGate,
    "diagonal": DiagonalGate,
    "pauli": PauliGate,
    "initialize": Initialize,
    "mcx": MCXGate,
    "mcphase": MCPhaseGate,
}
"""Instructions of any width."""


def qiskit_target(document: Mapping[str, Any], *, description: str | None = None) -> Target:
    """A target's document (see :func:`quanopy.codecs.targets.decode_target`) as Qiskit's own;
    instructions that Qiskit has not by name are left out."""
    gates = get_standard_gate_name_mapping()
    target = Target(description, num_qubits=document["qubits"], dt=document.get("dt"))
    for name, entry in document["instructions"].items():
        if name in _CLASSES:
            target.add_instruction(_CLASSES[name], name=name)
        elif name in gates:
            target.add_instruction(gates[name], _properties(entry), name=name)
    return target


def _properties(
    entry: Mapping[str, Any],
) -> dict[tuple[int, ...], InstructionProperties] | None:
    if entry.get("qubits") is None:
        return None
    count = len(entry["qubits"])
    errors = entry.get("errors") or [None] * count
    durations = entry.get("durations_s") or [None] * count
    return {
        tuple(qubits): InstructionProperties(error=error, duration=duration)
        for qubits, error, duration in zip(entry["qubits"], errors, durations, strict=True)
    }
