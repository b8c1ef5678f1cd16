"""Works taken apart into bound circuits and put together again: as Qiskit's own primitives do."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister, generate_preset_pass_manager
from qiskit.circuit import Parameter
from qiskit.primitives import StatevectorEstimator, StatevectorSampler
from qiskit.quantum_info import SparsePauliOp, Statevector
from qiskit.transpiler import CouplingMap

from quanopy.codecs.arrays import encode_array
from quanopy.domain.errors import Invalid
from quanopy.domain.jobs import JobKind, Options, Pub
from quanopy.ports.providers import Work
from quanopy.providers.circuits import Counted, Run, final_measurements
from quanopy.providers.runs import results_of, runs_of
from quanopy.sandbox.circuits import dump_qpy


def work(kind: JobKind, circuits: Sequence[QuantumCircuit], *pubs: Pub, **options: Any) -> Work:
    return Work(
        task_id="task_1",
        resource="machine",
        kind=kind,
        circuits=[dump_qpy([circuit]) for circuit in circuits],
        pubs=pubs,
        options=Options(**options),
    )


def counted(run: Run) -> Counted:
    """What a vendor without noise answers."""
    (found,) = StatevectorSampler(seed=5).run([(run.circuit,)], shots=run.shots).result()
    joined = found.join_data([register.name for register in run.circuit.cregs])
    return Counted(
        counts=joined.get_int_counts(), memory=[int(bits, 2) for bits in joined.get_bitstrings()]
    )


def exactly(run: Run) -> Counted:
    """What it would answer after endless shots: the probabilities themselves, out of 2³⁰."""
    measured = final_measurements(run.circuit)
    state = Statevector(run.circuit.remove_final_measurements(inplace=False))
    clbits = sorted(measured)
    counts: dict[int, int] = {}
    for key, chance in state.probabilities_dict([measured[bit] for bit in clbits]).items():
        value = sum(int(digit) << clbits[i] for i, digit in enumerate(reversed(key)))
        counts[value] = counts.get(value, 0) + round(chance * 2**30)
    return Counted(counts=counts)


def ansatz(qubits: int = 3) -> QuantumCircuit:
    circuit = QuantumCircuit(qubits)
    for qubit in range(qubits):
        circuit.ry(Parameter(f"a{qubit}"), qubit)
        circuit.rx(Parameter(f"b{qubit}"), qubit)
    for qubit in range(qubits - 1):
        circuit.cx(qubit, qubit + 1)
    return circuit


def test_every_parameter_set_of_every_pub_is_a_run_in_c_order() -> None:
    circuit = QuantumCircuit(1, 1)
    circuit.rx(Parameter("a"), 0)
    circuit.measure(0, 0)
    plain = QuantumCircuit(1, 1)
    plain.measure(0, 0)
    values = np.array([[[0.0], [np.pi]], [[np.pi], [0.0]]])
    one = work(
        JobKind.SAMPLE,
        [circuit, plain],
        Pub(program=0, parameters=encode_array(values), shots=7),
        Pub(program=1, shots=3),
    )
    runs = runs_of(one)
    assert [(run.pub, run.at, run.shots) for run in runs] == [
        *((0, at, 7) for at in range(4)),
        (1, 0, 3),
    ]
    first, second = results_of(one, [counted(run) for run in runs])
    assert first["shape"] == [2, 2]
    assert first["counts"] == [{"0x0": 7}, {"0x1": 7}, {"0x1": 7}, {"0x0": 7}]
    assert second == {
        "shape": [],
        "shots": 3,
        "registers": [{"name": "c", "bits": 1}],
        "counts": [{"0x0": 3}],
    }


def test_registers_keep_their_order_and_loose_bits_are_left_out() -> None:
    shared = ClassicalRegister(2, "low")
    circuit = QuantumCircuit(QuantumRegister(3), shared)
    circuit.add_bits([ClassicalRegister(1)[0]])
    circuit.add_register(ClassicalRegister(name="high", bits=[shared[1], shared[0]]))
    circuit.x(0)
    circuit.measure([0, 1, 2], [0, 1, 2])
    one = work(JobKind.SAMPLE, [circuit], Pub(shots=2), memory=True)
    (found,) = results_of(one, [Counted(counts={0b101: 2}, memory=[0b101, 0b101])])
    assert found["registers"] == [{"name": "low", "bits": 2}, {"name": "high", "bits": 2}]
    assert found["counts"] == [{hex(0b1001): 2}]
    assert found["memory"] == [[hex(0b1001)] * 2]


@pytest.mark.parametrize("answers", [0, 2])
def test_more_or_fewer_answers_than_runs_are_refused(answers: int) -> None:
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    one = work(JobKind.SAMPLE, [circuit], Pub(shots=1))
    with pytest.raises(Invalid):
        results_of(one, [Counted(counts={0: 1})] * answers)


@pytest.mark.parametrize(
    "gates", [None, ("sx", "rz", "cx"), ("r", "cz"), ("rx", "ry", "cz"), ("rx", "rz", "cz")]
)
def test_measured_expectation_values_are_those_of_qiskits_estimator(
    gates: tuple[str, ...] | None,
) -> None:
    circuit = ansatz()
    values = np.random.default_rng(1).uniform(0, 6, (4, 1, 6))
    terms = [
        {"XXI": 0.5, "ZZI": 0.25, "III": 2.0, "IIY": -1.0},
        {"YXZ": 1.0, "ZII": 0.5},
        {"III": 1.5},
    ]
    one = work(
        JobKind.ESTIMATE,
        [circuit],
        Pub(parameters=encode_array(values), observables=terms, precision=0.02),
    )
    (found,) = results_of(one, [exactly(run) for run in runs_of(one, gates=gates)])
    observables = [SparsePauliOp(list(term), list(term.values())) for term in terms]
    expected = StatevectorEstimator().run([(circuit, observables, values)]).result()[0].data.evs
    assert found["shape"] == [4, 3]
    assert np.allclose(np.reshape(found["evs"], (4, 3)), expected, atol=1e-6)


def test_a_circuit_compiled_elsewhere_is_measured_where_its_qubits_came_to_lie() -> None:
    circuit = QuantumCircuit(3)
    circuit.rx(0.3, 0)
    circuit.ry(1.1, 1)
    circuit.cx(0, 2)
    compiled = generate_preset_pass_manager(
        3, coupling_map=CouplingMap.from_line(5), basis_gates=["rz", "sx", "cz"], seed_transpiler=3
    ).run(circuit)
    terms = {"ZIZ": 1.0, "XYI": 0.5, "IZI": 0.25}
    one = work(JobKind.ESTIMATE, [compiled], Pub(observables=terms, precision=0.1))
    (found,) = results_of(one, [exactly(run) for run in runs_of(one, gates=("rz", "sx", "cz"))])
    observable = SparsePauliOp(list(terms), list(terms.values()))
    assert found["evs"] == pytest.approx([Statevector(circuit).expectation_value(observable).real])


def test_standard_errors_are_those_that_repeated_runs_show() -> None:
    circuit = ansatz(2)
    values = np.array([0.4, 1.3, 2.0, 0.7])
    terms = {"ZZ": 1.0, "ZI": 0.7, "IZ": -0.4, "XX": 0.3}
    pub = Pub(parameters=encode_array(values), observables=terms, precision=0.1)
    one = work(JobKind.ESTIMATE, [circuit], pub)
    runs = runs_of(one)
    assert {run.shots for run in runs} == {100}
    rng = np.random.default_rng(2)
    exact = [exactly(run).counts for run in runs]
    seen, said = [], []
    for _ in range(600):
        answers = [
            Counted(counts=dict(zip(c, rng.multinomial(100, _chances(c)).tolist(), strict=True)))
            for c in exact
        ]
        (found,) = results_of(one, answers)
        seen.append(found["evs"][0])
        said.append(found["stds"][0])
    assert np.mean(said) == pytest.approx(np.std(seen), rel=0.1)


def _chances(counts: Any) -> Any:
    numbers = np.array(list(counts.values()), dtype=np.float64)
    return numbers / numbers.sum()


def test_paulis_that_commute_qubit_by_qubit_share_a_run() -> None:
    terms = {"ZZZ": 1.0, "ZIZ": 1.0, "IZI": 1.0, "XXX": 1.0, "IXI": 1.0}
    one = work(JobKind.ESTIMATE, [QuantumCircuit(3)], Pub(observables=terms, precision=0.1))
    assert len(runs_of(one)) == 2


def test_a_parameter_set_is_measured_for_its_own_observables_alone() -> None:
    values = np.zeros((2, 6))
    pub = Pub(
        parameters=encode_array(values),
        observables=[{"XXX": 1.0}, {"ZZZ": 1.0}],
        precision=0.1,
    )
    assert len(runs_of(work(JobKind.ESTIMATE, [ansatz()], pub))) == 2


def test_identities_need_no_run() -> None:
    one = work(JobKind.ESTIMATE, [QuantumCircuit(1)], Pub(observables={"I": 2.0}, precision=0.1))
    assert runs_of(one) == []
    assert results_of(one, [])[0]["evs"] == [2.0]


@pytest.mark.parametrize("precision", [None, 0.0, 1e-9])
def test_an_exact_value_cannot_be_measured(precision: float | None) -> None:
    pub = Pub(observables={"Z": 1.0}, precision=precision)
    with pytest.raises(Invalid, match="precision"):
        runs_of(work(JobKind.ESTIMATE, [QuantumCircuit(1)], pub))


def test_what_goes_on_after_a_measurement_is_told() -> None:
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    circuit.x(0)
    with pytest.raises(Invalid, match="qubit 0"):
        final_measurements(circuit)
