"""``quanopy providers``: what works, what does not, and why."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from quanopy.cli.main import app
from tests.unit.client.stub import Stub, document

PLUGINS = "tests.unit.providers.plugins"
CONFIG = f"""
[providers.lab]
plugin = "{PLUGINS}:create"
token = "env:LAB_TOKEN"

[providers.attic]
plugin = "{PLUGINS}:create"
token = "hunter2"

[providers.cellar]
plugin = "{PLUGINS}:speechless"
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "quanopy.toml"
    file.write_text(CONFIG)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LAB_TOKEN", "hunter3")
    return file


def run(*arguments: str, ends: int) -> Result:
    found = CliRunner().invoke(app, ["providers", *arguments])
    assert found.exit_code == ends, found.output
    return found


def rows(*arguments: str, ends: int) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in json.loads(run(*arguments, "--json", ends=ends).stdout)}


def test_what_works_says_how_many_resources_it_has(config: Path) -> None:
    found = rows("--config", str(config), "--providers", "lab", ends=0)
    assert (found["lab"]["state"], found["lab"]["resources"]) == ("ok", 2)


def test_what_is_broken_says_why_and_is_no_success(config: Path) -> None:
    found = rows("--config", str(config), ends=1)
    assert found["lab"]["state"] == "ok"
    assert found["attic"]["state"] == "broken"
    assert found["attic"]["problem"].startswith("providers.attic.token: a credential is given by")
    assert found["cellar"]["problem"] == "RuntimeError: the vendor is away"


def test_plugins_that_nobody_configured_are_listed_with_their_version(config: Path) -> None:
    found = rows("--config", str(config), ends=1)
    assert found["aer"]["state"] == "not configured"
    assert found["aer"]["distribution"].startswith("quanopy ")


def test_no_credential_is_shown(config: Path) -> None:
    for arguments in ([], ["--json"]):
        shown = run("--config", str(config), *arguments, ends=1).output
        assert "attic" in shown
        assert "hunter" not in shown


def test_a_running_broker_tells_what_its_workers_serve(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    served = [
        {"name": "left", "provider": "lab", "state": "online", "workers": 2},
        {"name": "right", "provider": "lab", "state": "online", "workers": 0},
        {"name": "old", "provider": "attic", "state": "online", "workers": 0},
        {"name": "fez", "provider": "ibm", "state": "offline", "workers": 1, "reason": "no key"},
        {"name": "up", "provider": "mixed", "state": "online", "workers": 1},
        {"name": "down", "provider": "mixed", "state": "maintenance", "workers": 1},
    ]
    with Stub(document({"resources": served})) as stub:
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("QUANOPY_URL", stub.url)
        monkeypatch.setenv("QUANOPY_TOKEN", "t")
        found = rows("--broker", ends=0)
        shown = run("--broker", ends=0).stdout
    assert {name: row["state"] for name, row in found.items()} == {
        "attic": "no worker",
        "ibm": "offline",
        "lab": "ok",
        "mixed": "ok",
    }
    assert (found["lab"]["resources"], found["lab"]["workers"]) == (2, 2)
    assert found["ibm"]["problem"] == "no key"
    assert found["mixed"]["problem"] == "1 of 2 out of service"
    assert "plugin" not in shown
    assert "no key" in shown
