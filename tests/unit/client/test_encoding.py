"""What is submitted, as it crosses the wire."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter, ParameterVector
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.quantum_info import Pauli, SparsePauliOp

from quanopy.client import drafts
from quanopy.client.circuits import unpack_circuits
from quanopy.client.programs import program_of
from quanopy.codecs.arrays import decode_array
from quanopy.domain.errors import Invalid, NotFound, Unsupported
from quanopy.wire.jobs import JobIn, PubIn

QASM3 = 'OPENQASM 3.0;\ninclude "stdgates.inc";\nqubit q;\nbit c;\nc = measure q;\n'


def wired(draft: drafts.Draft) -> JobIn:
    """As the server gets it."""
    return JobIn.model_validate_json(draft.to_wire("aer").model_dump_json(exclude_unset=True))


def pubs_of(draft: drafts.Draft) -> list[PubIn]:
    """The pubs as the server gets them."""
    return wired(draft).pubs or []


def circuits_of(job: JobIn) -> list[QuantumCircuit]:
    assert len(job.programs) == 1
    data = base64.b64decode(job.programs[0].data or "")
    assert data[6] == 15
    return unpack_circuits(data)


def bell() -> QuantumCircuit:
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    return circuit


def test_all_circuits_of_a_call_are_one_program() -> None:
    job = wired(drafts.sample([bell() for _ in range(5)], shots=7))
    assert len(circuits_of(job)) == 5
    assert [pub.circuit for pub in job.pubs or ()] == [0, 1, 2, 3, 4]
    assert job.options.shots == 7


@pytest.mark.parametrize("text", ["", " \n"])
def test_no_text_is_no_program(text: str) -> None:
    with pytest.raises(Invalid, match="there is nothing in it"):
        program_of(text)


def test_the_same_circuit_is_sent_once() -> None:
    circuit = bell()
    job = wired(drafts.sample([(circuit, None, 10), (circuit, None, 20)]))
    assert len(circuits_of(job)) == 1
    assert [(pub.circuit, pub.shots) for pub in job.pubs or ()] == [(0, 10), (0, 20)]


@pytest.mark.parametrize("given", [bell(), (bell(),), [bell()], (bell(), None, 5)])
def test_one_circuit_or_pub_is_taken_for_a_list_of_one(given: Any) -> None:
    assert len(wired(drafts.sample(given)).pubs or ()) == 1


def test_parameters_are_flattened_in_the_order_of_the_circuit() -> None:
    b, a = Parameter("b"), Parameter("a")
    circuit = QuantumCircuit(1)
    circuit.rx(b, 0)
    circuit.ry(a, 0)
    circuit.measure_all()
    pubs = pubs_of(drafts.sample([(circuit, {"b": [1.0, 2.0], "a": [3.0, 4.0]})]))
    assert pubs[0].parameters == [[3.0, 1.0], [4.0, 2.0]]


def test_a_parameter_that_the_circuit_has_not_is_refused_by_its_name() -> None:
    circuit = QuantumCircuit(1)
    circuit.ry(Parameter("theta"), 0)
    for pub in ((circuit, {"phi": 1.0}), (circuit, "Z", {"phi": 1.0})):
        draft = drafts.sample if len(pub) == 2 else drafts.estimate
        with pytest.raises(Invalid, match="phi") as raised:
            draft([pub])
        assert raised.value.where == "pubs[0].parameters"
        assert raised.value.hint == "The circuit's parameters: theta."


def test_many_parameters_travel_as_numpys_own_format() -> None:
    theta = ParameterVector("t", 20)
    circuit = QuantumCircuit(1)
    for parameter in theta:
        circuit.rx(parameter, 0)
    values = np.linspace(0, 1, 41 * 20).reshape(41, 20)
    pubs = pubs_of(drafts.estimate([(circuit, "Z", values)]))
    blob = base64.b64decode(pubs[0].parameters["npy"])
    assert np.array_equal(np.load(io.BytesIO(blob), allow_pickle=False), values)


@pytest.mark.parametrize(
    ("observable", "sent"),
    [
        ("ZZ", {"ZZ": 1.0}),
        (Pauli("XI"), {"XI": 1.0}),
        (SparsePauliOp(["ZZ", "XI"], [0.5, -1]), {"ZZ": 0.5, "XI": -1.0}),
        ({"ZI": 2}, {"ZI": 2.0}),
        (["ZZ", "XX"], [{"ZZ": 1.0}, {"XX": 1.0}]),
        ([["ZZ"], ["01"]], [[{"ZZ": 1.0}], [{"01": 1.0}]]),
    ],
)
def test_observables_are_nested_lists_of_mappings(observable: Any, sent: Any) -> None:
    job = wired(drafts.estimate([(QuantumCircuit(2), observable)], precision=0.0))
    assert (job.pubs or [])[0].observables == sent
    assert job.options.precision == 0.0


def test_qiskits_own_pubs_are_taken() -> None:
    pub = EstimatorPub.coerce((QuantumCircuit(1), "Z"), precision=0.25)
    assert pubs_of(drafts.estimate([pub]))[0].precision == 0.25


def test_text_is_sent_as_it_is() -> None:
    job = wired(drafts.sample(QASM3))
    assert (job.programs[0].format, job.programs[0].text) == ("openqasm3", QASM3)


def test_texts_may_have_parameters_and_shots() -> None:
    job = wired(drafts.sample([(QASM3, [[1.0]], 9), (QASM3, [[2.0]])]))
    assert len(job.programs) == 1
    assert [(pub.parameters, pub.shots) for pub in job.pubs or ()] == [
        ([[1.0]], 9),
        ([[2.0]], None),
    ]


@pytest.mark.parametrize(
    ("text", "format"),
    [
        ("OPENQASM 2.0;\nqreg q[1];", "openqasm2"),
        ("// a comment\n/* another\n */ OPENQASM 3;", "openqasm3"),
        ("  OPENQASM 3.1; qubit q;", "openqasm3"),
        ('{"program_id": "sampler"}', "qrmi-payload"),
    ],
)
def test_formats_are_told_apart_by_how_they_begin(text: str, format: str) -> None:
    assert program_of(text).format == format
    assert program_of(text.encode()).format == format


@pytest.mark.parametrize("text", ["qubit q;", "print('hello');", b"\x00\xff"])
def test_what_is_in_no_known_format_is_refused(text: str | bytes) -> None:
    with pytest.raises(Unsupported):
        program_of(text)


def test_long_text_without_a_header_is_refused_at_once() -> None:
    with pytest.raises(Unsupported):
        program_of(" " * 1_000_000 + "x;")
    with pytest.raises(Unsupported):
        program_of("/*" * 200_000 + ";")


def test_a_file_is_read_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "one.qasm"
    path.write_text(QASM3)
    assert program_of(path) == program_of(str(path)) == program_of(QASM3)
    with pytest.raises(NotFound, match=r"two\.qasm"):
        program_of(tmp_path / "two.qasm")


def test_the_kind_of_a_payload_is_its_own() -> None:
    payload = b'{"program_id": "estimator", "parameters": {}}'
    assert drafts.programs(payload).kind == "estimate"
    with pytest.raises(Invalid, match="asks for estimate"):
        drafts.programs(payload, kind="sample")
    with pytest.raises(Unsupported):
        drafts.programs(b'{"job_runs": 1, "sequence": {}}')


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: drafts.sample([]),
        lambda: drafts.sample(3),
        lambda: drafts.sample([bell(), QASM3]),
        lambda: drafts.sample([(bell(), [1.0, 2.0])]),
        lambda: drafts.estimate([(bell(), "Z")]),
        lambda: drafts.estimate([QASM3]),
        lambda: drafts.sample(bell(), shots=0).to_wire("aer"),
        lambda: drafts.sample(bell(), tags=["two words"]).to_wire("aer"),
        lambda: drafts.sample((QASM3, None, "many")),
        lambda: drafts.programs(QASM3, kind="guess"),
    ],
)
def test_what_cannot_be_meant_is_invalid(wrong: Any) -> None:
    with pytest.raises(Invalid):
        wrong()


def test_no_parameter_sets_keep_their_shape() -> None:
    circuit = QuantumCircuit(1, 1)
    circuit.rx(Parameter("a"), 0)
    circuit.measure(0, 0)
    (pub,) = pubs_of(drafts.sample((circuit, np.zeros((0, 3, 1)))))
    assert decode_array(pub.parameters).shape == (0, 3, 1)


def test_shots_out_of_bounds_are_invalid_before_anything_is_sent() -> None:
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    with pytest.raises(Invalid) as raised:
        drafts.sample([bell(), (circuit, None, 10**30)]).to_wire("aer")
    assert raised.value.where == "pubs[1].shots"


def test_an_option_that_there_is_not_is_named_with_those_there_are() -> None:
    draft = drafts.sample(bell(), colour="red")  # type: ignore[call-arg]
    with pytest.raises(Invalid, match=r"no option 'colour'.*Known: after, compile, .*tags\.$"):
        draft.to_wire("aer")


def test_one_tag_may_stand_alone() -> None:
    assert wired(drafts.sample(bell(), tags="alone")).tags == ["alone"]


def test_a_payload_that_is_no_json_is_refused_where_it_breaks() -> None:
    with pytest.raises(Invalid) as raised:
        drafts.programs('{"program_id": "sampler",\n nonsense}')
    assert raised.value.where == "payload.line 2, column 2"
