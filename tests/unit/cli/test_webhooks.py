"""Commands about webhooks, against a broker's routes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from quanopy.cli.main import app
from quanopy.domain.accounts import Scope
from quanopy.domain.ids import new_id
from quanopy.ports.webhooks import Step
from tests.unit.server.service import Service, running

URL = "https://lab.example/quanopy"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("service")) as service:
        yield service


@pytest.fixture(autouse=True)
def _named(service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("QUANOPY_URL", f"unix://{service.socket}")
    monkeypatch.setenv("QUANOPY_TOKEN", service.secret(tmp_path.name[:40], Scope.USER))


def quanopy(*arguments: str) -> Result:
    """A command, and what came of it."""
    return CliRunner().invoke(app, ["webhook", *arguments])


def added(*arguments: str) -> str:
    """The id of one that was added."""
    result = quanopy("add", URL, *arguments)
    assert result.exit_code == 0, result.output
    return result.stderr.partition(":")[0]


def test_the_secret_alone_is_on_stdout() -> None:
    result = quanopy("add", URL)
    assert result.stdout.startswith("whsec_")
    assert len(result.stdout.split()) == 1
    webhook_id = result.stderr.partition(":")[0]
    assert quanopy("secret", webhook_id).stdout == result.stdout
    rotated = quanopy("secret", webhook_id, "--rotate").stdout
    assert rotated.startswith("whsec_")
    assert rotated != result.stdout
    assert "whsec_" not in quanopy("list").stdout + quanopy("list", "--json").stdout


def test_a_group_is_named(service: Service) -> None:
    from quanopy import Client

    with Client() as client:
        group = client.group("long")
    shown = quanopy("show", added("--group", "long", "--kind", "group.*")).stdout
    assert group.id in shown
    assert quanopy("add", URL, "--group", "short").exit_code == 66


def test_why_it_fails_or_is_paused_is_shown(service: Service) -> None:
    webhook_id = added("--label", "lab")
    claim_id = new_id("claim")
    service.store.claim_webhooks(claim_id, {webhook_id: None}, ttl_s=15)
    step = Step(webhook_id=webhook_id, problem="it answered 500", retry_in_s=9)
    service.store.settle_webhooks(claim_id, [step], ttl_s=15)
    assert "it answered 500" in quanopy("list").stdout
    shown = quanopy("show", webhook_id).stdout
    assert "failing" in shown
    assert "tried again" in shown
    assert "paused it" in quanopy("pause", webhook_id).stdout
    refused = quanopy("test", webhook_id)
    assert refused.exit_code == 73
    assert "Resume it first" in refused.stderr
    assert "active" in quanopy("resume", webhook_id).stdout


def test_without_a_worker_a_test_says_that_nothing_was_sent() -> None:
    result = quanopy("test", added(), "--timeout", "0.2")
    assert result.exit_code == 75
    assert "See that a worker runs" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["add", "https://10.0.0.1/"], 77),
        (["add", "lab.example"], 65),
        (["add", URL, "--kind", "jobs"], 65),
        (["add", URL, "--job", "job_1"], 65),
        (["show", new_id("hook")], 66),
        (["remove", "hook"], 66),
    ],
)
def test_what_cannot_be_ends_with_its_code(arguments: list[str], code: int) -> None:
    result = quanopy(*arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert "error:" in result.stderr


def test_what_was_removed_is_gone() -> None:
    webhook_id = added()
    assert quanopy("remove", webhook_id).exit_code == 0
    assert quanopy("list", "--json").stdout.strip() == "[]"
