"""Drafts and what is made of them: nothing that is said is left out, nothing half made."""

from collections.abc import Iterator
from typing import Any

import pytest

from quanopy.client import Client, drafts
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
