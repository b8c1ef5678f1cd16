"""Gradients: exact for every gate that is made of rotations, and refused for what is not."""

from base64 import b64decode
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Gate, Parameter, ParameterVector
from qiskit.circuit.library import (
    CUGate,
    PauliEvolutionGate,
    RGate,
    RVGate,
    XXPlusYYGate,
    efficient_su2,
)
from qiskit.primitives import StatevectorEstimator
from qiskit.quantum_info import SparsePauliOp

from quanopy.client.circuits import unpack_circuits
from quanopy.client.gradients import Gradient, Plan
from quanopy.client.handles import Job
from quanopy.client.http import Http
from quanopy.client.results import EstimatePub, Result
from quanopy.client.settings import Settings
from quanopy.client.shifts import Split, derivative, shifted
from quanopy.codecs.arrays import decode_array
from quanopy.domain.errors import Invalid, Unsupported
from quanopy.domain.ids import new_id
from quanopy.wire.jobs import ResultOut

A, B, C = (Parameter(name) for name in "abc")
OBSERVABLES = [SparsePauliOp(["ZZI", "XIY"], [1.0, -0.5]), SparsePauliOp(["YXZ"])]
ID = new_id("job")


def of_gates(*gates: tuple[Any, list[int]]) -> QuantumCircuit:
    """Gates in a circuit that lets each be felt."""
    circuit = QuantumCircuit(3)
    for qubit, angle in enumerate((0.3, 1.1, 2.3)):
        circuit.u(angle, 0.4 * angle, 0.7, qubit)
    circuit.cx(0, 1)
    circuit.cx(1, 2)
    for gate, qubits in gates:
        circuit.append(gate, qubits)
        circuit.ry(0.6, qubits[0])
        circuit.cx(2, 0)
    return circuit


def made(build: Callable[[QuantumCircuit], object]) -> QuantumCircuit:
    circuit = of_gates()
    build(circuit)
    circuit.cx(0, 2)
    circuit.rx(0.4, 1)
    return circuit


def custom() -> Gate:
    inner = QuantumCircuit(2, name="mine")
    inner.rx(A, 0)
    inner.crz(2 * A - B, 0, 1)
    return inner.to_gate()


CIRCUITS = {
    "rx": made(lambda c: c.rx(A, 0)),
    "ry": made(lambda c: c.ry(A, 1)),
    "rz": made(lambda c: c.rz(A, 2)),
    "p": made(lambda c: c.p(A, 0)),
    "rxx": made(lambda c: c.rxx(A, 0, 1)),
    "ryy": made(lambda c: c.ryy(A, 0, 2)),
    "rzz": made(lambda c: c.rzz(A, 1, 2)),
    "rzx": made(lambda c: c.rzx(A, 0, 1)),
    "u": made(lambda c: c.u(A, B, C, 1)),
    "cp": made(lambda c: c.cp(A, 0, 1)),
    "crx": made(lambda c: c.crx(A, 0, 1)),
    "cry": made(lambda c: c.cry(A, 1, 2)),
    "crz": made(lambda c: c.crz(A, 2, 0)),
    "cu": of_gates((CUGate(A, B, C, 0.2), [0, 1])),
    "r": of_gates((RGate(A, B), [2])),
    "xx_plus_yy": of_gates((XXPlusYYGate(A, B), [0, 2])),
    "mcp": made(lambda c: c.mcp(A, [0, 1], 2)),
    "evolution": of_gates((PauliEvolutionGate(SparsePauliOp(["XX", "ZZ"], [0.5, 0.3]), A), [0, 1])),
    "custom": of_gates((custom(), [0, 1]), (custom(), [2, 0])),
    "several times": of_gates(*((gate, [0]) for gate in (RGate(A, 0.1), RGate(A, B)))),
    "in expressions": made(lambda c: (c.rx(2 * A - 0.5 * B + 1, 0), c.ry(A, 1), c.rz(-A, 0))),
    "not linear": made(lambda c: (c.rx(A * B, 0), c.ry(A.sin(), 1), c.rz(B, 2))),
    "ansatz": efficient_su2(3, reps=1).decompose(),
}


def exactly(circuit: QuantumCircuit, points: Any) -> Any:
    """Expectation values at points, from state vectors."""
    pub = (circuit, [[one] for one in OBSERVABLES], points)
    return StatevectorEstimator().run([pub]).result()[0].data.evs.T


@pytest.mark.parametrize("name", CIRCUITS)
def test_the_gradient_is_that_of_finite_differences(name: str) -> None:
    circuit = CIRCUITS[name]
    count = circuit.num_parameters
    points = np.random.default_rng(1).uniform(-2, 2, (2, count))
    split = Split(circuit)
    angles, slopes = split.at(points)
    evs = np.stack([exactly(split.circuit, sets) for sets in shifted(angles)])
    gradient, _ = derivative(evs, np.zeros_like(evs), slopes)
    np.testing.assert_allclose(evs[:, 0], exactly(circuit, points), atol=1e-9)
    step = 1e-5
    for place, one in enumerate(np.eye(count) * step):
        found = (exactly(circuit, points + one) - exactly(circuit, points - one)) / (2 * step)
        np.testing.assert_allclose(gradient[..., place], found, atol=1e-8)


def no_rule(build: Callable[[QuantumCircuit], object]) -> QuantumCircuit:
    circuit = QuantumCircuit(2, 1)
    circuit.h(0)
    build(circuit)
    return circuit


def branched(circuit: QuantumCircuit) -> None:
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.rx(A, 1)


@pytest.mark.parametrize(
    ("circuit", "named"),
    [
        (no_rule(lambda c: c.append(RVGate(A, B, C), [0])), "rv"),
        (no_rule(lambda c: c.append(Gate("opaque", 1, [A]), [0])), "opaque"),
        (no_rule(lambda c: c.delay(A, 0)), "delay"),
        (no_rule(branched), "if_else"),
    ],
    ids=["rv", "opaque", "delay", "if_else"],
)
def test_what_has_no_shift_rule_is_refused_by_its_name(circuit: QuantumCircuit, named: str) -> None:
    with pytest.raises(Unsupported, match=f"'{named}' have no shift rule") as refused:
        Split(circuit)
    assert str(refused.value.where).startswith("circuit.data[")
    assert "RZZ" in str(refused.value.hint)


def test_a_gate_that_calls_itself_by_anothers_name_is_not_taken_for_it() -> None:
    with pytest.raises(Unsupported, match="'rx' have no shift rule"):
        Split(no_rule(lambda c: c.append(Gate("rx", 1, [A]), [0])))


def test_a_circuit_without_parameters_has_no_gradient() -> None:
    with pytest.raises(Invalid, match="no parameters"):
        Split(QuantumCircuit(1))


# -- plans ------------------------------------------------------------------------------------
def answered(plan: Plan, std: float = 0.0) -> Gradient:
    """What a broker would make of it, exactly, with a claimed error."""
    draft = plan.draft(resource="aer", how={})
    (pub,) = draft.pubs or ()
    (circuit,) = unpack_circuits(b64decode(draft.programs[0].data or ""))
    asked = (circuit, pub.observables, decode_array(pub.parameters))
    evs = StatevectorEstimator().run([asked]).result()[0].data.evs
    raw = {"shape": [*evs.shape], "evs": evs.ravel().tolist(), "stds": [std] * evs.size}
    answer = {"job_id": ID, "kind": "estimate", "resource": "aer", "state": "completed"}
    result = Result(ResultOut.model_validate(answer | {"pubs": [raw]}), EstimatePub)
    job = Job(Http(Settings(url="http://127.0.0.1:9", resource="aer")), ID)
    return plan.gradient(job, result)


def cosine() -> QuantumCircuit:
    """⟨Z⟩ is cos(2a + b)."""
    circuit = QuantumCircuit(1)
    circuit.rx(A, 0)
    circuit.rx(B, 0)
    circuit.rx(A, 0)
    return circuit


def test_one_point_and_one_observable_give_a_number_and_a_vector() -> None:
    plan = Plan(cosine(), "Z", {"a": 0.3, "b": 0.1})
    assert plan.evaluations == 7
    found = answered(plan, std=0.1)
    assert found.parameters == ("a", "b")
    assert found.values == pytest.approx(np.cos(0.7))
    assert found.gradient == pytest.approx(np.array([-2 * np.sin(0.7), -np.sin(0.7)]))
    assert found.errors == pytest.approx(0.1)
    # Two gates with two evaluations each of error 0.1, halved; and one gate.
    assert found.gradient_errors == pytest.approx(np.array([0.1, 0.1 / np.sqrt(2)]))


def test_many_points_and_observables_give_arrays() -> None:
    points = np.random.default_rng(0).uniform(-1, 1, (4, 3, 2))
    found = answered(Plan(cosine(), ["Z", "Y"], points))
    angle = 2 * points[..., 0] + points[..., 1]
    assert found.values.shape == (4, 3, 2)
    assert found.gradient.shape == (4, 3, 2, 2)
    np.testing.assert_allclose(found.values[..., 0], np.cos(angle), atol=1e-9)
    np.testing.assert_allclose(found.gradient[..., 1, 0], -2 * np.cos(angle), atol=1e-9)


def test_vectors_and_names_say_the_same() -> None:
    theta = ParameterVector("θ", 2)
    circuit = QuantumCircuit(1)
    circuit.rx(theta[0], 0)
    circuit.ry(theta[1], 0)
    of_vector = answered(Plan(circuit, "Z", {theta: [0.1, 0.2]}))
    of_array = answered(Plan(circuit, "Z", [0.1, 0.2]))
    of_names = answered(Plan(circuit, "Z", {"θ[1]": 0.2, theta[0]: 0.1}))
    for other in (of_array, of_names):
        np.testing.assert_array_equal(of_vector.gradient, other.gradient)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([0.1], "shape"),
        ({"a": 0.1}, "no values for b"),
        ({"a": 0.1, "b": 0.2, "c": 0.3}, "too many"),
        ({"a": [0.1, 0.2], "b": [0.1, 0.2, 0.3]}, "do not go together"),
        ({"a": np.nan, "b": 0.0}, "NaN"),
        (np.zeros((0, 2)), "no points"),
        ("no", "no array"),
    ],
)
def test_values_that_are_not_the_parameters_are_refused(values: Any, says: str) -> None:
    with pytest.raises(Invalid, match=says):
        Plan(cosine(), "Z", values)


def test_what_is_no_circuit_or_observable_is_refused() -> None:
    with pytest.raises(Unsupported, match="str is no circuit"):
        Plan("OPENQASM 3.0;", "Z", [0.1])
    with pytest.raises(Invalid):
        Plan(cosine(), "Q", [0.1, 0.2])
