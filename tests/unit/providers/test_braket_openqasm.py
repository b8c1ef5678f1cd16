"""Circuits in Braket's OpenQASM 3, as Amazon's own SDK reads them."""

import json
import math
import random
from typing import Any

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit.quantum_info import Operator

from quanopy.domain.errors import Invalid
from quanopy.providers.braket.openqasm import expected_source, measured_source
from quanopy.providers.braket.programs import program, program_set
from quanopy.providers.braket.simulators import GATES

ROUNDS = 6
"""Circuits of each gate: other angles, on other qubits."""


def read(source: str) -> Any:
    """A program as the SDK's circuit."""
    circuits = pytest.importorskip("braket.circuits")
    from braket.ir.openqasm.program_v1 import Program

    return circuits.Circuit.from_ir(Program(source=source))


@pytest.mark.parametrize("name", sorted(GATES.keys() - {"measure", "barrier"}))
def test_every_gate_is_the_same_to_amazon(name: str) -> None:
    draw = random.Random(name)
    known = get_standard_gate_name_mapping()[name]
    for _ in range(ROUNDS):
        circuit = QuantumCircuit(3, 3)
        circuit.h(range(3))
        gate = known.base_class(*(draw.uniform(-7, 7) for _ in known.params))
        circuit.append(gate, draw.sample(range(3), known.num_qubits))
        circuit.barrier()
        circuit.rx(1e-7, 0)
        source = measured_source(_measured(circuit), labels=range(3), verbatim=False)
        theirs = read(source).to_unitary()
        ours = Operator(circuit.reverse_bits()).data
        overlap = abs(np.trace(ours.conj().T @ theirs)) / len(ours)
        assert overlap == pytest.approx(1.0, abs=1e-9)


def _measured(circuit: QuantumCircuit) -> QuantumCircuit:
    whole = circuit.copy()
    whole.measure(range(3), range(3))
    return whole


def test_a_machine_that_compiles_nothing_gets_its_own_qubits_in_a_verbatim_box() -> None:
    circuit = QuantumCircuit(3, 2)
    circuit.r(0.5, -0.25, 0)
    circuit.cz(0, 2)
    circuit.measure(0, 1)
    circuit.measure(2, 0)
    source = measured_source(circuit, labels=(5, 6, 9), verbatim=True)
    assert source.splitlines() == [
        "OPENQASM 3.0;",
        "bit[2] b;",
        "#pragma braket verbatim",
        "box{",
        "prx(0.5, -0.25) $5;",
        "cz $5, $9;",
        "}",
        "b[0] = measure $9;",
        "b[1] = measure $5;",
    ]
    assert [int(one) for one in read(source).qubits] == [5, 9]


def test_qubits_above_the_last_that_is_used_are_left_out() -> None:
    circuit = QuantumCircuit(30, 1)
    circuit.h(1)
    circuit.measure(1, 0)
    assert "qubit[2] q;" in measured_source(circuit, labels=range(30), verbatim=False)


def test_expectation_values_are_asked_for_beside_the_gates() -> None:
    circuit = QuantumCircuit(4)
    circuit.h(0)
    circuit.cx(0, 1)
    source = expected_source(circuit, [{0: "X", 2: "Z"}, {1: "Y"}])
    assert "qubit[3] q;" in source
    asked = [(type(one).__name__, str(one.observable)) for one in read(source).result_types]
    assert [kind for kind, _ in asked] == ["Expectation", "Expectation"]
    targets = [[int(qubit) for qubit in one.target] for one in read(source).result_types]
    assert targets == [[0, 2], [1]]


@pytest.mark.parametrize("angle", [math.inf, math.nan])
def test_an_angle_that_is_no_number_is_refused(angle: float) -> None:
    circuit = QuantumCircuit(1, 1)
    circuit.rx(angle, 0)
    circuit.measure(0, 0)
    with pytest.raises(Invalid, match="rx has an angle that is no number"):
        measured_source(circuit, labels=range(1), verbatim=False)


def test_a_parameter_without_a_value_is_refused() -> None:
    circuit = QuantumCircuit(1, 1)
    circuit.rx(Parameter("a"), 0)
    circuit.measure(0, 0)
    with pytest.raises(Invalid, match="rx has a parameter without a value"):
        measured_source(circuit, labels=range(1), verbatim=False)


def test_what_braket_has_not_is_refused() -> None:
    circuit = QuantumCircuit(1, 1)
    circuit.reset(0)
    circuit.measure(0, 0)
    with pytest.raises(Invalid, match="Braket has no gate reset"):
        measured_source(circuit, labels=range(1), verbatim=False)


def test_programs_are_those_of_braket_s_schemas() -> None:
    pytest.importorskip("braket.ir.openqasm")
    from braket.ir.openqasm.program_set_v1 import ProgramSet
    from braket.ir.openqasm.program_v1 import Program

    one = Program(source="OPENQASM 3.0;")
    assert json.loads(program("OPENQASM 3.0;")) == json.loads(one.json())
    both = ProgramSet(programs=[one, one])
    assert json.loads(program_set(["OPENQASM 3.0;"] * 2)) == json.loads(both.json())
