"""Drafts and what is made of them: nothing that is said is left out, nothing half made."""

from collections.abc import Iterator
from types import MappingProxyType
from typing import Any

import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

from quanopy.client import Client, drafts
from quanopy.client.groups import Group, policy
from quanopy.client.http import Http
from quanopy.client.sweeps import Plan
from quanopy.domain.errors import Invalid
from quanopy.domain.ids import new_id
from tests.unit.client.stub import Stub, document

BELL = 'OPENQASM 3.0;\ninclude "stdgates.inc";\nqubit[2] q;\nbit[2] c;\nc = measure q;\n'


@pytest.fixture
def stub() -> Iterator[Stub]:
    with Stub(document({})) as stub:
        yield stub


@pytest.fixture
def client(stub: Stub) -> Iterator[Client]:
    with Client(stub.url, "t") as client:
        yield client


@pytest.mark.parametrize(
    "beside", [{"seed": 5}, {"kind": "run"}, {"name": "x"}, {"resource": "other"}]
)
def test_what_is_said_beside_a_draft_is_refused(beside: dict[str, Any]) -> None:
    draft = drafts.sample(BELL, resource="aer", shots=10)
    with pytest.raises(Invalid, match="the draft says this itself") as raised:
        drafts.drafted(draft, **beside)
    assert raised.value.where == next(iter(beside))


def test_a_draft_without_a_resource_takes_the_one_beside_it() -> None:
    assert drafts.drafted(drafts.sample(BELL), resource="other").resource == "other"
    assert drafts.drafted(drafts.sample(BELL, resource="aer"), resource="aer").resource == "aer"


@pytest.mark.parametrize(
    ("asked", "where"),
    [
        ({}, None),
        ({"shots": 100}, None),
        ({"total_shots": 1000}, None),
        ({"total_shots": 1000, "shots": 10, "count": 5}, None),
        ({"total_shots": True, "shots": 10}, "total_shots"),
        ({"total_shots": "many", "shots": 10}, "total_shots"),
        ({"total_shots": 1000, "shots": 0}, "shots"),
        ({"count": 0}, "count"),
        ({"count": 5, "max_in_flight": True}, "max_in_flight"),
        ({"count": 5, "gap": "soon"}, "gap"),
        ({"count": 5, "stop_when": {"calibration": {"T1": {}}}}, "stop.calibration.T1"),
        ({"count": 5, "stop_when": {"precison": 0.1}}, "stop.precison"),
        ({"count": 5, "shoots": 5}, None),
        ({"count": 5, "name": ""}, "name"),
    ],
)
def test_an_experiment_that_cannot_be_is_not_begun(
    client: Client, stub: Stub, asked: dict[str, Any], where: str | None
) -> None:
    with pytest.raises(Invalid) as raised:
        client.segment(BELL, **asked)
    assert raised.value.where == where
    assert stub.seen == []


@pytest.mark.parametrize(
    "where",
    [
        {"scatter": ["aer"], "resource": "aer"},
        {"scatter": {"aer": 1.0}, "resource": "aer"},
        {"scatter": ["aer", "aer"]},
        {"scatter": []},
        {"scatter": {"aer": "half", "aer-mps": 1}},
        {"scatter": {"aer": float("nan")}},
        {"scatter": {"aer": -1, "aer-mps": 2}},
        {"scatter": {"aer": 0}},
    ],
)
def test_a_sweep_is_not_scattered_over_nothing(
    client: Client, stub: Stub, where: dict[str, Any]
) -> None:
    with pytest.raises(Invalid) as raised:
        client.sweep(BELL, {"a": [0.1, 0.2]}, "ZZ", **where)
    assert raised.value.where == "scatter"
    assert stub.seen == []


def test_a_sweep_is_attached_to_by_all_of_its_jobs(client: Client, stub: Stub) -> None:
    with pytest.raises(Invalid, match="2 jobs for a sweep of 1"):
        client.sweep(BELL, {"a": [0.1]}, "ZZ", jobs=[new_id("job"), new_id("job")])
    assert stub.seen == []


@pytest.mark.parametrize(
    ("asked", "where"),
    [
        ({"tags": 5}, "tags[0]"),
        ({"tags": [None]}, "tags[0]"),
        ({"after": 5}, "after[0]"),
        ({"requires": 5}, "requires"),
        ({"requires": "qubits=5"}, "requires"),
        ({"shots": True}, "options.shots"),
        ({"memory": 5}, "options.memory"),
    ],
)
def test_an_option_of_another_type_is_named(
    client: Client, stub: Stub, asked: dict[str, Any], where: str
) -> None:
    with pytest.raises(Invalid) as raised:
        client.sample(BELL, **asked)
    assert raised.value.where == where
    assert stub.seen == []


@pytest.mark.parametrize("jobs", [BELL, None, 5, drafts.sample(BELL)])
def test_many_jobs_are_a_list(client: Client, stub: Stub, jobs: Any) -> None:
    group = Group(Http(client.settings), new_id("group"), resource="aer")
    for give in (client.submit_many, group.extend):
        with pytest.raises(Invalid, match="is no list of jobs"):
            give(jobs)
    assert stub.seen == []


def test_programs_may_stand_where_drafts_do() -> None:
    made = drafts.drafted_each([BELL, drafts.sample(BELL, shots=5), QuantumCircuit(1)])
    assert [one.kind for one in made] == ["sample"] * 3
    assert [one.how.get("shots") for one in made] == [None, 5, None]


def test_a_program_may_be_cut_into_a_group(client: Client, stub: Stub) -> None:
    group = Group(Http(client.settings), new_id("group"), resource="aer")
    with pytest.raises(Invalid) as raised:
        group.segment(BELL, count=True)
    assert raised.value.where == "count"


@pytest.mark.parametrize("given", [[None], [5], [QuantumCircuit(1), None]])
def test_what_is_no_circuit_is_not_run(given: Any) -> None:
    with pytest.raises(Invalid, match="is nothing to run"):
        drafts.programs(given)


def test_values_of_other_parameters_are_refused_with_the_place() -> None:
    circuit = QuantumCircuit(1)
    circuit.rx(Parameter("t"), 0)
    with pytest.raises(Invalid, match="x") as raised:
        drafts.sample([(circuit, {"x": 1})])
    assert raised.value.where == "pubs[0].parameters"


@pytest.mark.parametrize("observables", [None, "ZZ", ["ZZ", "XX"]])
def test_a_sweep_may_be_of_one_point(observables: Any) -> None:
    plan = Plan(BELL, {"phi": 0.5}, observables)
    (draft,) = plan.drafts({})
    assert plan.shape == ()
    (pub,) = draft.pubs or ()
    assert pub.parameters == {"phi": 0.5 if not isinstance(observables, list) else [0.5]}


@pytest.mark.parametrize("stop", [5, "precision=0.1", ["precision"]])
def test_rules_are_a_mapping(stop: Any) -> None:
    with pytest.raises(Invalid, match="an object of named fields") as raised:
        policy(stop=stop)
    assert raised.value.where == "stop"


def test_any_mapping_will_do() -> None:
    bounds = MappingProxyType({"T1": MappingProxyType({"least": 1e-5})})
    made = policy(stop=MappingProxyType({"calibration": bounds}))
    assert made is not None
    assert made.stop.calibration["T1"].least == 1e-5


def test_a_token_s_fields_are_checked_before_they_are_sent(client: Client, stub: Stub) -> None:
    for token in ({"account": "a b"}, {"scope": "user"}, {"account": "a", "expires_in_s": True}, 5):
        with pytest.raises(Invalid):
            client.create_token(token)  # type: ignore[arg-type]
    with pytest.raises(Invalid, match="is no datetime"):
        client.calibrations("aer", since="7d")  # type: ignore[arg-type]
    assert stub.seen == []
