"""Jobs that are not to be compiled: refused when they are read, where their target is known."""

from collections.abc import Iterator, Sequence

import pytest
from qiskit import QuantumCircuit
from qiskit.circuit.library import get_standard_gate_name_mapping

from quanopy.codecs.targets import encode_target
from quanopy.domain.errors import Invalid, QuanopyError, ResourceMismatch
from quanopy.domain.jobs import JobKind, JobSpec, Options, Reading
from quanopy.domain.programs import QPY, Program
from quanopy.domain.resources import Target
from quanopy.ports.programs import Compilation, Compiled
from quanopy.providers.aer.methods import METHODS
from quanopy.sandbox.circuits import dump_qpy
from quanopy.sandbox.compiling import compile_all
from quanopy.sandbox.reader import LARGE, ProcessReader
from quanopy.services.matching import NOT_CLIFFORD

LINE = encode_target(
    qubits=3,
    instructions={
        "x": {"parameters": 0, "qubits": [[0], [1], [2]]},
        "cx": {"parameters": 0, "qubits": [[0, 1], [1, 2]]},
        "measure": {"parameters": 0, "qubits": [[0], [1], [2]]},
    },
)


class Known:
    """Knows the target of one resource, and notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, resource: str) -> Target | None:
        self.asked.append(resource)
        return LINE if resource == "line" else None


@pytest.fixture(scope="module")
def known() -> Known:
    return Known()


@pytest.fixture(scope="module")
def reader(known: Known) -> Iterator[ProcessReader]:
    reader = ProcessReader(target_of=known)
    yield reader
    reader.close()


def measured(*pairs: tuple[int, int], qubits: int = 3, times: int = 1) -> QuantumCircuit:
    """Controlled nots between these qubits, so many times."""
    circuit = QuantumCircuit(qubits, 1)
    for pair in pairs * times:
        circuit.cx(*pair)
    circuit.measure(0, 0)
    return circuit


FITS, MISFITS = measured((0, 1), (1, 2)), measured((0, 1), (0, 2))


def a_job(*circuits: QuantumCircuit, resource: str = "line", compile: bool = False) -> JobSpec:
    programs = [Program(format=QPY, data=dump_qpy([circuit])) for circuit in circuits]
    return JobSpec(
        kind=JobKind.SAMPLE,
        resource=resource,
        programs=programs,
        options=Options(compile=compile),
    )


def read(reader: ProcessReader, *specs: JobSpec) -> Sequence[Reading | QuanopyError | None]:
    return reader.read(specs, deadline_s=30)


def test_what_does_not_fit_is_refused_and_its_neighbours_are_read(reader: ProcessReader) -> None:
    first, refused, last = read(reader, a_job(FITS), a_job(FITS, MISFITS), a_job(FITS, FITS))
    assert isinstance(first, Reading)
    assert isinstance(refused, ResourceMismatch)
    assert "cx on qubits 0, 2" in refused.message
    assert refused.where == "programs[1].circuit 0"
    assert refused.hint
    assert isinstance(last, Reading)


def test_a_reading_that_is_remembered_is_held_to_the_target_too(reader: ProcessReader) -> None:
    (before,) = read(reader, a_job(MISFITS, compile=True))
    assert isinstance(before, Reading)
    (refused,) = read(reader, a_job(MISFITS))
    assert isinstance(refused, ResourceMismatch)
    assert isinstance(read(reader, a_job(MISFITS, compile=True))[0], Reading)


def test_a_large_program_is_held_to_the_target_too(reader: ProcessReader) -> None:
    large = measured((0, 1), (0, 2), times=10_000)
    assert len(dump_qpy([large])) > LARGE
    (refused,) = read(reader, a_job(large))
    assert isinstance(refused, ResourceMismatch)


def test_a_circuit_of_more_qubits_than_the_target_is_refused_for_that(
    reader: ProcessReader,
) -> None:
    (refused,) = read(reader, a_job(measured((0, 1), qubits=5)))
    assert isinstance(refused, ResourceMismatch)
    assert refused.message == "5 qubits, the resource has 3"


def test_where_no_target_is_known_it_is_left_to_whoever_runs_it(reader: ProcessReader) -> None:
    assert isinstance(read(reader, a_job(MISFITS, resource="far"))[0], Reading)


def test_nobody_is_asked_for_what_may_be_compiled_or_cannot_be_read(
    reader: ProcessReader, known: Known
) -> None:
    known.asked.clear()
    bad = JobSpec(
        kind=JobKind.SAMPLE,
        resource="line",
        programs=[Program(format="openqasm3", data=b"OPENQASM 3.0; nonsense;")],
        options=Options(compile=False),
    )
    found, refused = read(reader, a_job(MISFITS, compile=True), bad)
    assert isinstance(found, Reading)
    assert isinstance(refused, Invalid)
    assert known.asked == []


def test_gates_that_are_said_to_be_beyond_clifford_ones_are_exactly_those() -> None:
    (stabilizer,) = (method for method in METHODS if method.name == "stabilizer")
    target = stabilizer.target(2**30)
    gates = {
        name: gate
        for name, gate in get_standard_gate_name_mapping().items()
        if name not in ("delay", "measure", "reset", "global_phase")
    }
    for name, gate in gates.items():
        circuit = QuantumCircuit(gate.num_qubits)
        circuit.append(gate, range(gate.num_qubits))
        request = Compilation(
            circuits=dump_qpy([circuit]), target=target, level=1, options=Options()
        )
        (answer,) = compile_all([request])
        assert isinstance(answer, Compiled) is (name not in NOT_CLIFFORD), name
