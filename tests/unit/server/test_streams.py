"""Events by page and as they happen."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from quanopy.ports.wakeups import Topic
from quanopy.server import feed
from tests.unit.server.service import JOB, Service


def lines(answer: httpx.Response) -> Iterator[dict[str, Any]]:
    for line in answer.iter_lines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


def test_pages_of_events_go_on_from_their_position(service: Service) -> None:
    ada = service.client("pages")
    ids = [ada.post("/v1/jobs", json=JOB).json()["id"] for _ in range(3)]
    seen: list[dict[str, Any]] = []
    after = "0.0"
    while page := ada.get("/v1/events", params={"after": after, "limit": 2}).json():
        if not page["events"]:
            break
        seen += page["events"]
        after = page["position"]
    queued = [event["job_id"] for event in seen if event["kind"] == "job.queued"]
    assert queued == ids
    assert len({event["id"] for event in seen}) == len(seen)


def test_a_jobs_events_are_its_own(service: Service) -> None:
    ada = service.client("own")
    first, second = (ada.post("/v1/jobs", json=JOB).json()["id"] for _ in range(2))
    events = ada.get(f"/v1/jobs/{second}/events").json()["events"]
    assert {event["job_id"] for event in events} == {second}
    assert first != second


def test_a_follower_sees_what_was_and_then_what_happens(service: Service) -> None:
    ada = service.client("follower")
    old = ada.post("/v1/jobs", json=JOB).json()["id"]
    with ada.stream("GET", "/v1/events/stream", params={"after": "0.0"}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = lines(answer)
        assert next(e for e in events if e["kind"] == "job.queued")["job_id"] == old
        new = service.client("follower").post("/v1/jobs", json=JOB).json()["id"]
        assert next(e for e in events if e["kind"] == "job.queued")["job_id"] == new
        service.client("somebody").post("/v1/jobs", json=JOB)
        service.client("follower").post(f"/v1/jobs/{new}/cancel")
        last = next(e for e in events if e["kind"] == "job.cancelled")
    after = service.client("follower").post("/v1/jobs", json=JOB).json()["id"]
    headers = {"Last-Event-ID": last["id"]}
    with ada.stream("GET", "/v1/events/stream", headers=headers) as answer:
        assert next(lines(answer))["job_id"] == after


def test_a_follower_sees_each_event_once_in_order_while_much_happens(service: Service) -> None:
    ada = service.client("busy")
    with ada.stream("GET", "/v1/events/stream") as answer:
        events = lines(answer)
        made = [
            job["id"]
            for _ in range(20)
            for job in service.client("busy")
            .post("/v1/jobs/batch", json={"jobs": [JOB] * 100})
            .json()["jobs"]
        ]
        seen: list[str] = []
        while len(seen) < len(made):
            event = next(events)
            if event["kind"] == "job.queued":
                seen.append(event["job_id"])
    assert seen == made


def test_a_lost_hint_costs_time_but_no_event(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "SWEEP_S", 0.05)
    ada = service.client("lost")
    with ada.stream("GET", "/v1/events/stream") as answer:
        events = lines(answer)
        job_id = service.client("lost").post("/v1/jobs", json=JOB).json()["id"]
        assert next(e for e in events if e["kind"] == "job.queued")["job_id"] == job_id
        service.store.cancel([job_id], actor="test")
        assert next(e for e in events if e["kind"] == "job.cancelled")["job_id"] == job_id
        service.wakeups.notify(Topic.EVENTS)
