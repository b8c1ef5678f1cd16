"""Stranded executions: operators list them and say what became of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quanopy.domain.accounts import Scope
from quanopy.domain.errors import OutcomeUnknown
from quanopy.domain.states import ExecutionState, JobState, TaskState
from quanopy.ports.claims import Offer
from quanopy.ports.executions import ExecutionChange
from quanopy.services.ending import problem_of
from quanopy.services.rebuild import rebuild
from quanopy.storage.store import open_store
from quanopy.testing.catalogue import execution
from quanopy.wire.service import StrandedOut
from tests.unit.server.service import AER, JOB, WORKER, Service

GIVE_UP = {"way": "give-up", "reason": "not in the vendor's list"}


def strand(service: Service, account: str) -> tuple[str, str]:
    """Ids of a job and of its execution, which is stranded."""
    job: str = service.client(account).post("/v1/jobs", json=JOB).json()["id"]
    service.store.register(WORKER, [AER], ttl_s=600)
    (claim,) = service.store.claim(WORKER, [Offer(resource="aer", seconds=1e9)], ttl_s=600)
    run = execution(claim, provider="acme")
    service.store.begin(claim.id, [run], ttl_s=600)
    change = ExecutionChange(
        execution_id=run.id,
        state=ExecutionState.STRANDED,
        problem=problem_of(OutcomeUnknown("the reply was lost")),
    )
    service.store.advance(claim.id, [change])
    return job, run.id


Settle = Callable[..., Any]


@pytest.fixture
def settle(service: Service) -> Settle:
    """What an operator is answered who settles an execution."""
    operator = service.client("olga", Scope.OPERATOR)
    return lambda run, **body: operator.post(f"/v1/stranded/{run}", json=body)


def test_operators_see_what_is_stranded_and_users_do_not(service: Service, settle: Settle) -> None:
    job, run = strand(service, "ann")
    found = service.client("olga", Scope.OPERATOR).get("/v1/stranded").json()
    (line,) = [one for one in found["executions"] if one["id"] == run]
    shown = StrandedOut.model_validate(line)
    assert (shown.provider, shown.account, shown.resource) == ("acme", "ann", "aer")
    assert shown.tasks == [task.id for task in service.store.tasks([job])]
    assert service.client("ann").get("/v1/stranded").status_code == 403
    refused = service.client("ann").post(f"/v1/stranded/{run}", json=GIVE_UP)
    assert refused.status_code == 403
    assert shown.jobs == [job]
    assert settle(run, **GIVE_UP).status_code == 200


def test_one_that_never_arrived_is_done_again_when_asked_for(
    service: Service, settle: Settle
) -> None:
    job, run = strand(service, "ben")
    assert settle(run, way="resend", reason="never there").json()["state"] == "failed"
    assert service.job(job).state is JobState.QUEUED
    service.complete()
    assert service.job(job).state is JobState.COMPLETED
    events = service.client("ben").get(f"/v1/jobs/{job}/events").json()["events"]
    (told,) = [one for one in events if one["subject"] == run and one["after"] == "failed"]
    assert (told["before"], told["actor"]) == ("stranded", "olga")


def test_what_ends_for_good_is_in_the_archive_too(
    service: Service, settle: Settle, tmp_path: Path
) -> None:
    job, run = strand(service, "cleo")
    assert settle(run, way="give-up", reason="billed, unwanted").status_code == 200
    assert service.job(job).state is JobState.FAILED
    task, _ = service.store.tasks([job])
    assert task.problem is not None
    assert "billed, unwanted" in task.problem.message
    copy = open_store(f"sqlite:///{tmp_path / 'copy.db'}")
    rebuild(service.objects, copy)
    assert copy.jobs([job])[0].state is JobState.FAILED
    assert copy.tasks([job])[0].state is TaskState.FAILED
    copy.close()


def test_one_that_the_provider_has_is_followed_again(service: Service, settle: Settle) -> None:
    job, run = strand(service, "dora")
    assert settle(run, way="found", reason="found").status_code == 422
    found = settle(run, way="found", reason="found", provider_job_id="v7")
    assert (found.json()["state"], found.json()["provider_job_id"]) == ("submitted", "v7")
    (due,) = service.store.due("worker_acme", ["acme"], limit=9, ttl_s=600)
    assert due.executions[0].provider_job_id == "v7"
    assert service.job(job).state is JobState.RUNNING


def test_a_job_of_the_providers_is_found_for_one_execution_alone(
    service: Service, settle: Settle
) -> None:
    _, run = strand(service, "dana")
    assert settle(run, way="found", reason="seen", provider_job_id="d9").status_code == 200
    service.store.due("worker_acme", ["acme"], limit=9, ttl_s=600)
    _, other = strand(service, "dora")
    refused = settle(other, way="found", reason="seen", provider_job_id="d9")
    assert refused.status_code == 409
    assert run in refused.json()["detail"]
    assert settle(other, **GIVE_UP).status_code == 200


def test_what_cannot_be_settled_is_refused(service: Service, settle: Settle) -> None:
    assert settle("exec_none", **GIVE_UP).status_code == 404
    _, run = strand(service, "emil")
    assert settle(run, way="gone", reason="x").json()["where"] == "way"
    assert settle(run, way="give-up").json()["where"] == "reason"
    assert settle(run, **GIVE_UP).status_code == 200
    assert settle(run, **GIVE_UP).status_code == 409


def test_one_is_looked_for_once_more_and_stays_stranded(service: Service, settle: Settle) -> None:
    job, run = strand(service, "fay")
    assert settle(run, way="look", reason="again").json()["state"] == "stranded"
    (due,) = service.store.due("worker_acme", ["acme"], limit=9, ttl_s=600)
    assert due.executions[0].id == run
    assert service.job(job).state is JobState.RUNNING
