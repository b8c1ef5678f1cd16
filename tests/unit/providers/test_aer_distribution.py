"""Outcomes drawn from probabilities are those that Aer's own shots have."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Clbit
from qiskit.quantum_info import Statevector

from quanopy.providers.aer.engine import Circuit

SHOTS = 40_000


def drawn(circuit: QuantumCircuit) -> dict[str, int] | None:
    """Counts by exact probabilities, or ``None`` where the circuit does not allow it."""
    found = Circuit(circuit).distribution
    if found is None:
        return None
    bare = found.circuit.copy_empty_like()
    for one in found.circuit.data[:-1]:
        bare.append(one)
    read = [found.circuit.find_bit(q).index for q in found.circuit.data[-1].qubits]
    saved = Statevector(bare).probabilities(read)
    data = SimpleNamespace(quanopy_probabilities=saved)
    return dict(found.draw(data, SHOTS, np.random.default_rng(7)))


def test_bits_keep_their_places_in_registers_measured_in_any_order() -> None:
    circuit = QuantumCircuit(
        QuantumRegister(3), ClassicalRegister(2, "low"), ClassicalRegister(3, "high")
    )
    circuit.x(0)
    circuit.x(2)
    circuit.measure(2, 4)
    circuit.measure(0, 1)
    circuit.measure(1, 0)
    assert drawn(circuit) == {"0x12": SHOTS}


def test_bits_outside_of_registers_are_left_out() -> None:
    circuit = QuantumCircuit(QuantumRegister(2), [Clbit()], ClassicalRegister(1, "c"))
    circuit.h(0)
    circuit.x(1)
    circuit.measure([0, 1], [0, 1])
    assert drawn(circuit) == {"0x1": SHOTS}


@pytest.mark.parametrize("kind", ["later gate", "twice", "reset", "overwritten", "control", "none"])
def test_a_circuit_that_does_more_than_measure_at_its_end_is_left_to_aer(kind: str) -> None:
    circuit = QuantumCircuit(2, 2)
    circuit.h(0)
    if kind == "reset":
        circuit.reset(0)
    if kind != "none":
        circuit.measure(0, 0)
    match kind:
        case "later gate":
            circuit.x(0)
        case "twice":
            circuit.measure(0, 1)
        case "overwritten":
            circuit.measure(1, 0)
        case "control":
            with circuit.if_test((circuit.clbits[0], 1)):
                circuit.x(1)
    assert drawn(circuit) is None


@settings(max_examples=15, deadline=None)
@given(st.lists(st.floats(-3, 3), min_size=3, max_size=3), st.permutations([0, 1, 2]))
def test_frequencies_follow_the_state(angles: list[float], order: list[int]) -> None:
    circuit = QuantumCircuit(3, 3)
    for qubit, angle in enumerate(angles):
        circuit.ry(angle, qubit)
    circuit.cx(0, 1)
    expected = Statevector(circuit).probabilities(range(3))
    for clbit, qubit in enumerate(order):
        circuit.measure(qubit, clbit)
    counts = drawn(circuit)
    assert counts is not None
    for value, probability in enumerate(expected):
        key = hex(sum(((value >> qubit) & 1) << clbit for clbit, qubit in enumerate(order)))
        spread = 6 * np.sqrt(probability * (1 - probability) / SHOTS) + 1e-4
        assert abs(counts.get(key, 0) / SHOTS - probability) < spread
