"""Jobs that may not fit: refused when they are read, where their target is known."""

from collections.abc import Iterator, Mapping, Sequence

import pytest
from qiskit import QuantumCircuit

from quanopy.codecs.targets import encode_target
from quanopy.domain.errors import Invalid, QuanopyError, ResourceMismatch
from quanopy.domain.jobs import JobKind, JobSpec, Options, Reading
from quanopy.domain.programs import QPY, Program
from quanopy.ports.programs import Compilation
from quanopy.sandbox.circuits import dump_qpy
from quanopy.sandbox.reader import LARGE, ProcessReader

LINE = encode_target(
    qubits=3,
    instructions={
        "x": {"parameters": 0, "qubits": [[0], [1], [2]]},
        "cx": {"parameters": 0, "qubits": [[0, 1], [1, 2]]},
        "measure": {"parameters": 0, "qubits": [[0], [1], [2]]},
    },
)


def on_the_line(spec: JobSpec, reading: Reading) -> Mapping[int, Compilation]:
    """Every program of a job for the resource ``line`` is doubted."""
    if spec.resource != "line":
        return {}
    options = spec.options
    return {
        index: Compilation(circuits=circuits, target=LINE, level=1, options=options)
        for index, circuits in enumerate(reading.circuits)
    }


@pytest.fixture(scope="module")
def reader() -> Iterator[ProcessReader]:
    reader = ProcessReader(trials=on_the_line)
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
    return reader.read(specs, deadline_s=100)


def test_what_does_not_fit_is_refused_and_its_neighbours_are_read(reader: ProcessReader) -> None:
    first, refused, last = read(reader, a_job(FITS), a_job(FITS, MISFITS), a_job(FITS, FITS))
    assert isinstance(first, Reading)
    assert isinstance(refused, ResourceMismatch)
    assert "cx on qubits 0, 2" in refused.message
    assert refused.where == "programs[1].circuit 0"
    assert refused.hint
    assert isinstance(last, Reading)


def test_a_reading_that_is_remembered_is_held_to_the_target_too(reader: ProcessReader) -> None:
    (before,) = read(reader, a_job(MISFITS, resource="far"))
    assert isinstance(before, Reading)
    (refused,) = read(reader, a_job(MISFITS))
    assert isinstance(refused, ResourceMismatch)
    assert isinstance(read(reader, a_job(MISFITS, resource="far"))[0], Reading)


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


def test_what_nobody_doubts_is_not_looked_at(reader: ProcessReader) -> None:
    assert isinstance(read(reader, a_job(MISFITS, resource="far"))[0], Reading)


def test_what_cannot_be_read_is_refused_for_that(reader: ProcessReader) -> None:
    bad = JobSpec(
        kind=JobKind.SAMPLE,
        resource="line",
        programs=[Program(format="openqasm3", data=b"OPENQASM 3.0; nonsense;")],
        options=Options(compile=False),
    )
    (refused,) = read(reader, bad)
    assert isinstance(refused, Invalid)
    assert not isinstance(refused, ResourceMismatch)


def test_what_may_be_compiled_is_refused_only_where_the_compiler_cannot_make_it_fit(
    reader: ProcessReader,
) -> None:
    no_rotation, back_again = measured((0, 1)), measured((0, 1))
    no_rotation.h(1)
    for _ in range(2):
        back_again.h(1)
    fits, refused = read(
        reader, a_job(back_again, compile=True), a_job(FITS, no_rotation, compile=True)
    )
    assert isinstance(fits, Reading)
    assert isinstance(refused, ResourceMismatch)
    assert refused.message.startswith("it cannot be made to fit: ")
    assert refused.where == "programs[1]"
