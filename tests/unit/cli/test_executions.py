"""What operators type about executions, and what they see."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from quanopy.cli.main import app
from quanopy.server.routes.examples import EXECUTION
from tests.unit.client.stub import Answer, Seen, Stub, document


def answer(seen: Seen) -> Answer:
    if seen.method == "GET":
        return document({"executions": [EXECUTION]})
    return document({**EXECUTION, "state": json.loads(seen.body)["state"]})


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Stub]:
    with Stub(answer) as stub:
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("QUANOPY_URL", stub.url)
        monkeypatch.setenv("QUANOPY_TOKEN", "t")
        yield stub


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["executions", *arguments])


def test_stranded_executions_are_listed(broker: Stub) -> None:
    found = run()
    assert found.exit_code == 0, found.output
    assert str(EXECUTION["id"]) in found.stdout
    assert "state=stranded" in broker.seen[0].path
    assert json.loads(run("--json").stdout)[0]["account"] == "ada"


def test_one_is_settled(broker: Stub) -> None:
    found = run("settle", str(EXECUTION["id"]), "failed", "--reason", "lost", "--retry")
    assert found.stdout.strip() == f"{EXECUTION['id']} is failed"
    body = json.loads(broker.seen[0].body)
    assert (body["state"], body["reason"], body["retry"]) == ("failed", "lost", True)


def test_a_state_that_there_is_not_is_refused_here(broker: Stub) -> None:
    assert run("settle", "exec_1", "gone", "--reason", "x").exit_code == 65
    assert run("--state", "gone").exit_code == 65
    assert broker.seen == []


def test_where_there_are_none_that_is_said(broker: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    with Stub(document({"executions": []})) as empty:
        monkeypatch.setenv("QUANOPY_URL", empty.url)
        found = run("--state", "running")
        assert (found.stdout, found.stderr) == ("", "no executions that are running\n")
        assert json.loads(run("--json").stdout) == []
