"""Settings from file, environment and command line."""

import ast
import inspect
from dataclasses import fields
from itertools import pairwise
from pathlib import Path

import pytest

from quanopy.domain.errors import Denied, Invalid
from quanopy.server import settings
from quanopy.server.settings import Settings, load


def test_every_setting_is_documented() -> None:
    tree = ast.parse(inspect.getsource(settings))
    (body,) = [n.body for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Settings"]
    documented = {
        field.target.id
        for field, text in pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
    }
    assert documented == {field.name for field in fields(Settings)}


def test_the_command_line_goes_before_the_environment_and_that_before_the_file(
    tmp_path: Path,
) -> None:
    file = tmp_path / "quanopy.toml"
    file.write_text('port = 1\nhost = "localhost"\nlog_level = "debug"\n[providers.lab]\n')
    environ = {"QUANOPY_PORT": "2", "QUANOPY_LOG_LEVEL": "error", "QUANOPY_URL": "the client's"}
    found = load(file, environ=environ, port=3, host=None)
    assert (found.port, found.log_level, found.host) == (3, "error", "localhost")
    assert found.providers == {"lab": {}}


def test_text_is_read_in_the_type_of_its_setting(tmp_path: Path) -> None:
    environ = {
        "QUANOPY_DATA": str(tmp_path),
        "QUANOPY_WORKER": "no",
        "QUANOPY_PROVIDERS": "aer, fake",
        "QUANOPY_READ_DEADLINE_S": "0.5",
        "QUANOPY_UDS": "/run/quanopy",
    }
    found = load(environ=environ)
    assert (found.data, found.worker, found.read_deadline_s) == (tmp_path, False, 0.5)
    assert found.providers == {"aer": {}, "fake": {}}
    assert found.uds == Path("/run/quanopy")
    assert found.database_url == f"sqlite:///{tmp_path}/quanopy.db"
    assert found.objects_url == f"file://{tmp_path}/objects"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "many"),
        ("PORT", "70000"),
        ("WORKER", "perhaps"),
        ("LOG_LEVEL", "loud"),
        ("BODY_LIMIT", "0"),
        ("TLS_CERT", "/cert.pem"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(Invalid) as raised:
        load(environ={f"QUANOPY_{name}": value})
    assert raised.value.where in (name.lower(), "tls_key")


def test_an_unknown_setting_in_a_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "quanopy.toml"
    file.write_text("prot = 8420\n")
    with pytest.raises(Invalid, match="there is no setting prot") as raised:
        load(file, environ={})
    assert raised.value.hint == f"Did you mean port? It stands in {file}."
    with pytest.raises(Invalid, match=r"cannot read settings: No such file or directory$"):
        load(tmp_path / "missing.toml", environ={})


def test_secrets_do_not_show() -> None:
    shown = repr(Settings(s3_secret_key="hush", providers={"ibm": {"token": "hush"}}))
    assert "hush" not in shown


TWO_ACCOUNTS = """
[providers.aer]

[providers.ibm]
token = "env:IBM_TOKEN"

[providers.ibm-research]
plugin = "ibm"
token = "file:/run/secrets/ibm"

[providers.ibm-research.resources.ibm_fez]
lanes = 2
"""


def test_each_table_is_a_provider_and_names_choose_among_them(tmp_path: Path) -> None:
    file = tmp_path / "quanopy.toml"
    file.write_text(TWO_ACCOUNTS)
    found = load(file, environ={}).providers
    assert list(found) == ["aer", "ibm", "ibm-research"]
    assert found["ibm-research"]["plugin"] == "ibm"
    chosen = load(file, environ={"QUANOPY_PROVIDERS": "ibm-research,fake"}).providers
    assert chosen == {"ibm-research": found["ibm-research"], "fake": {}}
    assert load(file, environ={"QUANOPY_PROVIDERS": "fake"}, providers="aer").providers == {
        "aer": {}
    }


def test_with_no_table_there_are_the_emulator_and_what_registers_itself() -> None:
    assert load(environ={}).providers == {"aer": {}, "vqpu": {}}


@pytest.mark.parametrize(
    "text", ['providers = ["aer"]', "[providers]\naer = 3", '[providers."a\\nb"]']
)
def test_what_is_no_table_of_a_provider_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "quanopy.toml"
    file.write_text(text)
    with pytest.raises(Invalid) as raised:
        load(file, environ={})
    assert (raised.value.where or "").startswith("providers")


def test_a_file_is_found_in_the_users_configuration(tmp_path: Path) -> None:
    file = tmp_path / "quanopy" / "quanopy.toml"
    file.parent.mkdir()
    file.write_text("port = 17\n")
    assert load(environ={"XDG_CONFIG_HOME": str(tmp_path)}).port == 17
    (tmp_path / ".config").symlink_to(tmp_path)
    assert load(environ={"HOME": str(tmp_path)}).port == 17
    named = tmp_path / "other.toml"
    named.write_text("port = 18\n")
    environ = {"HOME": str(tmp_path), "QUANOPY_CONFIG": str(named)}
    assert load(environ=environ).port == 18


def test_a_file_that_anybody_may_change_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "quanopy.toml"
    file.write_text("port = 17\n")
    file.chmod(0o666)
    with pytest.raises(Denied, match="others may change it"):
        load(file, environ={})
