"""The way of a job over HTTP."""

import base64
import io
import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from quanopy.domain.accounts import Scope
from quanopy.domain.errors import Unavailable
from quanopy.domain.jobs import Job, Task
from quanopy.domain.states import TaskState
from quanopy.ports.claims import Claim, Offer
from quanopy.ports.events import EventPage, EventQuery
from quanopy.services.results import with_tasks
from tests.unit.server.service import AER, BELL, JOB, WORKER, Service, running


def test_a_submitted_job_can_be_looked_at_and_its_programs_come_back(service: Service) -> None:
    ada = service.client()
    made = ada.post("/v1/jobs", json=JOB | {"name": "bell", "tags": ["a", "b", "a"]})
    assert made.status_code == 201
    job = made.json()
    assert made.headers["location"] == f"/v1/jobs/{job['id']}"
    detail = ada.get(made.headers["location"]).json()
    assert (detail["state"], detail["name"], detail["tags"]) == ("queued", "bell", ["a", "b"])
    assert [part["first_pub"] for part in detail["parts"]] == [0, 0]
    submitted = ada.get(f"/v1/jobs/{job['id']}/programs").json()
    assert submitted["programs"][0]["text"] == BELL["text"]
    assert base64.b64decode(submitted["programs"][0]["qpy"]).startswith(b"QPY of ")
    assert submitted["pubs"][0]["shots"] == 1024


def test_many_jobs_are_looked_at_as_one_is(service: Service) -> None:
    ada = service.client()
    ids = [ada.post("/v1/jobs", json=JOB).json()["id"] for _ in range(2)]
    service.complete()
    ids.append(ada.post("/v1/jobs", json=JOB).json()["id"])
    asked = [ids[1], ids[2], ids[0], ids[1]]
    found = ada.post("/v1/jobs/details", json={"ids": asked}).json()["jobs"]
    alone = [ada.get(f"/v1/jobs/{one}").json() for one in asked]
    assert [one["executions"] for one in found] == [one["executions"] for one in alone]
    assert [one["parts"] for one in found] == [one["parts"] for one in alone]
    assert [one["state"] for one in found] == ["completed", "queued", "completed", "completed"]
    assert len(found[0]["executions"]) == 1
    bob = service.client("bob")
    assert bob.post("/v1/jobs/details", json={"ids": ids}).status_code == 404
    assert ada.post("/v1/jobs/details", json={"ids": ["job_x"]}).status_code == 404
    assert ada.post("/v1/jobs/details", json={"ids": []}).status_code == 422


def test_programs_of_many_jobs_are_told_as_those_of_one_are(service: Service) -> None:
    ada = service.client()
    other = JOB | {"programs": [BELL | {"text": f"// another\n{BELL['text']}"}]}
    ids = [ada.post("/v1/jobs", json=one).json()["id"] for one in (JOB, other)]
    asked = [ids[1], ids[0], ids[1]]
    found = ada.post("/v1/jobs/programs", json={"ids": asked}).json()["jobs"]
    alone = [ada.get(f"/v1/jobs/{one}/programs").json() for one in asked]
    for one in alone:
        assert one["programs"][0].pop("qpy")
        one["programs"][0]["qpy"] = None
    assert found == alone


def test_programs_that_are_many_bytes_are_told_few_at_a_time(service: Service) -> None:
    ada = service.client()
    long = f"{BELL['text']} // " + "x" * 900_000
    ids = [
        ada.post("/v1/jobs", json=JOB | {"programs": [BELL | {"text": f"{long}{end}"}]}).json()[
            "id"
        ]
        for end in range(12)
    ]
    found = ada.post("/v1/jobs/programs", json={"ids": ids}).json()["jobs"]
    assert [one["job_id"] for one in found] == ids[:9]
    assert found[8]["programs"][0]["text"] == f"{long}8"
    rest = ada.post("/v1/jobs/programs", json={"ids": ids[9:]}).json()["jobs"]
    assert [one["job_id"] for one in rest] == ids[9:]


def test_bytes_come_back_as_bytes(service: Service) -> None:
    ada = service.client()
    data = base64.b64encode(b"QISKIT\xff\x00").decode()
    body = {"resource": "aer", "programs": [{"format": "qpy", "data": data}]}
    job = ada.post("/v1/jobs", json=body).json()
    program = ada.get(f"/v1/jobs/{job['id']}/programs").json()["programs"][0]
    assert (program["data"], program["text"]) == (data, None)


def test_a_result_is_ready_when_the_job_is_and_not_before(service: Service) -> None:
    ada = service.client("result")
    job_id = ada.post("/v1/jobs", json=JOB | {"options": {"shots": 100}}).json()["id"]
    early = ada.get(f"/v1/jobs/{job_id}/result")
    assert early.status_code == 409
    assert early.headers["retry-after"] == "1"
    service.complete()
    result = ada.get(f"/v1/jobs/{job_id}/result").json()
    assert result["pubs"][0]["counts"] == [{"0x0": 49, "0x3": 51}]
    assert (result["state"], result["missing"]) == ("completed", [])


def test_a_result_comes_as_npz_to_those_who_ask(service: Service) -> None:
    ada = service.client("npz")
    job_id = ada.post("/v1/jobs", json=JOB | {"options": {"shots": 100}}).json()["id"]
    service.complete()
    got = ada.get(f"/v1/jobs/{job_id}/result", headers={"Accept": "application/x-npz"})
    assert got.headers["content-type"] == "application/x-npz"
    with np.load(io.BytesIO(got.content), allow_pickle=False) as archive:
        assert archive["pubs/0/numbers"].tolist() == [49, 51]
    other = ada.get(f"/v1/jobs/{job_id}/result", headers={"Accept": "text/html"})
    assert other.status_code == 406


def test_parts_of_shots_are_merged(service: Service) -> None:
    ada = service.client("split")
    job_id = ada.post("/v1/jobs", json=JOB | {"options": {"shots": 2500}}).json()["id"]
    service.complete()
    (pub,) = ada.get(f"/v1/jobs/{job_id}/result").json()["pubs"]
    assert pub["counts"] == [{"0x0": 3 * 49, "0x3": 3 * 51}]


def test_a_failed_job_answers_gone_with_the_reason(service: Service) -> None:
    ada = service.client("failed")
    job_id = ada.post("/v1/jobs", json=JOB | {"options": {"shots": 100}}).json()["id"]
    service.complete(state=TaskState.FAILED)
    gone = ada.get(f"/v1/jobs/{job_id}/result")
    assert gone.status_code == 410
    assert gone.json()["detail"] == "the fridge is warm"
    partial = ada.get(f"/v1/jobs/{job_id}/result", params={"partial": True}).json()
    assert (partial["pubs"], partial["missing"]) == ([None], [0])
    assert partial["problem"]["message"] == "the fridge is warm"


def test_results_of_many_jobs_come_in_one_answer(service: Service) -> None:
    ada = service.client("many")
    body = {"jobs": [JOB | {"options": {"shots": 100}}] * 2}
    done = [job["id"] for job in ada.post("/v1/jobs/batch", json=body).json()["jobs"]]
    service.complete()
    failed = ada.post("/v1/jobs", json=JOB).json()["id"]
    service.complete(state=TaskState.FAILED)
    queued = ada.post("/v1/jobs", json=JOB).json()["id"]
    ids = [queued, *done, failed]
    results = ada.post("/v1/results", json={"ids": ids}).json()["results"]
    assert results[0] is None
    assert [result["job_id"] for result in results[1:]] == ids[1:]
    assert results[1]["pubs"][0]["shots"] == 100
    assert (results[3]["pubs"], results[3]["state"]) == ([], "failed")


def test_the_same_key_gives_the_same_job_and_another_body_is_a_conflict(service: Service) -> None:
    ada = service.client()
    headers = {"Idempotency-Key": "once"}
    first = ada.post("/v1/jobs", json=JOB, headers=headers)
    again = ada.post("/v1/jobs", json=JOB, headers=headers)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    assert ada.post("/v1/jobs", json=JOB | {"name": "x"}, headers=headers).status_code == 409
    other = service.client("eve").post("/v1/jobs", json=JOB, headers=headers)
    assert other.status_code == 201
    assert other.json()["id"] != first.json()["id"]


def test_a_long_poll_ends_as_soon_as_the_job_does(service: Service) -> None:
    ada = service.client("poll")
    unending = ada.post("/v1/jobs", json=JOB).json()["id"]
    service.store.register(WORKER, [AER], ttl_s=600)
    (claim,) = service.store.claim(WORKER, [Offer(resource="aer", seconds=1e9)], ttl_s=600)
    job_id = ada.post("/v1/jobs", json=JOB | {"options": {"shots": 100}}).json()["id"]
    with ThreadPoolExecutor(7) as pool:
        other = pool.submit(ada.get, f"/v1/jobs/{unending}?wait=20")
        waits = [pool.submit(ada.get, f"/v1/jobs/{job_id}?wait=20") for _ in range(5)]
        waits.append(pool.submit(ada.get, f"/v1/jobs/{job_id}/result?wait=20"))
        service.await_callers(7)
        service.complete()
        assert {wait.result().json()["state"] for wait in waits} == {"completed"}
        assert not other.done()
        service.store.release([claim.id])
        service.store.sweep()
        service.complete()
        assert other.result().json()["state"] == "completed"


def watched(service: Service, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Jobs as they are read from now on by those who wait, who are told nothing by history."""

    def unread(_: EventQuery) -> EventPage:
        raise Unavailable("history cannot be read")

    def read(ids: Collection[str], parts_of: Collection[str]) -> tuple[list[Job], list[Task]]:
        found = look(ids, parts_of)
        seen.extend(ids)
        return found

    look, seen = service.store.jobs_with_tasks, list[str]()
    monkeypatch.setattr(service.store, "events", unread)
    monkeypatch.setattr(service.store, "jobs_with_tasks", read)
    return seen


def test_a_hint_alone_ends_a_long_poll_and_a_wrong_one_does_not(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = watched(service, monkeypatch)
    ada = service.client("hinted")
    body = JOB | {"options": {"shots": 100}}
    ids = [ada.post("/v1/jobs", json=body).json()["id"] for _ in range(2)]
    paths = [f"/v1/jobs/{ids[0]}?wait=20", f"/v1/jobs/{ids[1]}/result?wait=20"]
    with ThreadPoolExecutor() as pool:
        waits = [pool.submit(ada.get, path) for path in paths]
        many = pool.submit(ada.post, "/v1/jobs/wait?wait=20", json={"ids": ids})
        service.await_callers(3)
        seen.clear()
        service.hints.tell(dict.fromkeys(ids))  # nothing has happened to them
        service.await_that(lambda: set(seen) == set(ids))
        service.complete(tell=False)
        service.hints.tell({ids[0]: None})
        assert waits[0].result().json()["state"] == "completed"
        service.hints.tell({ids[1]: None})
        assert waits[1].result().json()["state"] == "completed"
        assert {job["state"] for job in many.result().json()["jobs"]} == {"completed"}


def test_jobs_that_are_worked_on_here_are_not_read_while_somebody_waits_for_them(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, bob = service.client("held"), service.client("nosy")
    job_id = ada.post("/v1/jobs", json=JOB).json()["id"]
    claim = Claim(id="claim_1", resource="aer", tasks=service.store.tasks([job_id]))
    service.hints.hold(claim)
    read = service.store.jobs_with_tasks
    seen = watched(service, monkeypatch)
    with ThreadPoolExecutor() as pool:
        wait = pool.submit(ada.get, f"/v1/jobs/{job_id}/result?wait=20")
        service.await_that(lambda: service.hints.wanted([job_id]))
        assert bob.get(f"/v1/jobs/{job_id}/result?wait=20").status_code == 404
        seen.clear()
        service.complete(tell=False)
        assert service.hints.let_go(claim.id) == {job_id}
        (done,) = with_tasks(*read([job_id], [job_id]))
        service.hints.tell({job_id: done})
        assert wait.result().json()["state"] == "completed"
    assert not seen


def test_a_long_poll_answers_the_present_state_when_time_is_over(service: Service) -> None:
    ada = service.client("over")
    job_id = ada.post("/v1/jobs", json=JOB).json()["id"]
    began = time.monotonic()
    assert ada.get(f"/v1/jobs/{job_id}?wait=0.1").json()["state"] == "queued"
    assert time.monotonic() - began >= 0.09
    assert ada.get(f"/v1/jobs/{job_id}?wait=20&until=queued").json()["state"] == "queued"


def test_waiting_for_many_ends_when_all_are_final(service: Service) -> None:
    ada = service.client("all")
    body = {"jobs": [JOB] * 3}
    ids = [job["id"] for job in ada.post("/v1/jobs/batch", json=body).json()["jobs"]]
    with ThreadPoolExecutor() as pool:
        wait = pool.submit(ada.post, "/v1/jobs/wait?wait=20", json={"ids": ids})
        service.await_callers(1)
        service.complete()
        states = [job["state"] for job in wait.result().json()["jobs"]]
    assert states == ["completed"] * 3


def test_cancelling_what_waits_cancels_it_and_twice_is_no_error(service: Service) -> None:
    ada = service.client("cancel")
    ids = [ada.post("/v1/jobs", json=JOB).json()["id"] for _ in range(2)]
    assert ada.post(f"/v1/jobs/{ids[0]}/cancel").json()["state"] == "cancelled"
    assert ada.post(f"/v1/jobs/{ids[0]}/cancel").json()["state"] == "cancelled"
    both = ada.post("/v1/jobs/cancel", json={"ids": ids}).json()["jobs"]
    assert [job["state"] for job in both] == ["cancelled"] * 2
    assert ada.get(f"/v1/jobs/{ids[0]}/result").status_code == 410
    assert ada.post(f"/v1/jobs/{ids[0]}/retry").json()["state"] == "queued"


def test_listings_filter_and_page_newest_first(service: Service) -> None:
    ada = service.client("lists")
    ids = [
        ada.post("/v1/jobs", json=JOB | {"name": f"run-{n}", "tags": [f"t{n % 2}"]}).json()["id"]
        for n in range(5)
    ]
    first = ada.get("/v1/jobs", params={"limit": 2}).json()
    assert [job["id"] for job in first["jobs"]] == [ids[4], ids[3]]
    rest = ada.get("/v1/jobs", params={"limit": 10, "cursor": first["next"]}).json()
    assert [job["id"] for job in rest["jobs"]] == [ids[2], ids[1], ids[0]]
    assert rest["next"] is None
    tagged = ada.get("/v1/jobs", params={"tag": "t1"}).json()["jobs"]
    assert [job["id"] for job in tagged] == [ids[3], ids[1]]
    named = ada.get("/v1/jobs", params={"name_prefix": "run-4"}).json()["jobs"]
    assert [job["id"] for job in named] == [ids[4]]
    assert ada.get("/v1/jobs", params={"state": "failed"}).json()["jobs"] == []


def test_a_cursor_of_another_query_or_account_is_refused(service: Service) -> None:
    ada = service.client("cursors")
    for _ in range(3):
        ada.post("/v1/jobs", json=JOB)
    cursor = ada.get("/v1/jobs", params={"limit": 1}).json()["next"]
    other = ada.get("/v1/jobs", params={"limit": 1, "cursor": cursor, "kind": "sample"})
    assert other.status_code == 422
    assert other.json()["where"] == "cursor"
    foreign = service.client("thief").get("/v1/jobs", params={"cursor": cursor})
    assert foreign.status_code == 422


def test_operators_put_resources_into_maintenance(service: Service) -> None:
    body = {"state": "maintenance", "reason": "warm-up"}
    assert service.client().put("/v1/resources/aer/state", json=body).status_code == 403
    operator = service.client("op", Scope.OPERATOR)
    assert operator.put("/v1/resources/aer/state", json=body).json()["reason"] == "warm-up"
    assert service.client().get("/v1/resources/aer").json()["state"] == "maintenance"
    assert operator.put("/v1/resources/aer/state", json={"state": "online"}).status_code == 200
    assert operator.put("/v1/resources/moon/state", json=body).status_code == 404
    names = [one["name"] for one in operator.get("/v1/resources").json()["resources"]]
    assert names == ["aer"]


def test_tokens_are_made_listed_and_revoked_by_administrators(service: Service) -> None:
    assert service.client("op", Scope.OPERATOR).get("/v1/tokens").status_code == 403
    admin = service.client("root", Scope.ADMIN)
    made = admin.post("/v1/tokens", json={"account": "zoe", "label": "laptop"})
    assert made.status_code == 201
    secret = made.json()["secret"]
    zoe = service.caller(secret)
    assert zoe.get("/v1/jobs").status_code == 200
    listed = admin.get("/v1/tokens")
    assert secret not in listed.text
    assert made.json()["id"] in listed.text
    assert admin.delete(f"/v1/tokens/{made.json()['id']}").json()["revoked_at"]
    assert zoe.get("/v1/jobs").status_code == 401


@pytest.mark.parametrize("path", ["/v1/health", "/v1/ready", "/metrics", "/openapi.json"])
def test_health_metrics_and_description_need_no_token(service: Service, path: str) -> None:
    assert service.caller(None).get(path).status_code == 200


def test_a_service_that_cannot_work_says_what_fails_and_not_where_it_is(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        (tmp_path / "objects").rename(tmp_path / "elsewhere")
        answer = service.caller(None).get("/v1/ready")
    assert (answer.status_code, answer.json()["where"]) == (503, "objects")
    assert str(tmp_path) not in answer.text
