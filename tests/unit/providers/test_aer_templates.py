"""Aer gives a circuit with parameters the outcomes that it has with them bound, and circuits that
differ in their angles alone those that each has by itself."""

from collections.abc import Callable, Sequence
from resource import RUSAGE_SELF, getrusage
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister, transpile
from qiskit.circuit import Gate, Parameter
from qiskit.circuit.library import (
    C3XGate,
    CCXGate,
    CRXGate,
    CSXGate,
    CUGate,
    MCPhaseGate,
    get_standard_gate_name_mapping,
)
from qiskit.quantum_info import SparsePauliOp, Statevector
from qiskit_aer import AerSimulator

from quanopy.domain.jobs import JobKind, Options, Pub
from quanopy.ports.providers import Work
from quanopy.providers.aer import exact
from quanopy.providers.aer.emulation import emulate
from quanopy.providers.aer.emulator import Emulator
from quanopy.providers.aer.engine import Circuit, experiments
from quanopy.providers.aer.methods import METHODS
from quanopy.sandbox.circuits import dump_qpy
from quanopy.testing.local_provider_contract import pubs_of

SHOTS = 4000
AER = Emulator(method="automatic", device=None, threads=1, memory_bytes=2**28)
KNOWN = METHODS[0].gates
GATES = {
    name: gate
    for name, gate in get_standard_gate_name_mapping().items()
    if gate.params and name in KNOWN and name != "delay"
} | {"mcphase": MCPhaseGate(0.0, 2)}


def work(circuit: QuantumCircuit, pub: Pub, **options: object) -> Work:
    kind = JobKind.SAMPLE if pub.observables is None else JobKind.ESTIMATE
    return Work(
        task_id=f"task_{id(circuit)}",
        resource="aer",
        kind=kind,
        circuits=[dump_qpy([circuit])],
        pubs=[pub],
        options=Options(**options),  # type: ignore[arg-type]
    )


def estimates(*circuits: QuantumCircuit, values: Sequence[Sequence[float]] | None) -> Any:
    labels = [{label: 1.0} for label in ("XXX", "ZIZ", "IYI")]
    sets = None if values is None else [[one] for one in values]
    pub = Pub(parameters=sets, observables=labels, precision=0.0)
    works = [work(circuit, pub) for circuit in circuits]
    return [pubs_of(outcome)[0]["evs"] for outcome in emulate(AER, works)]


def expected(circuit: QuantumCircuit) -> list[float]:
    state = Statevector(circuit)
    found = [state.expectation_value(SparsePauliOp(one)) for one in ("XXX", "ZIZ", "IYI")]
    return [float(np.real(one)) for one in found]


def around(act: Callable[[QuantumCircuit], object]) -> QuantumCircuit:
    """Something done to three qubits in a state that every rotation of theirs shows in."""
    circuit = QuantumCircuit(3)
    for qubit in range(3):
        circuit.ry(0.4 + qubit, qubit)
        circuit.rz(0.3 - qubit, qubit)
    act(circuit)
    for qubit in range(3):
        circuit.rx(0.7 * qubit - 1, qubit)
    return circuit


def with_gate(gate: Gate) -> QuantumCircuit:
    return around(lambda circuit: circuit.append(gate, range(gate.num_qubits)))


@pytest.mark.parametrize("name", sorted(GATES))
def test_every_gate_has_its_parameters_bound(name: str) -> None:
    gate = GATES[name].to_mutable()
    x, y = Parameter("x"), Parameter("y")
    gate.params = [(i + 1) * x + y for i in range(len(gate.params))]
    circuit = with_gate(gate)
    values = [[0.3, 0.1], [1.1, -0.4], [-2.0, 0.2]]
    [found] = estimates(circuit, values=values)
    assert np.allclose(
        np.reshape(found, (3, 3)), [expected(circuit.assign_parameters(one)) for one in values]
    )


@pytest.mark.parametrize("memory", [False, True])
@pytest.mark.parametrize("seed", [None, 5])
def test_shots_have_them_bound_too(memory: bool, seed: int | None) -> None:
    circuit = QuantumCircuit(2, 2)
    circuit.x(0)
    circuit.cry(Parameter("x"), 0, 1)
    circuit.measure([0, 1], [0, 1])
    pub = Pub(parameters=[[0.0], [np.pi]], shots=SHOTS)
    [outcome] = emulate(AER, [work(circuit, pub, memory=memory, seed=seed)])
    assert pubs_of(outcome)[0]["counts"] == [{"0x1": SHOTS}, {"0x3": SHOTS}]


def test_so_have_gates_within_control_flow() -> None:
    circuit = QuantumCircuit(2, 2)
    circuit.x(0)
    circuit.measure(0, 0)
    with circuit.if_test((0, True)):
        circuit.crx(Parameter("x"), 0, 1)
    circuit.measure(1, 1)
    pub = Pub(parameters=[[np.pi], [0.0]], shots=SHOTS)
    [outcome] = emulate(AER, [work(circuit, pub)])
    assert pubs_of(outcome)[0]["counts"] == [{"0x3": SHOTS}, {"0x1": SHOTS}]


def test_a_phase_of_the_whole_may_be_a_parameter() -> None:
    phase = Parameter("x")
    circuit = with_gate(CUGate(0.3, 0.1, 0.2, phase))
    circuit.global_phase = phase
    [found] = estimates(circuit, values=[[0.5], [1.5]])
    bound = [expected(circuit.assign_parameters([one])) for one in (0.5, 1.5)]
    assert np.allclose(np.reshape(found, (2, 3)), bound)


def test_a_parameter_of_the_phase_alone_keeps_its_place_and_keeps_none_from_being_bound_late() -> (
    None
):
    first, phase, last = (Parameter(name) for name in "abc")
    circuit = around(lambda one: (one.ry(first, 0), one.crx(last, 0, 1)))
    circuit.global_phase = phase - last / 2
    assert Circuit(circuit).exact[0].late
    values = [[0.3, 5.0, 0.7], [1.1, -2.0, 0.2]]
    [found] = estimates(circuit, values=values)
    bound = [expected(circuit.assign_parameters(one)) for one in values]
    assert np.allclose(np.reshape(found, (2, 3)), bound)


def test_circuits_that_differ_in_their_angles_alone_are_run_as_one() -> None:
    first, second = (with_gate(GATES["rzz"].base_class(angle)) for angle in (0.1, 0.2))
    second.barrier()
    second.global_phase = 1.0
    template, angles = Circuit(first).exact
    assert Circuit(second).exact[0] is template
    assert template.late
    assert angles is not None
    assert len(angles) == len(template.parameters) == 10


@pytest.mark.parametrize(
    "other",
    [
        with_gate(GATES["rzz"].base_class(0.1)).reverse_bits(),
        with_gate(GATES["rxx"].base_class(0.1)),
        with_gate(GATES["crz"].base_class(0.1)),
        around(lambda circuit: circuit.rzz(0.1, 1, 0)),
    ],
)
def test_others_are_not(other: QuantumCircuit) -> None:
    first = with_gate(GATES["rzz"].base_class(0.1))
    assert Circuit(first).exact[0] is not Circuit(other).exact[0]


def test_an_angle_that_is_not_bound_late_tells_circuits_apart() -> None:
    first, second = (Circuit(with_gate(GATES["crz"].base_class(angle))) for angle in (0.1, 0.2))
    assert first.exact[0] is not second.exact[0]


def test_circuits_that_measure_into_other_bits_or_registers_keep_their_outcomes() -> None:
    def measured(*clbits: int, registers: Sequence[int]) -> QuantumCircuit:
        named = [ClassicalRegister(bits, f"c{i}") for i, bits in enumerate(registers)]
        circuit = QuantumCircuit(QuantumRegister(2), *named)
        circuit.x(0)
        circuit.measure([0, 1], clbits)
        return circuit

    circuits = [
        measured(0, 1, registers=[2]),
        measured(1, 0, registers=[2]),
        measured(0, 2, registers=[3]),
        measured(2, 1, registers=[1, 2]),
    ]
    outcomes = emulate(AER, [work(circuit, Pub(shots=7)) for circuit in circuits])
    found = [pubs_of(outcome)[0]["counts"] for outcome in outcomes]
    assert found == [[{"0x1": 7}], [{"0x2": 7}], [{"0x1": 7}], [{"0x4": 7}]]


def test_a_gate_that_the_library_does_not_list_is_run_as_it_is() -> None:
    circuit = QuantumCircuit(4, 4)
    circuit.x(range(3))
    circuit.append(C3XGate(), range(4))
    circuit.measure(range(4), range(4))
    [outcome] = emulate(AER, [work(circuit, Pub(shots=7))])
    assert pubs_of(outcome)[0]["counts"] == [{"0xf": 7}]


def test_states_of_wide_circuits_are_not_all_kept_at_once() -> None:
    circuits = [QuantumCircuit(20) for _ in range(24)]
    for turn, circuit in enumerate(circuits):
        circuit.ry(turn, range(20))
    pub = Pub(observables={"Z" * 20: 1.0}, precision=0.0)
    before = getrusage(RUSAGE_SELF).ru_maxrss
    outcomes = emulate(AER, [work(circuit, pub) for circuit in circuits])
    evs = [pubs_of(outcome)[0]["evs"] for outcome in outcomes]
    assert np.allclose(evs, [[np.cos(turn) ** 20] for turn in range(24)])
    assert getrusage(RUSAGE_SELF).ru_maxrss - before < 24 * 2**14 // 2  # KiB


def test_a_run_keeps_no_more_states_than_there_is_room_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sets: list[int] = []

    def counted(on: Any, circuits: Any, **options: Any) -> list[Any]:
        (binds,) = options["parameter_binds"]
        sets.extend(len(values) for values in binds.values())
        return experiments(on, circuits, **options)

    monkeypatch.setattr(exact, "experiments", counted)
    circuit = QuantumCircuit(18)
    circuit.ry(Parameter("x"), range(18))
    turns = [[turn / 40] for turn in range(40)]
    pub = Pub(parameters=turns, observables={"I" * 17 + "Z": 1.0}, precision=0.0)
    [outcome] = emulate(AER, [work(circuit, pub)])
    assert np.allclose(pubs_of(outcome)[0]["evs"], np.cos(turns).ravel())
    assert sets == [16, 16, 8]


def test_labels_do_not_matter() -> None:
    circuit = with_gate(CRXGate(Parameter("x"), label="ccx"))
    circuit.append(CCXGate(label="crx"), [0, 1, 2])
    circuit.append(CSXGate(label="crx"), [0, 1])
    [found] = estimates(circuit, values=[[0.3]])
    assert np.allclose(np.reshape(found, 3), expected(circuit.assign_parameters([0.3])))


@pytest.mark.parametrize("turn", [0.3, Parameter("x")])
def test_observables_follow_qubits_that_a_compiler_has_moved(turn: Any) -> None:
    circuit = around(lambda circuit: circuit.crx(turn, 0, 1))
    circuit.swap(0, 1)
    circuit.swap(1, 2)
    moved = transpile(circuit, AerSimulator(), optimization_level=2)
    assert moved.layout.final_index_layout() == [1, 2, 0]
    values = [[0.3]] if circuit.parameters else None
    unmoved = circuit.assign_parameters([0.3] if values else [])
    found = estimates(circuit, moved, circuit, values=values)
    assert np.allclose(np.reshape(found, (3, 3)), expected(unmoved))


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_whatever_is_run_together_has_the_values_of_its_own_circuit(data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from(sorted({*GATES, "h", "cx", "sx"})), max_size=6))
    angle = st.floats(-7, 7).map(lambda value: round(value, 3))
    known = get_standard_gate_name_mapping() | GATES
    circuits = []
    for _ in range(3):
        circuit = QuantumCircuit(3)
        for place, name in enumerate(names):
            gate = known[name].to_mutable()
            gate.params = [data.draw(angle) for _ in gate.params]
            qubits = [(place + i) % 3 for i in range(gate.num_qubits)]
            circuit.h(place % 3)
            circuit.append(gate, qubits)
        circuits.append(circuit)
    found = estimates(*circuits, values=None)
    assert np.allclose(found, [expected(circuit) for circuit in circuits], atol=1e-7)
