"""The reader: programs of every format and every kind of badness, each with its own answer."""

import base64
import io
import json
import random
import subprocess
import sys
import zlib
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from qiskit import QuantumCircuit, qpy
from qiskit.circuit import Gate, Parameter, ParameterVector
from qiskit.quantum_info import Operator

from quanopy.codecs.targets import encode_target
from quanopy.domain.errors import Invalid, QuanopyError, TooLarge
from quanopy.domain.jobs import JobKind, JobSpec, Options, Pub, Reading
from quanopy.domain.programs import Program
from quanopy.ports.programs import Compilation
from quanopy.sandbox import child
from quanopy.sandbox.confinement import Confinement
from quanopy.sandbox.pool import Children
from quanopy.sandbox.reader import ProcessReader, _misfits
from tests.unit.sandbox import calls

PATIENCE_S = 100.0
"""For what is read at all, with the start of the process that reads it."""
HEAD = 'OPENQASM 3.0;\ninclude "stdgates.inc";\n'
BELL = HEAD + "qubit[2] q; bit[2] c;\nh q[0]; cx q[0], q[1];\nc = measure q;\n"
PHI = "input float phi; qubit q; bit c; rx(phi) q; c = measure q;"
BELL2 = (
    'OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[2]; creg c[2];\nh q[0]; cx q[0],q[1];\n'
    "measure q -> c;\n"
)


@pytest.fixture(scope="module")
def reader() -> Iterator[ProcessReader]:
    reader = ProcessReader()
    yield reader
    reader.close()


def job(text: str | bytes, format: str = "openqasm3", **more: Any) -> JobSpec:
    data = text.encode() if isinstance(text, str) else text
    more.setdefault("kind", JobKind.SAMPLE)
    return JobSpec(resource="aer", programs=[Program(format=format, data=data)], **more)


def npy(dtype: str) -> str:
    """Base64 of an array's header, with a type of numbers that there is not."""
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': (2,)}}\n".encode()
    data = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(16)
    return base64.b64encode(data).decode()


def to_qpy(circuit: QuantumCircuit, version: int = 15) -> bytes:
    buffer = io.BytesIO()
    qpy.dump(circuit, buffer, version=version)
    return buffer.getvalue()


def read(reader: ProcessReader, spec: JobSpec) -> Reading:
    [answer] = reader.read([spec], deadline_s=PATIENCE_S)
    if isinstance(answer, QuanopyError):
        raise answer
    assert answer is not None
    return answer


def rotations() -> QuantumCircuit:
    circuit = QuantumCircuit(2)
    circuit.rx(Parameter("a"), 0)
    circuit.ry(2 * Parameter("b"), 1)
    return circuit


@pytest.mark.parametrize(
    ("data", "format"),
    [
        (BELL, "openqasm3"),
        (BELL2, "openqasm2"),
        (BELL.replace("h q", "gate my a { h a; } my q"), "openqasm3"),
    ],
)
def test_text_is_read_and_described(reader: ProcessReader, data: str, format: str) -> None:
    reading = read(reader, job(data, format))
    [footprint] = reading.footprints
    assert (footprint.qubits, footprint.clbits, footprint.measured) == (2, 2, True)
    assert reading.pubs == (Pub(),)
    [circuit] = qpy.load(io.BytesIO(reading.circuits[0]))
    assert circuit.num_qubits == 2


@pytest.mark.parametrize("version", [13, 14, 15, 16, 17])
def test_every_qpy_that_is_safe_is_read(reader: ProcessReader, version: int) -> None:
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    reading = read(reader, job(to_qpy(circuit, version), "qpy"))
    assert reading.circuits[0][6] == 15


def test_the_same_text_gives_the_same_bytes_in_every_process(reader: ProcessReader) -> None:
    other = ProcessReader()
    try:
        assert read(reader, job(BELL)).circuits == read(other, job(BELL)).circuits
    finally:
        other.close()


def test_a_footprint_looks_into_control_flow(reader: ProcessReader) -> None:
    text = HEAD + "qubit q; bit c; for int i in [1:10] { t q; } if (c) { c = measure q; }"
    [footprint] = read(reader, job(text)).footprints
    assert {"t", "for_loop", "measure"} <= set(footprint.gates)
    assert not footprint.clifford
    assert footprint.instructions >= 10


def test_idle_qubits_of_a_wide_circuit_do_not_count(reader: ProcessReader) -> None:
    circuit = QuantumCircuit(156, 2)
    circuit.cx(100, 101)
    circuit.barrier()
    circuit.measure([100, 101], [0, 1])
    [footprint] = read(reader, job(to_qpy(circuit), "qpy")).footprints
    assert footprint.qubits == 2


@pytest.mark.parametrize(
    ("text", "says", "where"),
    [
        (HEAD + "qubit q;\nfoo q;", "foo", "programs[0].line 4"),
        (HEAD + "qubit q\nh q;", "syntax error", "programs[0]"),
        (HEAD + "qubit[2**31] q;", "", "programs[0]"),
        (HEAD + "const uint n = 2**31; qubit[n] q;", "", "programs[0]"),
        (HEAD + "qubit q; for int i in [0:1000000000] { x q; }", "loops", "programs[0]"),
        ("hello", "at its end", "programs[0].line 1, column 5"),
        (HEAD + "qubit q;\nh q", "at its end", "programs[0].line 4, column"),
        (HEAD + "qubit[2] q; h q[5];", "beyond the end of its register", "programs[0]"),
        (HEAD + "qubit q; rx q;", "parameters than it has", "programs[0]"),
        ("OPENQASM 4.0; qubit q;", "OpenQASM 4 is not read", "programs[0]"),
    ],
)
def test_bad_text_is_invalid_and_says_where(
    reader: ProcessReader, text: str, says: str, where: str
) -> None:
    bad, good = reader.read([job(text), job(BELL)], deadline_s=PATIENCE_S)
    assert isinstance(bad, Invalid)
    assert says in bad.message
    assert (bad.where or "").startswith(where)
    assert isinstance(good, Reading)


@pytest.mark.parametrize("use", ["h q;", "gate mine a { h a; } mine q;"])
def test_a_gate_defined_under_a_standard_name_keeps_its_definition(
    reader: ProcessReader, use: str
) -> None:
    text = f"OPENQASM 3.0; gate h a {{ U(0, 0, 0) a; }} qubit q; {use}"
    reading = read(reader, job(text))
    assert "h" not in reading.footprints[0].gates
    [circuit] = qpy.load(io.BytesIO(reading.circuits[0]))
    assert Operator(circuit).equiv(Operator.from_label("I"))
    [operation] = [one.operation for one in circuit.decompose().data] or [None]
    assert operation is None or operation.name != "h"


def test_a_gate_that_doubles_forty_times_fails_alone(reader: ProcessReader) -> None:
    bomb = HEAD + "gate g0 a { x a; }\n"
    bomb += "".join(f"gate g{i + 1} a {{ g{i} a; g{i} a; }}\n" for i in range(40))
    bad, good = reader.read([job(bomb + "qubit q; g40 q;"), job(BELL)], deadline_s=PATIENCE_S)
    assert isinstance(bad, TooLarge)
    assert isinstance(good, Reading)


def test_what_is_not_read_in_time_is_not_known_to_be_bad(reader: ProcessReader) -> None:
    bomb = HEAD + "gate g0 a { x a; }\n"
    bomb += "".join(f"gate g{i + 1} a {{ g{i} a; g{i} a; }}\n" for i in range(40))
    read(reader, job(BELL))
    assert reader.read([job(bomb + "qubit q; g40 q;")], deadline_s=0.2) == [None]


def test_damaged_qpy_harms_no_other_job(reader: ProcessReader) -> None:
    circuit = QuantumCircuit(3, 3)
    circuit.h(0)
    circuit.append(Gate("mine", 2, [0.5]), [0, 1])
    circuit.rz(Parameter("t"), 2)
    whole = to_qpy(circuit)
    chance = random.Random(20)
    damaged = [_damaged(whole, chance) for _ in range(200)]
    bell = job(BELL)
    # In batches, as they come: a batch that loses its process is read one by one.
    for first in range(0, len(damaged), 50):
        specs = [job(data, "qpy") for data in damaged[first : first + 50]]
        *answers, good = reader.read([*specs, bell], deadline_s=PATIENCE_S)
        assert isinstance(good, Reading)
        assert all(isinstance(answer, Reading | Invalid) for answer in answers)


def _damaged(whole: bytes, chance: random.Random) -> bytes:
    data = bytearray(whole)
    for _ in range(chance.randint(1, 3)):
        data[chance.randrange(7, len(data))] = chance.randrange(256)
    return bytes(data)


@pytest.mark.parametrize("kept", [7, 20, 60, -1])
def test_truncated_qpy_is_invalid(reader: ProcessReader, kept: int) -> None:
    with pytest.raises(Invalid) as raised:
        read(reader, job(to_qpy(rotations())[:kept], "qpy"))
    assert raised.value.message.isprintable()
    assert "Backtrace" not in raised.value.message


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([0.1, 0.2], [0.1, 0.2]),
        ([[0.1, 0.2], [0.3, 0.4]], [[0.1, 0.2], [0.3, 0.4]]),
        ({"b": 0.2, "a": 0.1}, [0.1, 0.2]),
        ({"a": [1, 2], "b": [3, 4]}, [[1.0, 3.0], [2.0, 4.0]]),
    ],
)
def test_parameters_take_qiskits_forms(reader: ProcessReader, given: Any, expected: Any) -> None:
    reading = read(reader, job(to_qpy(rotations()), "qpy", pubs=[Pub(parameters=given)]))
    assert reading.pubs[0].parameters == expected


def test_a_vector_is_named_as_a_whole(reader: ProcessReader) -> None:
    circuit = QuantumCircuit(1)
    for element in ParameterVector("v", 3):
        circuit.rx(element, 0)
    pub = Pub(parameters={"v": [[1, 2, 3], [4, 5, 6]]})
    reading = read(reader, job(to_qpy(circuit), "qpy", pubs=[pub]))
    assert reading.pubs[0].parameters == [[1, 2, 3], [4, 5, 6]]
    assert reading.evaluations == (2,)


@pytest.mark.parametrize(
    "parameters",
    [
        None,
        [0.1],
        [[0.1, 0.2], [0.3]],
        [float("nan"), 0.1],
        [float("inf"), 0.1],
        ["0.1", 0.2],
        [[True, False]],
        {"a": 1},
        {"a": 1, "b": 2, "c": 3},
        {"a": [1, 2], "b": [1, 2, 3]},
        {"npy": "!"},
        {"npy": npy("f1")},
        {"npy": npy("<b8")},
        {"npy": base64.b64encode(b"PK\x03\x04 zip").decode()},
        {"npy": base64.b64encode(b"\x93NUMPY\x01\x00\x76\x00{}").decode()},
    ],
)
def test_bad_parameters_are_named(reader: ProcessReader, parameters: Any) -> None:
    spec = job(
        to_qpy(rotations()), "qpy", pubs=[Pub(parameters=[1, 2]), Pub(parameters=parameters)]
    )
    with pytest.raises(Invalid) as refusal:
        read(reader, spec)
    assert (refusal.value.where or "").startswith("pubs[1].parameters")


@pytest.mark.parametrize(("text", "known"), [(BELL, "none"), (HEAD + PHI, "phi")])
def test_whoever_names_a_parameter_that_is_none_is_told_those_there_are(
    reader: ProcessReader, text: str, known: str
) -> None:
    with pytest.raises(Invalid, match="'theta'") as refusal:
        read(reader, job(text, pubs=[Pub(parameters={"theta": [1.0]})]))
    assert refusal.value.hint == f"The circuit's parameters: {known}."


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("ZZ", {"ZZ": 1.0}),
        ({"ZZ": 0.5, "XI": -1}, {"ZZ": 0.5, "XI": -1.0}),
        ([["ZZ", 0.5], ["XI", 2]], {"ZZ": 0.5, "XI": 2.0}),
        (["ZZ", {"XX": 2}], [{"ZZ": 1.0}, {"XX": 2.0}]),
        ("I0", {"II": 0.5, "IZ": 0.5}),
    ],
)
def test_observables_take_qiskits_forms(reader: ProcessReader, given: Any, expected: Any) -> None:
    pub = Pub(parameters=[0, 0], observables=given)
    spec = job(to_qpy(rotations()), "qpy", kind=JobKind.ESTIMATE, pubs=[pub])
    assert read(reader, spec).pubs[0].observables == expected


@pytest.mark.parametrize(
    "observables",
    [
        *(None, [], {}, "Z", "ZZZ", "ZQ", {"ZZ": "1"}, {"ZZ": float("nan")}, 3),
        [["ZZ"], ["ZZ", "ZZ"]],
        {"ZZ": float("inf")},
        json.loads("[" * 65 + '"ZZ"' + "]" * 65),
    ],
)
def test_bad_observables_are_named(reader: ProcessReader, observables: Any) -> None:
    pub = Pub(parameters=[0, 0], observables=observables)
    spec = job(to_qpy(rotations()), "qpy", kind=JobKind.ESTIMATE, pubs=[pub])
    with pytest.raises(Invalid) as refusal:
        read(reader, spec)
    assert refusal.value.where == "pubs[0].observables"


@pytest.mark.parametrize(
    "pub", [Pub(parameters=[2**64, 0]), Pub(observables={"ZZ": 10**400}), Pub(program=2**64)]
)
def test_integers_beyond_64_bits_are_refused_for_their_own_job(
    reader: ProcessReader, pub: Pub
) -> None:
    bad, good = reader.read(
        [job(to_qpy(rotations()), "qpy", pubs=[pub]), job(BELL)], deadline_s=PATIENCE_S
    )
    assert isinstance(bad, Invalid)
    assert bad.where == "pubs"
    assert "2**64" in bad.message
    assert isinstance(good, Reading)


def test_parameters_and_observables_must_broadcast(reader: ProcessReader) -> None:
    pub = Pub(parameters=[[0, 0], [1, 1], [2, 2]], observables=["ZZ", "XX"])
    spec = job(to_qpy(rotations()), "qpy", kind=JobKind.ESTIMATE, pubs=[pub])
    with pytest.raises(Invalid, match="broadcast"):
        read(reader, spec)


@pytest.mark.parametrize(
    "pubs", [[], [Pub(circuit=1)], [Pub(program=1)], [Pub(shots=0)], [Pub(shots=2**31)]]
)
def test_bad_pubs_are_invalid(reader: ProcessReader, pubs: list[Pub]) -> None:
    with pytest.raises(Invalid):
        read(reader, job(BELL, pubs=pubs))


def payload(kind: str, pubs: list[Any], **options: Any) -> bytes:
    parameters = {"pubs": pubs, "version": 2, "options": options}
    return json.dumps({"program_id": kind, "parameters": parameters}).encode()


def test_a_sampler_payload_brings_kind_and_pubs(reader: ProcessReader) -> None:
    data = payload("sampler", [[BELL], [BELL, None, 7]], default_shots=100)
    reading = read(reader, job(data, "qrmi-payload"))
    assert reading.kind is JobKind.SAMPLE
    assert [pub.shots for pub in reading.pubs] == [100, 7]
    assert len(reading.circuits) == 1
    assert reading.footprints[0].circuits == 1


def test_an_estimator_payload_is_read_with_ibms_encodings(reader: ProcessReader) -> None:
    circuit = {
        "__type__": "QuantumCircuit",
        "__value__": base64.b64encode(zlib.compress(to_qpy(rotations()))).decode(),
    }
    observables = {"__type__": "ObservablesArray", "__value__": [{"ZZ": 1}]}
    data = payload("estimator", [[circuit, observables, {'["a", "b"]': [[1, 2]]}, 0.1]])
    reading = read(reader, job(data, "qrmi-payload", options=Options(precision=0.5)))
    assert reading.kind is JobKind.ESTIMATE
    assert reading.pubs[0].precision == 0.1
    assert reading.pubs[0].parameters == [[1.0, 2.0]]


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b"[" * 100_000,
        b"[]",
        b'{"program_id": "sampler"}',
        payload("composer", [[BELL]]),
        payload("sampler", []),
        payload("sampler", [[BELL, None, 7, 8]]),
        payload("sampler", [["nonsense"]]),
        payload("sampler", [[{"__type__": "QuantumCircuit", "__value__": "AAAA"}]]),
        payload("estimator", [[BELL, "ZZZZ"]]),
        payload("sampler", [[BELL, None, 10**20]]),
        payload("sampler", [[BELL]], default_shots=2**31),
        payload("estimator", [[BELL, "ZZ", None, 1e-300]]),
        payload("estimator", [[BELL, "ZZ", None, 10**400]]),
        payload("estimator", [[BELL, "ZZ"]], default_precision=1e300),
    ],
)
def test_bad_payloads_are_invalid(reader: ProcessReader, data: bytes) -> None:
    with pytest.raises(Invalid):
        read(reader, job(data, "qrmi-payload"))


@pytest.mark.parametrize("depth", [200, 900, 100_000])
def test_a_program_nested_deeper_than_who_runs_it_can_read_is_refused(
    reader: ProcessReader, depth: int
) -> None:
    with pytest.raises(TooLarge, match="nested"):
        read(reader, job("[" * depth + "]" * depth, "iqm", kind=JobKind.RUN))


def test_a_compressed_bomb_is_not_inflated(reader: ProcessReader) -> None:
    bomb = base64.b64encode(zlib.compress(bytes(200 * 2**20))).decode()
    data = payload("sampler", [[BELL, {"__type__": "ndarray", "__value__": bomb}]])
    with pytest.raises(TooLarge):
        read(reader, job(data, "qrmi-payload"))


def test_reading_loads_no_qiskit_where_it_is_called() -> None:
    program = (
        "import sys\n"
        "from quanopy.sandbox.reader import ProcessReader\n"
        "from quanopy.domain.jobs import JobKind, JobSpec\n"
        "from quanopy.domain.programs import Program\n"
        f"program = Program(format='openqasm3', data={BELL.encode()!r})\n"
        "spec = JobSpec(kind=JobKind.SAMPLE, resource='aer', programs=[program])\n"
        "reader = ProcessReader()\n"
        "assert reader.read([spec], deadline_s=100)[0].footprints\n"
        "reader.close()\n"
        "assert not {'qiskit', 'numpy'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.mark.parametrize("error", [MemoryError, RuntimeError])
def test_what_goes_wrong_while_a_fit_is_tried_refuses_nobody(error: type[Exception]) -> None:
    confinement = Confinement(warm_up=partial(calls.break_compiling, error))
    lane = Children(1, confinement, child.compile, name="broken")
    trial = Compilation(
        circuits=b"", target=encode_target(qubits=1, instructions={}), level=0, options=Options()
    )
    try:
        assert _misfits(lane, {(0, 0): trial}, PATIENCE_S) == {}
    finally:
        lane.close()
