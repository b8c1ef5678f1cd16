"""Resources as they are shown: what people use first, the many emulated devices when asked for."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from quanopy.cli.main import app
from tests.unit.client.stub import Answer, Seen, Stub, document


def resource(name: str, **changes: Any) -> dict[str, Any]:
    return {"name": name, "provider": "aer", "state": "online", "workers": 1, **changes}


RESOURCES = [
    resource("aer", gates=["h"]),
    resource("ibm_fez", simulator=False),
    resource("aer-fake-fez"),
    resource("aer-fake-busy", queued=3),
    resource("aer-fake-lima"),
    *(resource(f"aer-fake-{number}") for number in range(8)),
]
CHIP = resource("sim-chip", provider="perceval")


@pytest.fixture(autouse=True)
def broker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A broker with these resources, named in the environment."""
    with Stub(document({"resources": RESOURCES})) as stub:
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("QUANOPY_URL", stub.url)
        monkeypatch.setenv("QUANOPY_TOKEN", "t")
        yield


def run(*arguments: str) -> Result:
    found = CliRunner().invoke(app, ["resources", *arguments])
    assert found.exit_code == 0, found.output
    return found


def names(shown: str) -> list[str]:
    return [one["name"] for one in RESOURCES if f" {one['name']} " in shown]


def test_idle_emulated_devices_are_counted_not_listed() -> None:
    found = run()
    assert names(found.stdout) == ["aer", "ibm_fez", "aer-fake-busy"]
    assert "10 emulated devices" in found.stderr


def test_all_are_listed_when_asked_for() -> None:
    found = run("--all")
    assert len(names(found.stdout)) == len(RESOURCES)
    assert found.stderr == ""


def test_a_filter_finds_devices_too() -> None:
    assert names(run("--filter", "fez").stdout) == ["ibm_fez", "aer-fake-fez"]


def test_json_has_all_that_fit_the_filter() -> None:
    assert len(json.loads(run("--json").stdout)) == len(RESOURCES)
    assert len(json.loads(run("--json", "--filter", "fake").stdout)) == 11


def test_the_only_emulator_of_a_provider_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    with Stub(document({"resources": [*RESOURCES, CHIP]})) as stub:
        monkeypatch.setenv("QUANOPY_URL", stub.url)
        assert " sim-chip " in run().stdout


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"state": "maintenance", "reason": "helium"}, "starts none"),
        ({"state": "offline"}, "starts none"),
        ({"workers": 0}, "no worker"),
        ({"wait_s": 3.0}, "3.0 s"),
    ],
)
def test_what_starts_no_work_shows_no_wait(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], shown: str
) -> None:
    with Stub(document({"resources": [resource("qpu", **changes)]})) as stub:
        monkeypatch.setenv("QUANOPY_URL", stub.url)
        found = run("--all").stdout
    assert shown in found
    assert "0.0 s" not in found


def test_where_no_name_is_like_that_it_is_said() -> None:
    found = run("--filter", "heron")
    assert (found.stdout, found.stderr) == ("", "no resources with 'heron' in their names\n")


def test_a_resource_is_taken_out_of_service_with_a_reason_and_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[str, dict[str, Any]]] = []

    def answer(seen: Seen) -> Answer:
        asked.append((f"{seen.method} {seen.path}", json.loads(seen.body)))
        return document(resource("qpu", state=asked[-1][1]["state"]))

    with Stub(answer) as stub:
        monkeypatch.setenv("QUANOPY_URL", stub.url)
        assert run("maintenance", "qpu", "--reason", "helium").stdout == "qpu is in maintenance\n"
        assert run("offline", "qpu").stdout == "qpu is offline\n"
        assert json.loads(run("online", "qpu", "--json").stdout)["state"] == "online"
    assert [path for path, _ in asked] == ["PUT /v1/resources/qpu/state"] * 3
    assert asked[0][1] == {"state": "maintenance", "reason": "helium"}


def test_how_long_ago_a_resource_was_calibrated_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    at = (datetime.now(UTC) - timedelta(hours=2, minutes=3, seconds=20)).isoformat()
    known = [resource("acme", gates=["h"], calibrated_at=at), resource("aer", gates=["h"])]
    with Stub(document({"resources": known})) as stub:
        monkeypatch.setenv("QUANOPY_URL", stub.url)
        assert run().stdout.count("2 h 3 min ago") == 1
