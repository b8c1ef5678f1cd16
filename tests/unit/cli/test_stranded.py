"""What operators type about stranded executions, and what they see."""

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
    return document({**EXECUTION, "state": "submitted"})


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Stub]:
    with Stub(answer) as stub:
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("QUANOPY_URL", stub.url)
        monkeypatch.setenv("QUANOPY_TOKEN", "t")
        yield stub


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["stranded", *arguments])


def test_stranded_executions_are_listed_with_what_is_known(broker: Stub) -> None:
    found = run()
    assert found.exit_code == 0, found.output
    assert str(EXECUTION["id"]) in found.stdout
    assert json.loads(run("--json").stdout)[0]["account"] == "ada"


@pytest.mark.parametrize(
    ("arguments", "way", "vendor"),
    [
        (("found", "exec_1", "d1a2"), "found", "d1a2"),
        (("resend", "exec_1", "--reason", "not there"), "resend", None),
        (("give-up", "exec_1", "--reason", "lost"), "give-up", None),
        (("look", "exec_1"), "look", None),
    ],
)
def test_the_ways_out(
    broker: Stub, arguments: tuple[str, ...], way: str, vendor: str | None
) -> None:
    found = run(*arguments)
    assert found.stdout.strip() == f"{EXECUTION['id']} is submitted"
    assert broker.seen[0].path == "/v1/stranded/exec_1"
    body = json.loads(broker.seen[0].body)
    assert (body["way"], body["provider_job_id"]) == (way, vendor)
    assert body["reason"]


def test_what_may_have_been_billed_is_not_sent_again_without_a_reason(broker: Stub) -> None:
    assert run("resend", "exec_1").exit_code == 2
    assert broker.seen == []


def test_where_there_are_none_that_is_said(broker: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    with Stub(document({"executions": []})) as empty:
        monkeypatch.setenv("QUANOPY_URL", empty.url)
        found = run()
        assert (found.stdout, found.stderr) == ("", "nothing is stranded\n")
        assert json.loads(run("--json").stdout) == []
