"""What people type about what ran, where, and what was made elsewhere."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from quanopy.cli.main import app
from quanopy.server.routes.examples import ADOPTION, COMPILED, DETAIL, JOB, JOB_ID
from tests.unit.client.stub import Answer, Seen, Stub, document


def answer(seen: Seen) -> Answer:
    if seen.path.startswith("/v1/adoptions"):
        return document(ADOPTION)
    if seen.path.endswith("/compiled"):
        return document(COMPILED)
    return document({"jobs": [JOB]} if seen.path.startswith("/v1/jobs/wait") else DETAIL)


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Stub]:
    with Stub(answer) as stub:
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("QUANOPY_URL", stub.url)
        monkeypatch.setenv("QUANOPY_TOKEN", "t")
        yield stub


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments])


def test_what_really_ran_is_shown_and_written(broker: Stub, tmp_path: Path) -> None:
    shown = json.loads(run("compiled", JOB_ID, "--json").stdout)
    assert (shown[0]["compiler"], shown[0]["level"]) == ("qiskit 2.1.0", 1)
    assert "qiskit 2.1.0" in run("compiled", JOB_ID).stdout


def test_a_job_is_taken_over(broker: Stub) -> None:
    found = run("adopt", "--provider", "acme", "--id", "d1a2", "--tag", "old")
    assert found.stdout.strip() == JOB_ID
    assert "unknown" in found.stderr
    body = json.loads(broker.seen[0].body)
    assert (body["provider"], body["id"], body["tags"]) == ("acme", "d1a2", ["old"])


def test_a_job_that_is_not_what_is_expected_is_said(broker: Stub) -> None:
    assert run("status", JOB_ID, "--expect", f"resource={DETAIL['resource']}").exit_code == 0
    other = run("status", JOB_ID, "--expect", "resource=ibm_fez")
    assert other.exit_code == 65
    assert "not ibm_fez" in other.stderr
    assert run("status", JOB_ID, "--expect", "colour=red").exit_code == 65
    assert run("status", JOB_ID, "--expect", "resource").exit_code == 65
