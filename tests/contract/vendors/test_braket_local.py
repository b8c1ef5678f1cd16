"""Braket's own simulators keep the contract of local providers."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.primitives import StatevectorEstimator
from qiskit.quantum_info import SparsePauliOp

from quanopy.codecs.arrays import encode_array
from quanopy.domain.errors import Invalid, QuanopyError, ResourceMismatch
from quanopy.domain.jobs import JobKind, Options, Pub
from quanopy.domain.programs import BRAKET_AHS, BRAKET_IR
from quanopy.ports.providers import Outcome, Work
from quanopy.providers.braket import create_local
from quanopy.testing.local_provider_contract import LocalBench, LocalProviderContract
from tests.contract.vendors.test_braket import BELL, BLOCKADE, native, work


class BraketBench:
    """The state vector."""

    def __init__(self) -> None:
        self.provider = create_local(processes=1, time_limit_s=60.0)

    def good(self, kind: JobKind) -> Work:
        circuit = QuantumCircuit(3, 3)
        circuit.h(range(3))
        circuit.cx(0, 1)
        if kind is JobKind.ESTIMATE:
            pub = Pub(observables={"ZZZ": 1.0, "IXX": 0.5}, precision=0.05)
            return work(circuit, pub, kind=kind, on="braket-sv")
        circuit.measure(range(3), range(3))
        return work(circuit, Pub(shots=100), on="braket-sv")

    def bad(self) -> Work:
        circuit = QuantumCircuit(1, 1)
        circuit.append(QuantumCircuit(1, name="unheard_of").to_gate(), [0])
        circuit.reset(0)
        circuit.measure(0, 0)
        return work(circuit, Pub(shots=10), on="braket-sv")

    def endless(self) -> Work:
        circuit = QuantumCircuit(24, 1)
        for layer in range(4_000):
            circuit.rx(0.1 * layer, layer % 24)
            circuit.cx(layer % 24, (layer + 7) % 24)
        circuit.measure(0, 0)
        return replace(work(circuit, Pub(shots=1), on="braket-sv"), estimate_s=1000.0)


@pytest.fixture(scope="module")
def bench() -> Iterator[LocalBench]:
    bench = BraketBench()
    yield bench
    bench.provider.close()
    bench.provider.close()


class TestBraketSimulators(LocalProviderContract):
    """On the state vector."""


def pub_of(outcome: Outcome) -> dict[str, Any]:
    assert outcome.error is None, outcome.error
    (pub,) = json.loads(outcome.result or b"")
    found: dict[str, Any] = pub
    return found


def local(format: str, program: Any, on: str, **changes: Any) -> Work:
    return replace(native(format, program, 60, on), **changes)


@pytest.mark.parametrize("on", ["braket-sv", "braket-dm"])
def test_expectation_values_are_exact_unless_a_precision_is_asked_for(
    bench: LocalBench, on: str
) -> None:
    circuit = QuantumCircuit(2)
    circuit.ry(Parameter("a"), 0)
    circuit.cx(0, 1)
    values = np.array([[0.3], [1.2]])
    terms = [{"ZZ": 1.0, "XX": 0.5}, {"IZ": 1.0, "II": 0.25}]
    pub = Pub(parameters=encode_array(values), observables=terms, precision=0.0)
    (outcome,) = bench.provider.start([work(circuit, pub, kind=JobKind.ESTIMATE, on=on)]).wait()
    observables = [SparsePauliOp(list(term), list(term.values())) for term in terms]
    exact = StatevectorEstimator().run([(circuit, observables, values[:, 0])]).result()[0].data.evs
    assert pub_of(outcome)["evs"] == pytest.approx(exact.tolist())


@pytest.mark.parametrize("on", ["braket-sv", "braket-dm"])
def test_braket_programs_run_as_they_stand(bench: LocalBench, on: str) -> None:
    one = local(BRAKET_IR, BELL, on, options=Options(seed=1))
    first, second = bench.provider.start([one, one]).wait()
    pub = pub_of(first)
    assert set(pub["outcomes"]) == {"00", "11"}
    assert pub["outcomes"] == pub_of(second)["outcomes"]


def test_the_older_braket_ir_runs(bench: LocalBench) -> None:
    program = {
        "braketSchemaHeader": {"name": "braket.ir.jaqcd.program", "version": "1"},
        "instructions": [
            {"type": "h", "target": 0},
            {"type": "cnot", "control": 0, "target": 2},
        ],
    }
    (outcome,) = bench.provider.start([local(BRAKET_IR, program, "braket-sv")]).wait()
    assert set(pub_of(outcome)["outcomes"]) <= {"00", "11"}


def test_atoms_in_blockade_are_not_both_excited(bench: LocalBench) -> None:
    one = local(BRAKET_AHS, BLOCKADE, "braket-ahs", options=Options(seed=3))
    (outcome,) = bench.provider.start([one]).wait()
    outcomes = pub_of(outcome)["outcomes"]
    assert outcomes.get("rr", 0) <= 2
    assert outcomes.get("rg", 0) + outcomes.get("gr", 0) > 40


@pytest.mark.parametrize(
    "source",
    ['OPENQASM 3.0; include "/etc/passwd"; qubit q;', "/etc/hosts.qasm", "OPENQASM 3.0; nonsense"],
)
def test_a_stranger_s_program_reads_no_file_and_fails_alone(bench: LocalBench, source: str) -> None:
    bad = local(BRAKET_IR, BELL | {"source": source}, "braket-sv")
    good = local(BRAKET_IR, BELL, "braket-sv")
    first, second = bench.provider.start([bad, good]).wait()
    assert isinstance(first.error, QuanopyError)
    assert "root" not in str(first.error)
    if "nonsense" not in source:
        assert isinstance(first.error, Invalid)
    assert pub_of(second)["shots"] == 60


@pytest.mark.parametrize("format", [BRAKET_IR, "pulser"])
def test_other_formats_are_refused(bench: LocalBench, format: str) -> None:
    with pytest.raises(ResourceMismatch, match="braket-ahs"):
        bench.provider.check(local(format, BELL, "braket-ahs"))
