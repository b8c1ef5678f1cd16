"""Two thousand jobs at a vendor while everything is killed at random: each once, none lost."""

import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from quanopy.testing.fake_vendor import TOKEN
from tests.integration.chaos import (
    PATIENCE_S,
    START_S,
    Broker,
    Follower,
    Submitter,
    all_events,
)
from tests.servers.vendor import FakeVendorServer

JOBS, BATCH, WORKERS, KILLS = 2000, 50, 2, 14
ENDED_S = 300.0
PATIENT_S = 5.0
"""A worker, or the vendor, that a busy machine stops is slow for less, and not taken for dead: no
search tells what is still on its way from what never arrived."""
FAULTS = {
    "start": {"lost": 0.06, "cut": 0.04, "busy": 0.05, "many": 0.03},
    "poll": {"busy": 0.03, "cut": 0.03, "unseen": 0.02},
    "result": {"busy": 0.005, "cut": 0.005, "early": 0.005},
}


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def kind(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


@pytest.fixture
def vendor(kind: str) -> Iterator[FakeVendorServer]:
    """One that knows keys on SQLite, and one that only lets itself be searched on Postgres."""
    with FakeVendorServer(
        run_s=0.2, idempotent=kind == "sqlite", visible_after_s=0.2, rates=FAULTS, seed=7
    ) as vendor:
        yield vendor


@pytest.fixture
def broker(
    kind: str, vendor: FakeVendorServer, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Broker]:
    database = (
        f"sqlite:///{tmp_path / 'catalogue.db'}"
        if kind == "sqlite"
        else request.getfixturevalue("postgres_dsn")
    )
    options = {
        "url": vendor.url,
        "token": TOKEN,
        "mode": "idempotent" if kind == "sqlite" else "searchable",
        "poll_interval_s": 0.2,
        "request_timeout_s": PATIENT_S,
        "visibility_delay_s": 0.3,
    }
    broker = Broker(tmp_path, database, workers=WORKERS, options=options, worker_ttl_s=PATIENT_S)
    broker.start()
    yield broker
    broker.stop()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_job_completes_once_and_every_event_is_seen_once(
    broker: Broker, vendor: FakeVendorServer
) -> None:
    broker.wait_ready()
    wait_for_resource(broker)
    submitter, follower = Submitter(broker, jobs=JOBS, batch=BATCH), Follower(broker)
    follower.start()
    submitter.start()
    broker.kill_at_random(random.Random(42), KILLS, pause_s=1.5)
    submitter.join()
    broker.wait_ready()  # it may have been the last to be killed
    assert submitter.failure is None
    assert len(submitter.ids) == JOBS
    states = wait_for_ends(broker, submitter.ids)
    assert states == {"completed": JOBS}

    counts = vendor.counts()
    assert Counter(counts["accepted"].values()) == {1: JOBS}
    assert Counter(counts["keys"].values()) == {1: counts["executions"]}

    written = [event["id"] for event in all_events(broker)]
    wait_until_seen(follower, len(written))
    assert follower.seen == written
    assert len(set(written)) == len(written)


def wait_for_resource(broker: Broker) -> None:
    """Until a worker has registered the vendor's machine."""
    with client_of(broker) as http:
        deadline = time.monotonic() + START_S
        while "fake" not in http.get("/v1/resources").text:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def wait_for_ends(broker: Broker, ids: list[str]) -> dict[str, int]:
    """How many jobs ended in which state."""
    deadline = time.monotonic() + ENDED_S
    with client_of(broker) as http:
        while True:
            found = http.post("/v1/jobs/wait", params={"wait": 2}, json={"ids": ids})
            states = Counter(job["state"] for job in found.raise_for_status().json()["jobs"])
            if set(states) <= {"completed", "failed", "cancelled"}:
                return dict(states)
            assert time.monotonic() < deadline, states


def client_of(broker: Broker) -> httpx.Client:
    """One that waits for answers."""
    headers = {"Authorization": f"Bearer {broker.token}"}
    return httpx.Client(base_url=broker.url, headers=headers, trust_env=False, timeout=PATIENCE_S)


def wait_until_seen(follower: Follower, count: int) -> None:
    """Until the follower has as many events."""
    deadline = time.monotonic() + PATIENCE_S
    while len(follower.seen) < count and time.monotonic() < deadline:
        time.sleep(0.05)
    follower.stop()
