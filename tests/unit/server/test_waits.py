"""What a job's detail says of what it waits for."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from quanopy.domain.accounts import Scope
from quanopy.domain.jobs import Problem
from quanopy.domain.waits import Awaited
from quanopy.services.waits import waits_of
from tests.unit.server.service import JOB, WORKER, Service, running
from tests.unit.server.test_calibrations import keep, submitted


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A server of one test alone: what others queue counts in every queue."""
    with running(tmp_path) as service:
        yield service


def waits(service: Service, job_id: str) -> list[dict[str, Any]]:
    """What a job waits for, without what does not apply."""
    found = service.client().get(f"/v1/jobs/{job_id}").json()["waits"]
    return [{name: v for name, v in one.items() if v is not None} for one in found]


def test_a_queued_job_waits_for_its_turn_among_others(service: Service) -> None:
    # Each has two parts: more shots than the emulator takes at once.
    ids = [service.client().post("/v1/jobs", json=JOB).json()["id"] for _ in range(2)]
    (wait,) = waits(service, ids[0])
    assert (wait["awaited"], wait["queued"], wait["active"]) == ("turn", 4, 0)
    assert "4 tasks queued" in wait["message"]
    service.complete()
    assert waits(service, ids[0]) == []


@pytest.mark.parametrize(
    ("state", "said"), [("maintenance", "starts no new work: warm-up"), ("offline", "warm-up")]
)
def test_a_resource_out_of_service_says_why(service: Service, state: str, said: str) -> None:
    job_id = service.client().post("/v1/jobs", json=JOB).json()["id"]
    operator = service.client("olga", Scope.OPERATOR)
    operator.put("/v1/resources/aer/state", json={"state": state, "reason": "warm-up"})
    (wait,) = waits(service, job_id)
    assert (wait["awaited"], state in wait["message"]) == ("resource", True)
    assert said in wait["message"]


def test_a_resource_that_nobody_serves_is_told(service: Service) -> None:
    job_id = service.client().post("/v1/jobs", json=JOB).json()["id"]
    service.store.retire(WORKER)
    (wait,) = waits(service, job_id)
    assert wait["awaited"] in ("worker", "resource")
    assert "aer" in wait["message"]


def test_a_demand_says_the_age_that_is_wanted_and_the_one_there_is(service: Service) -> None:
    keep(service, age_s=7200.0)
    _, found = submitted(service, max_calibration_age="1h", max_calibration_wait="2h")
    (wait,) = waits(service, found["id"])
    assert (wait["awaited"], wait["max_age_s"]) == ("calibration", 3600.0)
    assert 7200 <= wait["age_s"] < 7300
    assert "qpu that is at most 1 h old; the last is 2 h old" in wait["message"]
    left = datetime.fromisoformat(wait["until"]) - datetime.now(UTC)
    assert 7000 < left.total_seconds() <= 7200
    keep(service, "cal-2")
    (wait,) = waits(service, found["id"])
    assert wait["awaited"] == "turn"


def test_a_vendor_that_does_not_tell_its_calibration_is_named(service: Service) -> None:
    keep(service, age_s=7200.0)
    why = Problem(type="Transient", message="the vendor sleeps")
    service.store.note_calibration("qpu", None, why, pause_s=60)
    _, found = submitted(service, max_calibration_age="1h")
    (wait,) = waits(service, found["id"])
    assert "it does not tell now: the vendor sleeps" in wait["message"]


def test_a_demand_and_a_resource_out_of_service_are_both_told(service: Service) -> None:
    keep(service, age_s=7200.0)
    _, found = submitted(service, max_calibration_age="1h")
    operator = service.client("olga", Scope.OPERATOR)
    operator.put("/v1/resources/qpu/state", json={"state": "maintenance"})
    assert [one["awaited"] for one in waits(service, found["id"])] == ["calibration", "resource"]


def test_what_is_tried_again_later_says_when_and_why(service: Service) -> None:
    job_id = service.client().post("/v1/jobs", json=JOB).json()["id"]
    task = service.store.tasks([job_id])[0]
    at = datetime.now(UTC) + timedelta(minutes=5)
    problem = Problem(type="Transient", message="the queue is full")
    (wait,) = waits_of(
        service.store, service.job(job_id), [replace(task, ready_at=at, problem=problem)]
    )
    assert (wait.awaited, wait.until) == (Awaited.TIME, at)
    assert wait.message == "it is tried again: the queue is full"


def test_a_job_that_a_rebuild_held_waits_for_someone_to_release_it(service: Service) -> None:
    job_id = service.client().post("/v1/jobs", json=JOB).json()["id"]
    held = replace(service.job(job_id), held=True)
    (wait,) = waits_of(service.store, held, service.store.tasks([job_id]))
    assert wait.awaited is Awaited.RELEASE


def test_a_job_that_comes_after_another_says_so(service: Service) -> None:
    first = service.client().post("/v1/jobs", json=JOB).json()["id"]
    job_id = service.client().post("/v1/jobs", json=JOB | {"after": [first]}).json()["id"]
    (wait,) = waits(service, job_id)
    expected = f"the end of {first} (queued), which it comes after"
    assert (wait["awaited"], wait["message"]) == ("jobs", expected)


def grouped(service: Service, name: str, count: int = 2, **policy: Any) -> tuple[str, list[str]]:
    """A group and its jobs."""
    asked = {"name": name, "policy": policy}
    group = service.client().post("/v1/groups", json=asked).json()["id"]
    jobs = service.client().post(f"/v1/groups/{group}/jobs", json={"jobs": [JOB] * count}).json()
    return group, [job["id"] for job in jobs["jobs"]]


def act(service: Service, group: str, action: str) -> None:
    service.client().post(f"/v1/groups/{group}/action", json={"action": action})


def step(service: Service) -> None:
    """What a worker does of groups."""
    while (work := service.store.group_work()).turns or work.groups:
        service.store.step_groups(work.turns, [one.id for one in work.groups], {})


def test_a_job_of_a_group_names_it_and_its_state(service: Service) -> None:
    group, (first, _) = grouped(service, "scan")
    (wait,) = waits(service, first)
    assert wait["awaited"] == "group"
    assert wait["message"] == "its place in group scan, which is open"
    act(service, group, "run")
    act(service, group, "pause")
    assert waits(service, first)[0]["message"] == "its place in group scan, which is paused"


def test_a_job_whose_group_has_no_place_says_how_many_run(service: Service) -> None:
    group, (_, second, third) = grouped(service, "narrow", 3, max_in_flight=1)
    act(service, group, "run")
    step(service)
    for job_id in (second, third):
        (wait,) = waits(service, job_id)
        assert wait["message"] == (
            "its place in group narrow: 1 of its jobs run, which are as many as may, and 2 wait"
        )


def test_a_job_that_waits_for_a_gap_says_until_when(service: Service) -> None:
    group, (_, second) = grouped(service, "slow", gap="10m")
    act(service, group, "run")
    step(service)
    (wait,) = waits(service, second)
    assert wait["message"] == "its place in group slow, which waits 10 min between jobs"
    left = datetime.fromisoformat(wait["until"]) - datetime.now(UTC)
    assert 500 < left.total_seconds() <= 600


def test_a_job_of_a_group_that_comes_after_others_says_both(service: Service) -> None:
    ids = [service.client().post("/v1/jobs", json=JOB).json()["id"] for _ in range(5)]
    group = service.client().post("/v1/groups", json={"name": "both"}).json()["id"]
    body = {"jobs": [JOB | {"after": ids}]}
    added = service.client().post(f"/v1/groups/{group}/jobs", json=body).json()
    place, others = waits(service, added["jobs"][0]["id"])
    assert (place["awaited"], others["awaited"]) == ("group", "jobs")
    assert others["message"].endswith("and 2 more, which it comes after")


def test_jobs_are_listed_by_their_group(service: Service) -> None:
    group, ids = grouped(service, "listed", 3)
    service.client().post("/v1/jobs", json=JOB)
    first = service.client().get("/v1/jobs", params={"group": group, "limit": 2}).json()
    rest = {"group": group, "limit": 2, "cursor": first["next"]}
    second = service.client().get("/v1/jobs", params=rest).json()
    assert [one["id"] for one in first["jobs"] + second["jobs"]] == ids[::-1]
    assert second["next"] is None
    assert service.client().get("/v1/jobs", params={"group": "group_x"}).json()["jobs"] == []
