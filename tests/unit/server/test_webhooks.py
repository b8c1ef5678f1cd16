"""The routes of webhooks: who may have what sent where, and who is shown what."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Event
from typing import Any

import httpx
import pytest

from quanopy.domain.accounts import Scope
from quanopy.domain.ids import new_id
from quanopy.domain.webhooks import MOST, Webhook
from quanopy.ports.wakeups import Topic
from quanopy.ports.webhooks import Step
from quanopy.server import waiting
from tests.unit.server.service import JOB, PATIENCE_S, Service

URL = "https://lab.example/quanopy?key=sesame"


def add(client: httpx.Client, url: str = URL, **asked: Any) -> dict[str, Any]:
    """One that was added."""
    answer = client.post("/v1/webhooks", json={"url": url} | asked)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_webhook_is_added_with_its_secret(service: Service) -> None:
    client = service.client("adds")
    answer = client.post("/v1/webhooks", json={"url": URL, "kinds": ["job.*"], "label": "lab"})
    made = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v1/webhooks/{made['id']}"
    assert answer.headers["cache-control"] == "no-store"
    assert made["secret"].startswith("whsec_")
    assert (made["kinds"], made["label"], made["state"]) == (["job.*"], "lab", "active")
    found = client.get(f"/v1/webhooks/{made['id']}").json()
    assert found == made | {"secret": None}
    assert client.get("/v1/webhooks").json() == {"webhooks": [found]}


def test_who_waits_for_the_key_keeps_nobody_else_waiting(service: Service) -> None:
    client, other = service.client("waits"), service.client("does not")
    made = add(client)
    service.key.hold = Event()
    with ThreadPoolExecutor(2) as threads:
        asked = [
            threads.submit(client.get, f"/v1/webhooks/{made['id']}/secret"),
            threads.submit(client.post, "/v1/webhooks", json={"url": URL}),
        ]
        try:
            assert service.key.asked.wait(PATIENCE_S)
            assert other.get("/v1/jobs").status_code == 200
            assert not any(one.done() for one in asked)
        finally:
            service.key.hold.set()
    service.key.hold = None
    assert [one.result().status_code for one in asked] == [200, 201]


def test_by_default_it_is_told_of_the_ends_of_jobs_and_of_groups(service: Service) -> None:
    made = add(service.client("defaults"))
    assert made["kinds"] == ["job.completed", "job.failed", "job.cancelled", "group.*"]


def test_a_repeated_request_gives_the_same_webhook_and_secret(service: Service) -> None:
    client, key = service.client("repeats"), {"Idempotency-Key": "once"}
    first = client.post("/v1/webhooks", json={"url": URL}, headers=key)
    again = client.post("/v1/webhooks", json={"url": URL}, headers=key)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    other = client.post("/v1/webhooks", json={"url": URL, "label": "x"}, headers=key)
    assert other.status_code == 409
    bad = client.post("/v1/webhooks", json={"url": URL}, headers={"Idempotency-Key": "x" * 201})
    assert bad.status_code == 422


@pytest.mark.parametrize(
    ("asked", "status", "where"),
    [
        ({"url": "https://10.0.0.1/"}, 403, "url"),
        ({"url": "https://[::ffff:169.254.169.254]/"}, 403, "url"),
        ({"url": "https://lab.example:22/"}, 403, "url"),
        ({"url": "https://2130706433/"}, 422, "url"),
        ({"url": "https://ada:word@lab.example/"}, 422, "url"),
        ({"url": "gopher://lab.example/"}, 422, "url"),
        ({"url": ""}, 422, "url"),
        ({"url": URL, "kinds": ["job"]}, 422, "kinds[0]"),
        ({"url": URL, "kinds": ["job.*", "jobs.*"]}, 422, "kinds[1]"),
        ({"url": URL, "kinds": ["job.%"]}, 422, "kinds[0]"),
        ({"url": URL, "kinds": ["job.complete"]}, 422, "kinds[0]"),
        ({"url": URL, "kinds": ["group.completed"]}, 422, "kinds[0]"),
        ({"url": URL, "kinds": [".*"]}, 422, "kinds[0]"),
        ({"url": URL, "kinds": ["*"] * 51}, 422, "kinds"),
        ({"url": URL, "job": "job_1"}, 404, "job"),
        ({"url": URL, "job": new_id("job")}, 404, "job"),
        ({"url": URL, "group": new_id("group")}, 404, "group"),
        ({"url": URL, "group": "long"}, 404, "group"),
        ({"url": URL, "label": "x" * 201}, 422, "label"),
        ({"url": URL, "secret": "whsec_mine"}, 422, "secret"),
        ({}, 422, "url"),
    ],
)
def test_what_cannot_be_is_refused_with_the_place(
    service: Service, asked: dict[str, Any], status: int, where: str
) -> None:
    client = service.client("refused")
    answer = client.post("/v1/webhooks", json=asked)
    assert (answer.status_code, answer.json()["where"]) == (status, where), answer.text
    assert "word" not in answer.text
    assert client.get("/v1/webhooks").json() == {"webhooks": []}


def test_a_misspelt_kind_comes_with_those_there_are(service: Service) -> None:
    client = service.client("misspells")
    asked = {"url": URL, "kinds": ["job.*", "job.complete"]}
    told = client.post("/v1/webhooks", json=asked).json()
    assert "no event is called 'job.complete'" in told["detail"]
    assert "job.cancelled, job.chosen, job.completed" in told["hint"]
    told = client.post("/v1/webhooks", json={"url": URL, "kinds": ["jobs.*"]}).json()
    assert "job, task, execution, group, resource, webhook" in told["hint"]


def test_a_job_or_a_group_of_ones_own_can_be_named(service: Service) -> None:
    client = service.client("owner")
    job_id = client.post("/v1/jobs", json=JOB).json()["id"]
    group_id = client.post("/v1/groups", json={"name": "long"}).json()["id"]
    assert add(client, job=job_id)["job"] == job_id
    assert add(client, group=group_id)["group"] == group_id
    both = client.post("/v1/webhooks", json={"url": URL, "job": job_id, "group": group_id})
    assert both.status_code == 422
    for other in (service.client("stranger"), service.client("operator", Scope.OPERATOR)):
        for asked in ({"job": job_id}, {"group": group_id}):
            answer = other.post("/v1/webhooks", json={"url": URL} | asked)
            assert answer.status_code == 404, answer.text


@pytest.mark.parametrize(
    ("method", "rest"),
    [
        *(("GET", ""), ("DELETE", ""), ("POST", "/pause"), ("POST", "/resume")),
        *(("POST", "/test"), ("GET", "/secret"), ("POST", "/secret")),
    ],
)
def test_anothers_webhook_is_as_if_it_were_not_there(
    service: Service, method: str, rest: str
) -> None:
    made = add(service.client("has"))
    stranger = service.client("has-not")
    for one in (made["id"], new_id("hook"), "hook_1", "%00", "job_1"):
        answer = stranger.request(method, f"/v1/webhooks/{one}{rest}")
        assert answer.status_code == 404, answer.text
    assert stranger.get("/v1/webhooks", params={"account": "has"}).status_code == 403


def test_an_operator_stops_it_and_sees_neither_path_nor_secret(service: Service) -> None:
    client = service.client("watched")
    made = add(client)
    operator = service.client("op", Scope.OPERATOR)
    listed = operator.get("/v1/webhooks", params={"account": "watched"}).json()["webhooks"]
    assert [one["id"] for one in listed] == [made["id"]]
    assert listed[0]["url"] == "https://lab.example"
    path = f"/v1/webhooks/{made['id']}"
    assert operator.get(f"{path}/secret").status_code == 404
    assert operator.post(f"{path}/secret").status_code == 404
    paused = operator.post(f"{path}/pause")
    assert (paused.json()["state"], paused.json()["reason"]) == ("paused", "op paused it")
    assert "sesame" not in paused.text
    assert client.get(path).json()["url"] == URL
    assert operator.delete(path).status_code == 200
    assert client.get(path).status_code == 404


def test_it_is_paused_tried_and_resumed(service: Service) -> None:
    client = service.client("pauses")
    path = f"/v1/webhooks/{add(client)['id']}"
    assert client.post(f"{path}/test").json()["state"] == "active"
    assert client.post(f"{path}/pause").json()["state"] == "paused"
    refused = client.post(f"{path}/test")
    assert (refused.status_code, refused.json()["type"].rpartition(":")[2]) == (
        409,
        "invalid-transition",
    )
    assert client.post(f"{path}/resume").json()["state"] == "active"
    events = client.get("/v1/events").json()["events"]
    assert [event["kind"] for event in events] == [
        *("webhook.created", "webhook.ping", "webhook.paused", "webhook.resumed")
    ]


def test_a_secret_is_shown_again_and_changed(service: Service) -> None:
    client = service.client("rotates")
    made = add(client)
    path = f"/v1/webhooks/{made['id']}/secret"
    assert client.get(path).json()["secret"] == made["secret"]
    changed = client.post(path)
    assert changed.headers["cache-control"] == "no-store"
    assert changed.json()["secret"] not in ("", made["secret"])
    assert changed.json()["rotated_at"] is not None
    assert client.get(path).json() == changed.json()


def test_who_waits_is_told_when_something_was_sent(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "SWEEP_S", 3600.0)
    client = service.client("awaits")
    path = f"/v1/webhooks/{add(client)['id']}"
    assert client.get(path, params={"wait": 0.1}).json()["attempts"] == 0
    with ThreadPoolExecutor(1) as threads:
        # Longer than a client waits for an answer.
        told = threads.submit(client.get, path, params={"wait": 60})
        service.await_callers(1)
        claim_id, hook = new_id("claim"), path.rpartition("/")[2]
        service.store.claim_webhooks(claim_id, {hook: None}, ttl_s=600)
        service.store.settle_webhooks(
            claim_id, [Step(webhook_id=hook, problem="it answered 500", retry_in_s=9)], ttl_s=600
        )
        service.wakeups.notify(Topic.TRIED)
        found = told.result().json()
    assert (found["attempts"], found["problem"]) == (1, "it answered 500")
    assert client.get(path, params={"wait": 0.1, "attempts": 1}).json() == found


def test_why_it_fails_is_shown(service: Service) -> None:
    client = service.client("fails")
    made = add(client)
    claim_id = new_id("claim")
    service.store.claim_webhooks(claim_id, {made["id"]: None}, ttl_s=600)
    step = Step(webhook_id=made["id"], problem="it answered 500", retry_in_s=9)
    service.store.settle_webhooks(claim_id, [step], ttl_s=600)
    found = client.get(f"/v1/webhooks/{made['id']}").json()
    assert (found["state"], found["problem"], found["attempts"]) == (
        "failing",
        "it answered 500",
        1,
    )
    assert found["next_at"] > found["failing_since"]


def test_an_account_has_so_many_and_no_more(service: Service) -> None:
    client = service.client("many")
    for _ in range(MOST):
        made = Webhook(id=new_id("hook"), account="many", url=URL, created_at=datetime.now(UTC))
        service.store.add_webhook(made)
    answer = client.post("/v1/webhooks", json={"url": URL})
    assert answer.status_code == 429
    assert f"{MOST} webhooks" in answer.json()["detail"]
