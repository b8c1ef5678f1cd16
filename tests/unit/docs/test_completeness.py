"""What the code offers is documented: a new setting, command, event or error fails here first."""

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import fields
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
import typer

from quanopy.cli import arguments, executables, exits, main
from quanopy.client import settings as client_settings
from quanopy.client.broker import Broker
from quanopy.client.client import Client
from quanopy.client.drafts import How
from quanopy.client.groups import Group
from quanopy.client.handles import Job
from quanopy.client.webhooks import Webhooks
from quanopy.codecs import records
from quanopy.domain import errors
from quanopy.domain.accounts import Scope
from quanopy.domain.events import KINDS
from quanopy.domain.groups import GroupState
from quanopy.domain.states import ExecutionState, JobState, ResourceState, TaskState
from quanopy.domain.webhooks import PING, WebhookState
from quanopy.ports import providers
from quanopy.server import metrics
from quanopy.server.settings import PREFIX, Settings
from quanopy.wire.problems import TABLE, Kind
from tests.unit.docs.blocks import DOCS, ROOT

GUIDE = (DOCS / "user-guide.md").read_text("utf-8")
EXPERIMENTS = (DOCS / "experiments.md").read_text("utf-8")
OPERATING = (DOCS / "operating.md").read_text("utf-8")
NOTIFICATIONS = (DOCS / "notifications.md").read_text("utf-8")
EVENTS = (DOCS / "reference" / "events.md").read_text("utf-8")
ERRORS = (DOCS / "reference" / "errors.md").read_text("utf-8")
ARCHIVE = (DOCS / "reference" / "archive.md").read_text("utf-8")
PROVIDERS = (DOCS / "reference" / "providers.md").read_text("utf-8")
API = (DOCS / "reference" / "api.md").read_text("utf-8")

SUBJECTS: dict[str, type[StrEnum]] = {
    "job": JobState,
    "task": TaskState,
    "execution": ExecutionState,
    "resource": ResourceState,
    "webhook": WebhookState,
    "group": GroupState,
}


def section(text: str, heading: str) -> str:
    """What stands under a heading of the second level."""
    return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def rows(text: str) -> list[str]:
    """The lines of tables."""
    return [line for line in text.splitlines() if line.startswith("|")]


# -- settings ---------------------------------------------------------------------------------
def test_every_server_setting_is_in_the_table_and_no_other() -> None:
    table = rows(section(OPERATING, "Settings"))[2:]
    named = {name for row in table for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert named == {setting.name for setting in fields(Settings)}


@pytest.mark.parametrize("setting", fields(Settings), ids=lambda setting: setting.name)
def test_defaults_of_settings_are_those_of_the_table(setting: Any) -> None:
    name, default = setting.name, setting.default
    if isinstance(default, bool) or not isinstance(default, int | float):
        return
    table = [row.split("|") for row in rows(section(OPERATING, "Settings"))]
    (cells,) = [cells for cells in table if f"`{name}`" in cells[1]]
    assert f"`{default}`" in cells[2]


def test_every_variable_of_the_client_is_in_the_guide() -> None:
    source = inspect.getsource(client_settings)
    variables = set(re.findall(rf'"({PREFIX}[A-Z]+)"', source))
    assert len(variables) > 4
    assert {name for name in variables if f"`{name}`" not in GUIDE} == set()


# -- commands ---------------------------------------------------------------------------------
def commands(command: Any, path: str) -> Iterator[str]:
    """How a command and all below it are called."""
    yield path
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, f"{path} {name}")


COMMANDS = [*commands(typer.main.get_command(main.app), "quanopy")][1:]


def test_commands_are_found() -> None:
    assert {"quanopy submit", "quanopy token create"} <= set(COMMANDS)


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_is_in_a_guide(path: str) -> None:
    assert path in GUIDE + OPERATING + NOTIFICATIONS + EXPERIMENTS


@pytest.mark.parametrize(
    "option",
    [
        *("--shots", "--observable", "--precision", "--json", "--output", "--memory"),
        *("--optimization-level", "--no-compile", "--seed-transpiler"),
    ],
)
def test_common_options_are_shown(option: str) -> None:
    assert option in inspect.getsource(arguments)
    assert option in GUIDE


def test_every_executable_is_in_the_guide() -> None:
    for executable in (executables.qrun, executables.sample, executables.estimate):
        assert f"\n{executable.__name__} " in GUIDE


def test_every_exit_code_is_in_the_table() -> None:
    table = "\n".join(rows(section(GUIDE, "Exit codes")))
    codes = {kind.exit_code for kind in TABLE} | {0, 2, exits.INTERRUPTED}
    assert {code for code in codes if f"| {code} |" not in table} == set()


# -- events and errors ------------------------------------------------------------------------
def event_kinds() -> set[str]:
    """Kinds of events that the code writes: constants, and each state after a subject's name."""
    kinds = set()
    for file in (ROOT / "src" / "quanopy" / "storage").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            kinds |= set(_kinds_in(node))
    return kinds


def _kinds_in(node: ast.AST) -> Iterator[str]:
    subjects = "|".join(SUBJECTS)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        if re.fullmatch(rf"(?:{subjects})\.[a-z_]+", node.value):
            yield node.value
    elif isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
        prefix = str(node.values[0].value)
        if re.fullmatch(rf"(?:{subjects})\.", prefix):
            yield from (f"{prefix}{state}" for state in SUBJECTS[prefix[:-1]])


def test_every_kind_of_event_is_known_and_documented() -> None:
    kinds = {f"{subject}.{name}" for subject, names in KINDS.items() for name in names}
    composed = {"job.held", PING}
    assert event_kinds() | composed == kinds
    assert {kind for kind in kinds if f"`{kind}`" not in EVENTS} == set()


@pytest.mark.parametrize("kind", TABLE, ids=lambda kind: kind.slug)
def test_every_error_is_documented_as_the_table_has_it(kind: Kind) -> None:
    found = [row for row in rows(ERRORS) if f"`{kind.error.__name__}`" in row.split("|")[1]]
    assert found
    for cell in (f"| {kind.status} ", f"| `{kind.slug}` ", f"| {kind.exit_code} "):
        assert cell in found[0]


def test_every_class_of_error_is_in_the_table() -> None:
    classes = {
        cls
        for _, cls in inspect.getmembers(errors, inspect.isclass)
        if issubclass(cls, errors.QuanopyError)
    }
    assert classes == {kind.error for kind in TABLE}


# -- interfaces -------------------------------------------------------------------------------
def public(cls: type) -> list[str]:
    """Public methods and attributes that a class itself declares."""
    names = [*vars(cls), *inspect.get_annotations(cls)]
    return sorted({name for name in names if not name.startswith("_")})


@pytest.mark.parametrize(
    "cls",
    [
        *(providers.Provider, providers.LocalProvider, providers.RemoteProvider),
        *(providers.Running, providers.RemoteCapabilities, providers.Work, providers.Outcome),
        *(providers.Order, providers.Report),
    ],
)
def test_every_method_of_a_provider_is_documented(cls: type) -> None:
    assert [name for name in public(cls) if f"`{name}" not in PROVIDERS] == []


@pytest.mark.parametrize("cls", [Client, Broker, Job, Group, Webhooks])
def test_every_method_of_the_client_is_in_a_guide(cls: type) -> None:
    known = GUIDE + OPERATING + EXPERIMENTS + NOTIFICATIONS
    own = [name for name in public(cls) if name not in ("close", "settings", "id")]
    assert [name for name in own if not re.search(rf"[.`]{name}\b", known)] == []


def test_every_option_of_a_job_is_in_the_guide() -> None:
    assert [name for name in How.__annotations__ if f"`{name}`" not in GUIDE] == []


def test_every_record_of_the_archive_is_documented() -> None:
    wanted = [records.JOBS, records.RESULTS, records.ENDINGS, records.EXECUTIONS]
    wanted.append(records.CALIBRATION)
    for record in (
        *(records.JobRecord, records.EndRecord, records.ExecutionRecord),
        records.CalibrationRecord,
    ):
        wanted.append(record.model_fields["format"].default)
        wanted += [name for name in record.model_fields if name != "format"]
    assert [name for name in wanted if f"`{name}`" not in ARCHIVE] == []


def test_every_route_is_in_the_reference() -> None:
    routes = set()
    for file in Path(inspect.getfile(metrics)).with_name("routes").glob("*.py"):
        tree = ast.parse(file.read_text("utf-8"))
        routes |= set(_routes(tree))
    assert len(routes) > 15
    assert {route for route in routes if f"`{route}`" not in API} == set()


def _routes(tree: ast.Module) -> Iterator[str]:
    prefix = ""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute)):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
        if name == "APIRouter":
            prefix = next((str(_value(k.value)) for k in node.keywords if k.arg == "prefix"), "")
        elif isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) == "router":
            yield f"{name.upper()} {prefix}{_value(node.args[0])}"


def _value(node: ast.expr) -> object:
    assert isinstance(node, ast.Constant)
    return node.value


def test_every_metric_is_documented() -> None:
    made = metrics.Metrics(waiting=lambda: 0, submitting=lambda: 0)
    made.answered("GET", "/v1/health", 200)
    names = set(re.findall(r"^# TYPE (\w+)", made.text().decode(), re.MULTILINE))
    shown = {name for name in names if not name.endswith("_created")}
    assert {name for name in shown if f"`{name}`" not in OPERATING} == set()


def test_every_scope_is_documented() -> None:
    assert [scope for scope in Scope if f"| `{scope}` |" not in OPERATING] == []
