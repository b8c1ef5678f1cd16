"""``quanopy dev vendors`` serves until it is told to end."""

import json
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from quanopy.cli.dev import _table, _toml
from quanopy.cli.main import app
from quanopy.testing.vendors.registry import build


@pytest.fixture
def served() -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """The command, and what it said."""
    command = [sys.executable, "-m", "quanopy", "dev", "vendors", "ibm", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) as process:
        assert process.stdout is not None
        yield process, json.loads(process.stdout.readline())
        process.kill()


def test_it_serves_says_how_to_use_it_and_ends(
    served: tuple[subprocess.Popen[str], dict[str, Any]],
) -> None:
    process, said = served
    (vendor,) = said["vendors"]
    options = tomllib.loads(said["toml"])["providers"]["ibm"]
    assert options == vendor["options"]
    scheme, _, variable = options["token"].partition(":")
    assert scheme == "env"
    assert said["environment"][variable]
    with httpx.Client(base_url=vendor["url"], trust_env=False, verify=False, timeout=60) as client:
        assert client.get("/api/v1/backends").status_code == 401
        planned = {"route": "resources", "kind": "busy"}
        assert client.post("/quanopy/fault", json=planned).status_code == 200
        assert client.get("/api/v1/backends").status_code == 503
        assert client.post("/quanopy/fault", json={"route": 1}).status_code == 400
        for wrong, there in (
            ({"route": "strat", "kind": "busy"}, "start"),
            ({"route": "start", "kind": "bsy"}, "busy"),
        ):
            refused = client.post("/quanopy/fault", json=wrong)
            assert (refused.status_code, there in refused.json()["message"]) == (400, True)
        assert client.get("/quanopy/jobs").json() == {"jobs": []}
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


def test_vendors_of_one_provider_share_its_table() -> None:
    felis, system = build("felis"), build("ibm-system")
    toml = "\n".join(map(_table, (felis, system)))
    tables = tomllib.loads(toml)["providers"]
    machines = {**felis.options()["machines"], **system.options()["machines"]}
    assert tables == {"qrmi": {"machines": machines}}
    assert set(machines) == {"ab_emu_6q_loopback", "ibm_lagos"}
    for one in (felis, system):
        assert not any(secret in toml for secret in one.secrets())
        one.stop()


def test_options_within_options_are_toml_too() -> None:
    options = {"a": "x", "list": [1, 2], "vqpus": {"one": {"url": "u"}, "two": {"url": "v"}}}
    for shown in (options, {"vqpus": options["vqpus"]}, {}):
        assert tomllib.loads(_toml("providers.of", shown)) == {"providers": {"of": shown}}


@pytest.mark.parametrize(("name", "code"), [("nobody", 66), ("ibm=high", 65)])
def test_what_is_no_vendor_or_no_port_is_said(name: str, code: int) -> None:
    result = CliRunner().invoke(app, ["dev", "vendors", name])
    assert result.exit_code == code
    assert name.partition("=")[0] in result.stderr
