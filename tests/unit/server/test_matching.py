"""Jobs that name no resource, and what fits them, over HTTP."""

from collections.abc import Iterator

import pytest

from quanopy.domain.programs import PULSER
from quanopy.domain.requirements import Requirements
from quanopy.domain.resources import Capabilities, Limits, Resource
from quanopy.services.unpacking import load_jobs
from tests.unit.server.service import BELL, WORKER, Service

SMALL = Resource(name="small", provider="lab", capabilities=Capabilities(limits=Limits(qubits=1)))
PRICED = Resource(
    name="qpu",
    provider="lab",
    capabilities=Capabilities(
        simulator=False,
        technology="trapped-ion",
        price_per_task=0.25,
        price_per_shot=0.01,
        formats=("openqasm3", PULSER),
    ),
)
PRIVATE = Resource(name="mine", provider="lab", owner="eve", accounts=("eve",))
JOB = {"programs": [BELL], "options": {"shots": 100}}


@pytest.fixture
def lab(service: Service) -> Iterator[Service]:
    """The service, with a few resources more."""
    service.store.register("worker_lab", [SMALL, PRICED, PRIVATE], ttl_s=600)
    yield service
    service.store.retire("worker_lab")
    service.store.register(WORKER, [], ttl_s=600)


def test_resources_are_ranked_and_told_why_they_do_not_fit(lab: Service) -> None:
    answer = lab.client().post("/v1/match", json={"requires": {"qubits": 2}})
    assert answer.status_code == 200
    found = {one["name"]: one for one in answer.json()["resources"]}
    assert (found["aer"]["rank"], found["aer"]["reasons"]) == (1, [])
    assert found["small"]["reasons"] == ["too few qubits: 1, 2 are needed"]
    assert found["qpu"]["rank"] is None
    assert "mine" not in found


def test_what_a_job_costs_is_told(lab: Service) -> None:
    asked = {"requires": {"technology": ["trapped-ion"], "max_cost": 2}, "shots": 100}
    (first, *_) = lab.client().post("/v1/match", json=asked).json()["resources"]
    assert (first["name"], first["rank"], first["cost"]) == ("qpu", 1, 1.25)


def test_a_job_goes_to_what_fits_it_and_its_history_says_why(lab: Service) -> None:
    ada = lab.client()
    made = ada.post("/v1/jobs", json=JOB | {"requires": {"qubits": 2, "max_wait": "2h"}})
    assert made.status_code == 201, made.text
    job = made.json()
    assert job["resource"] == "aer"
    events = ada.get(f"/v1/jobs/{job['id']}/events").json()["events"]
    (chosen,) = [event for event in events if event["kind"] == "job.chosen"]
    assert chosen["after"] == "aer"
    assert chosen["data"]["policy"] == "least-busy"
    assert chosen["data"]["rejected"]["small"] == ["too few qubits: 1, 2 are needed"]


def test_what_a_job_requires_is_archived(lab: Service) -> None:
    made = lab.client().post("/v1/jobs", json=JOB | {"requires": {"qubits": 2, "max_wait": "2h"}})
    (job,) = lab.store.jobs([made.json()["id"]])
    (record,) = load_jobs(lab.objects, [job.spec])
    assert record.requires == Requirements(qubits=2, max_wait_s=7200.0)
    assert record.chosen is not None
    assert record.chosen["policy"] == "least-busy"


def test_a_program_that_is_too_large_decides_too(lab: Service) -> None:
    """Nothing is asked for, and the circuit of two qubits fits one resource alone."""
    job = lab.client().post("/v1/jobs", json=JOB | {"requires": {}}).json()
    assert job["resource"] == "aer"


def test_jobs_of_one_request_are_each_chosen_for(lab: Service) -> None:
    wanted = [{"qubits": 2}, {"technology": ["trapped-ion"]}]
    jobs = [JOB | {"requires": one} for one in wanted] + [JOB | {"resource": "aer"}]
    made = lab.client().post("/v1/jobs/batch", json={"jobs": jobs})
    assert [job["resource"] for job in made.json()["jobs"]] == ["aer", "qpu", "aer"]


def test_where_none_fits_the_problem_says_why_of_each(lab: Service) -> None:
    answer = lab.client().post("/v1/jobs", json=JOB | {"requires": {"qubits": 500_000}})
    assert answer.status_code == 422
    problem = answer.json()
    assert problem["type"].endswith("resource-mismatch")
    assert problem["where"] == "requires"
    assert problem["rejected"]["small"] == ["too few qubits: 1, 500000 are needed"]
    assert "mine" not in problem["rejected"]


def test_a_format_that_is_not_taken_names_who_takes_it(lab: Service) -> None:
    program = {"format": PULSER, "text": "{}"}
    job = {"kind": "run", "programs": [program]}
    answer = lab.client().post("/v1/jobs", json=job | {"resource": "aer"})
    assert answer.status_code == 415
    assert answer.json()["taken_by"] == ["qpu"]
    assert "These are taken by qpu." in answer.json()["hint"]
    unknown = {"kind": "run", "programs": [{"format": "stone", "text": "{}"}]}
    answer = lab.client().post("/v1/jobs", json=unknown | {"resource": "aer"})
    assert (answer.status_code, answer.json()["taken_by"]) == (415, [])


@pytest.mark.parametrize(
    ("job", "where"),
    [
        ({}, "resource"),
        ({"resource": "aer", "requires": {}}, "resource"),
        ({"requires": {"qbits": 3}}, "requires.qbits"),
        ({"requires": {"qubits": 0}}, "requires.qubits"),
        ({"requires": {"fidelity": 2}}, "requires.fidelity"),
        ({"requires": {"policy": "prettiest"}}, "requires.policy"),
        ({"requires": {"connectivity": [[1, 1]]}}, "requires.connectivity"),
        ({"requires": {"connectivity": [[0, -1]]}}, "requires.connectivity"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_its_place(
    lab: Service, job: dict[str, object], where: str
) -> None:
    answer = lab.client().post("/v1/jobs", json=JOB | job)
    assert answer.status_code == 422
    assert answer.json()["where"].startswith(where)


def test_a_request_cannot_ask_for_endless_different_things(lab: Service) -> None:
    jobs = [JOB | {"requires": {"qubits": count}} for count in range(1, 40)]
    answer = lab.client().post("/v1/jobs/batch", json={"jobs": jobs})
    assert answer.status_code == 422
    assert "different requirements" in answer.json()["detail"]
