"""A Bell pair for the vendors of gates."""

import io
from typing import Any

from qiskit import QuantumCircuit, qpy


def bell() -> QuantumCircuit:
    """It, measured."""
    circuit = QuantumCircuit(2, 2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure([0, 1], [0, 1])
    return circuit


def written(circuit: Any) -> bytes:
    """A circuit as QPY."""
    buffer = io.BytesIO()
    qpy.dump([circuit], buffer, version=15)
    return buffer.getvalue()
