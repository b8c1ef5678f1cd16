"""``quanopy status`` of many jobs: asked for together, and of those alone that have more to say."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from quanopy.cli.main import app
from quanopy.domain.ids import new_id
from quanopy.server.routes.examples import DETAIL
from tests.unit.client.stub import Answer, Seen, Stub, document

DONE, WAITING, AGAIN = (new_id("job") for _ in range(3))
OTHER_PARTS: dict[str, dict[str, Any]] = {
    DONE: {},
    WAITING: {"state": "queued", "attempt": 0},
    AGAIN: {"attempt": 2},
}
WAIT = {"awaited": "turn", "message": "its turn"}


def detail(job_id: str) -> dict[str, Any]:
    """A job of one part."""
    parts: Any = DETAIL["parts"]
    return DETAIL | {"id": job_id, "parts": [parts[0] | OTHER_PARTS[job_id]]}


def answer(seen: Seen) -> Answer:
    if seen.path == "/v1/jobs/details":
        return document({"jobs": [detail(one) for one in json.loads(seen.body)["ids"]]})
    job_id = seen.path.removeprefix("/v1/jobs/")
    return document(detail(job_id) | {"waits": [WAIT] if job_id == WAITING else []})


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Stub]:
    with Stub(answer) as stub:
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("QUANOPY_URL", stub.url)
        monkeypatch.setenv("QUANOPY_TOKEN", "t")
        yield stub


def status(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["status", *arguments])


def test_many_jobs_are_one_request_and_one_for_each_that_waits_or_was_tried_again(
    broker: Stub,
) -> None:
    said = status(DONE, WAITING, AGAIN)
    assert f"{WAITING} waits for its turn" in said.stdout
    assert [seen.path for seen in broker.seen] == [
        "/v1/jobs/details",
        f"/v1/jobs/{WAITING}",
        f"/v1/jobs/{AGAIN}",
    ]


def test_one_job_is_one_request(broker: Stub) -> None:
    assert status(WAITING, "--json").exit_code == 0
    assert [seen.path for seen in broker.seen] == [f"/v1/jobs/{WAITING}"]


def test_what_is_expected_of_many_is_looked_at_in_each_without_asking_again(broker: Stub) -> None:
    assert status(DONE, DONE, "--expect", "resource=ibm_fez").exit_code == 65
    assert len(broker.seen) == 1
