"""What a part of the package imports is brought by the extra that a user installs for it."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

from tests.unit.docs.blocks import ROOT

SOURCE = ROOT / "src" / "quanopy"
BROKER = ("domain", "ports", "wire", "codecs", "services", "storage", "sandbox", "server")
INDIRECT = {"starlette", "pydantic-core"}
"""The foundations of FastAPI and pydantic, which their bounds choose."""


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return found


def brought(project: dict[str, Any], *extras: str) -> set[str]:
    """Names of the distributions that the base and these extras ask for."""
    wanted = list(project["dependencies"])
    for extra in extras:
        wanted += project["optional-dependencies"][extra]
    return {_canonical(re.split(r"[\[<>=]", one)[0]) for one in wanted}


def imported(*folders: str) -> set[str]:
    """Distributions that the modules of these packages import, now or later."""
    owners = _owners()
    names = {
        name for folder in folders for file in _modules(folder) for name in _imports(file)
    } - sys.stdlib_module_names
    return {_canonical(owners[name][0]) for name in names - {"quanopy"}}


_owners = cache(packages_distributions)


def _modules(folder: str) -> Iterator[Path]:
    files = (SOURCE / folder).rglob("*.py")
    return (file for file in files if file.name != "wakeups_postgres.py")


@cache
def _imports(file: Path) -> frozenset[str]:
    return frozenset(_names(file))


def _names(file: Path) -> Iterator[str]:
    for node in _carried_out(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def _carried_out(node: ast.AST) -> Iterator[ast.AST]:
    """A node and all below it, save what type checkers alone read."""
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _carried_out(child)


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_server_brings_all_that_serving_and_reading_programs_needs(project: Any) -> None:
    assert imported(*BROKER) - INDIRECT - {"psycopg"} <= brought(project, "server")


def test_server_and_aer_bring_all_that_a_broker_with_emulators_needs(project: Any) -> None:
    missing = imported(*BROKER, "providers/aer") - INDIRECT - brought(project, "server", "aer")
    assert missing <= {"psycopg"}


@pytest.mark.parametrize("vendor", ["perceval", "pasqal", "braket"])
def test_a_vendor_s_extra_brings_all_that_its_provider_needs(project: Any, vendor: str) -> None:
    by_its_client = {"requests", "boto3", "botocore"}
    needed = imported(f"providers/{vendor}") - INDIRECT - by_its_client
    assert needed <= brought(project, "server", vendor)


def test_the_base_brings_all_that_the_client_needs(project: Any) -> None:
    missing = imported("client", "wire", "domain") - INDIRECT - brought(project, "plots")
    assert missing <= {"numpy", "qiskit"}


def test_qiskit_brings_all_that_its_classes_need(project: Any) -> None:
    assert imported("qiskit", "client") - INDIRECT <= brought(project, "qiskit", "plots")
