"""What is wrong with an option of the service is said of the option, a setting's of the setting."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from quanopy.cli.main import app


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.parametrize("command", [["serve"], ["worker"], ["vqpu", "serve"]])
def test_a_bad_option_is_named_as_it_was_typed(command: list[str]) -> None:
    found = CliRunner().invoke(app, [*command, "--log-level", "loud"])
    assert found.exit_code == 65
    assert "--log-level: it is none of debug, info, warning, error" in found.stderr


def test_an_option_of_two_words_has_its_dashes(tmp_path: Path) -> None:
    found = CliRunner().invoke(app, ["serve", "--tls-key", str(tmp_path / "key.pem")])
    assert found.exit_code == 65
    assert "--tls-key: it goes with tls_cert" in found.stderr


def test_a_bad_setting_is_named_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANOPY_LOG_LEVEL", "loud")
    found = CliRunner().invoke(app, ["worker"])
    assert "error: log_level: it is none of" in found.stderr
