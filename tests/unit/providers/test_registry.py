"""The registry: what cannot be loaded is a row with a reason."""

from pathlib import Path
from typing import Any, cast

import pytest

from quanopy.domain.errors import Denied, Invalid
from quanopy.providers import registry
from quanopy.providers.registry import Plugin
from quanopy.providers.secrets import Secret
from tests.unit.providers.plugins import Plain

HERE = "tests.unit.providers.plugins"


def lab(**options: object) -> Plugin:
    [plugin] = registry.load({"lab": {"plugin": f"{HERE}:create", **options}})
    return plugin


def made(plugin: Plugin) -> Plain:
    assert plugin.problem is None
    return cast(Plain, plugin.provider)


def test_an_installed_provider_is_created_with_its_settings() -> None:
    [plugin] = registry.load({"aer": {"processes": 3, "memory_bytes": 2**30}})
    assert plugin.problem is None
    assert plugin.provider is not None
    assert plugin.provider.name == "aer"
    assert plugin.distribution.startswith("quanopy ")
    plugin.provider.close()


def test_a_provider_that_is_not_installed_has_a_problem() -> None:
    [plugin] = registry.load({"nothing": {}})
    assert plugin.provider is None
    assert "not installed" in (plugin.problem or "")


def test_a_provider_that_cannot_be_created_has_a_problem_and_its_neighbours_none() -> None:
    broken, missing, whole = registry.load({"aer": {"colour": "red"}, "other": {}, "lab": LAB})
    assert (broken.problem or "").startswith("providers.aer.colour: there is no such option")
    assert (missing.provider, whole.problem) == (None, None)


LAB = {"plugin": f"{HERE}:create"}


def test_installed_providers_are_listed_with_what_brings_them() -> None:
    assert registry.installed()["aer"].startswith("quanopy ")


def test_two_tables_make_two_providers_of_one_plugin() -> None:
    one, two = registry.load({"lab": LAB, "attic": LAB})
    assert [made(one).name, made(two).name] == ["lab", "attic"]


def test_two_providers_cannot_have_one_name() -> None:
    table = {"plugin": f"{HERE}:needing", "token": "env:TOKEN"}
    first, second = registry.load({"lab": table, "attic": table})
    assert made(first).name == "needing"
    assert "providers.lab" in (second.problem or "")
    assert second.provider is None


def test_options_come_in_the_types_that_the_factory_names() -> None:
    given = {
        "token": "env:TOKEN",
        "url": "env:is-no-credential",
        "mode": "batch",
        "timeout_s": 3,
        "most": 7,
        "eager": True,
        "folder": "/tmp",
        "names": ["a", "b"],
        "environment": {"KEY": "file:/key", "URL": "https://example.org"},
    }
    assert made(lab(**given)).options == {
        "token": Secret("env:TOKEN"),
        "url": "env:is-no-credential",
        "mode": "batch",
        "timeout_s": 3.0,
        "most": 7,
        "eager": True,
        "folder": Path("/tmp"),
        "names": ("a", "b"),
        "environment": {"KEY": Secret("file:/key"), "URL": "https://example.org"},
    }


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("token", "hunter2", "is given by reference"),
        ("token", 7, "a whole number, not the place of a credential"),
        ("url", 7, "a whole number, not text"),
        ("mode", "hunter2", "is text, not 'job' or 'batch'"),
        ("timeout_s", "hunter2", "is text, not a number"),
        ("timeout_s", True, "is true or false, not a number"),
        ("most", True, "is true or false, not a whole number"),
        ("most", 1.5, "is a number, not a whole number"),
        ("eager", "hunter2", "is text, not true or false"),
        ("names", "hunter2", "is text, not a list"),
        ("environment", "hunter2", "is text, not a table"),
        ("colour", "hunter2", "there is no such option"),
        ("name", "hunter2", "the table's name is the provider's"),
    ],
)
def test_wrong_options_are_named_and_never_shown(key: str, value: object, complaint: str) -> None:
    problem = lab(**{key: value}).problem or ""
    assert problem.startswith(f"providers.lab.{key}: ")
    assert complaint in problem
    assert "hunter2" not in problem


def test_what_lies_within_an_option_is_named_too() -> None:
    assert (lab(names=["a", 7]).problem or "").startswith("providers.lab.names[1]: ")
    problem = lab(environment={"KEY": 7}).problem or ""
    assert problem.startswith("providers.lab.environment.KEY: ")


def test_an_option_that_is_needed_and_missing_is_named() -> None:
    [plugin] = registry.load({"lab": {"plugin": f"{HERE}:needing"}})
    assert plugin.problem == "providers.lab.token: the option is needed and not given"


def test_resources_are_as_the_operator_says() -> None:
    changed = {
        "left": {"lanes": 3, "device": "machine", "description": "ours", "part": [1, "b", 0]}
    }
    provider = made(lab(resources=changed))
    left, right = provider.resources()
    assert (left.lanes, left.device, left.description) == (3, "machine", "ours")
    assert left.part == ("0", "1", "b")
    assert (right.lanes, right.device) == (1, None)
    provider.close()
    assert provider.closed


@pytest.mark.parametrize(
    ("resources", "where"),
    [
        (7, "providers.lab.resources"),
        ({"left": 7}, "providers.lab.resources.left"),
        ({"left": {"lanes": "many"}}, "providers.lab.resources.left.lanes"),
        ({"left": {"lanes": 0}}, "providers.lab.resources.left.lanes"),
        ({"left": {"part": []}}, "providers.lab.resources.left.part"),
        ({"left": {"part": [True]}}, "providers.lab.resources.left.part[0]"),
        ({"left": {"lane": 1}}, "providers.lab.resources.left.lane"),
    ],
)
def test_settings_of_resources_are_checked(resources: Any, where: str) -> None:
    assert (lab(resources=resources).problem or "").startswith(f"{where}: ")


def test_a_credential_is_read_when_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "token"
    token = made(lab(token=f"file:{place}")).options["token"]
    with pytest.raises(Denied, match="cannot be read"):
        token.reveal()
    place.write_text("first\nsecond\n")
    assert token.reveal() == "first"
    assert "first" not in repr(token)


def test_a_command_that_cannot_be_split_is_refused_and_not_shown() -> None:
    with pytest.raises(Invalid, match="quote") as caught:
        Secret("command:gopass show 'vendors/key")
    assert "gopass" not in str(caught.value)


@pytest.mark.parametrize("path", ["a\0b", "~nobody-of-this-name/key"])
def test_a_file_that_cannot_be_is_no_credential(path: str) -> None:
    with pytest.raises(Denied, match="cannot be read"):
        Secret(f"file:{path}").reveal()
