"""What the pages show in JSON and TOML is what the code reads."""

import json
import subprocess
import tomllib
from pathlib import Path

import pytest

import quanopy
from quanopy.domain.errors import Invalid
from quanopy.server.settings import load
from quanopy.wire.problems import from_problem
from quanopy.wire.service import Problem
from tests.unit.docs.blocks import DOCS, PAGES, Block, blocks


def of_language(page: Path, language: str) -> list[str]:
    return ["\n".join(block.lines) for block in blocks(page) if block.language == language]


def test_blocks_are_found_where_they_begin() -> None:
    (first, *_) = blocks(DOCS / "user-guide.md")
    assert isinstance(first, Block)
    assert first.lines == ("quanopy serve",)
    assert not first.runs
    page = (DOCS / "user-guide.md").read_text("utf-8").splitlines()
    assert page[first.line - 1] == first.lines[0]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_json_and_toml_are_well_formed(page: Path) -> None:
    for text in of_language(page, "json"):
        json.loads(text)
    for text in of_language(page, "toml"):
        tomllib.loads(text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_shell_commands_are_well_formed(page: Path) -> None:
    for text in of_language(page, "sh"):
        checked = subprocess.run(
            ["bash", "-n"], input=text, text=True, capture_output=True, check=False
        )
        assert (checked.returncode, checked.stderr) == (0, "")


def test_the_result_that_the_guide_shows_can_be_loaded(tmp_path: Path) -> None:
    shown, _ = of_language(DOCS / "user-guide.md", "json")
    (tmp_path / "result.json").write_text(shown)
    assert quanopy.load(tmp_path / "result.json")[0].counts == {"00": 507, "11": 493}


def test_the_problem_that_the_guide_shows_is_one() -> None:
    _, shown = of_language(DOCS / "user-guide.md", "json")
    error = from_problem(Problem.model_validate_json(shown))
    assert isinstance(error, Invalid)
    assert error.where == "pubs[0].observables"


def test_the_settings_files_that_the_guide_shows_are_accepted(tmp_path: Path) -> None:
    file, loaded = tmp_path / "server.toml", []
    for shown in of_language(DOCS / "operating.md", "toml"):
        file.write_text(shown)
        loaded.append(load(file, environ={}))
    whole, accounts, tailored, parts, pooled, hooks = loaded
    assert list(accounts.providers) == ["aer", "vqpu", "ibm", "ibm-research"]
    assert tailored.providers["lab"]["resources"]["qpu-1"]["lanes"] == 2
    assert parts.providers["lab"]["resources"]["middle"]["part"] == [3, 4]
    assert whole.exposed
    assert whole.log_format == "json"
    assert pooled.listen_dsn
    assert hooks.webhook_networks == ("10.1.0.0/16", "fd00:12::/32")
