"""``quanopy resources import``: QRMI's configuration becomes a table, credentials references."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from quanopy.cli.main import app
from quanopy.providers.options import bound
from quanopy.providers.qrmi import create
from quanopy.providers.secrets import Secret

KEY = "hunter2-is-the-key"
CONFIG = {
    "resources": [
        {
            "name": "ibm_fez",
            "type": "qiskit-runtime-service",
            "environment": {
                "QRMI_IBM_QCS_ENDPOINT": "https://quantum.cloud.ibm.com/api/v1",
                "QRMI_IBM_QCS_IAM_ENDPOINT": "https://iam.cloud.ibm.com",
                "QRMI_IBM_QCS_IAM_APIKEY": KEY,
                "QRMI_IBM_QCS_SERVICE_CRN": "crn:v1:of-ours",
                "QRMI_IBM_QCS_TIMEOUT_SECONDS": 86400,
            },
        },
        {
            "name": "FRESNEL",
            "type": "pasqal-cloud",
            "is_dynamic": False,
            "environment": {
                "FRESNEL_QRMI_PASQAL_CLOUD_PROJECT_ID": "of-ours",
                "FRESNEL_QRMI_PASQAL_CLOUD_CLIENT_SECRET": KEY,
            },
        },
        {
            "name": "cat",
            "type": "alice-bob-felis",
            "environment": {
                "QRMI_AB_FELIS_BASE_ENDPOINT": "https://api.alice-bob.com",
                "QRMI_AB_FELIS_API_KEY": KEY,
            },
        },
        {
            "name": "inst",
            "type": "ibm-quantum-compute-service",
            "is_dynamic": True,
            "environment": {"QRMI_IBM_QCS_ENDPOINT": "https://quantum.cloud.ibm.com/api/v1"},
        },
        {"name": "tops", "type": "oqtopus"},
        {"name": "any", "type": "iqm-server", "is_dynamic": True},
    ]
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "qrmi_config.json"
    file.write_text(json.dumps(CONFIG))
    return file


def run(*arguments: str | Path, ends: int = 0) -> Any:
    result = CliRunner().invoke(app, ["resources", "import", *map(str, arguments)])
    assert result.exit_code == ends, result.output
    assert KEY not in result.output
    return result


def test_credentials_become_references_and_the_rest_is_kept(config: Path) -> None:
    result = run(config)
    table = tomllib.loads(result.stdout)["providers"]["qrmi"]
    assert set(table["machines"]) == {"ibm_fez", "FRESNEL", "cat", "inst"}
    fez = table["machines"]["ibm_fez"]
    assert fez["type"] == "ibm-quantum-compute-service"
    assert fez["QRMI_IBM_QCS_IAM_APIKEY"] == "env:ibm_fez_QRMI_IBM_QCS_IAM_APIKEY"
    assert fez["QRMI_IBM_QCS_TIMEOUT_SECONDS"] == "86400"
    fresnel = table["machines"]["FRESNEL"]
    assert fresnel["QRMI_PASQAL_CLOUD_PROJECT_ID"] == "of-ours"
    secret = "FRESNEL_QRMI_PASQAL_CLOUD_CLIENT_SECRET"
    assert fresnel["QRMI_PASQAL_CLOUD_CLIENT_SECRET"] == f"env:{secret}"
    assert table["machines"]["inst"]["is_dynamic"] is True
    assert "tops is left out" in result.stderr
    assert "any is left out" in result.stderr
    assert secret in result.stderr


def test_the_table_is_what_the_provider_takes(config: Path) -> None:
    table = tomllib.loads(run(config, "--name", "hpc").stdout)["providers"]["hpc"]
    assert table.pop("plugin") == "qrmi"
    machines = bound(create, table, where="providers.hpc")["machines"]
    found = machines["ibm_fez"]["QRMI_IBM_QCS_IAM_APIKEY"]
    assert found == Secret("env:ibm_fez_QRMI_IBM_QCS_IAM_APIKEY")
    provider = create(machines=machines)
    assert KEY not in repr(provider)
    provider.close()


def test_a_machine_readable_answer_says_what_is_needed(config: Path) -> None:
    said = json.loads(run(config, "--json").stdout)
    assert said["environment"] == [
        "ibm_fez_QRMI_IBM_QCS_IAM_APIKEY",
        "FRESNEL_QRMI_PASQAL_CLOUD_CLIENT_SECRET",
        "cat_QRMI_AB_FELIS_API_KEY",
    ]
    assert len(said["skipped"]) == 2


@pytest.mark.parametrize(
    "text",
    [
        "{",
        '{"resources": [{"name": "a\\ud800", "type": "iqm-server"}]}',
        "[]",
        '{"resources": {}}',
        '{"resources": [1]}',
        '{"resources": [{"name": "x", "type": "iqm-server", "environment": []}]}',
        '{"resources": [{"name": "x", "type": "iqm-server", "environment": {"A": ["hunter"]}}]}',
    ],
)
def test_what_is_no_configuration_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config.json"
    file.write_text(text.replace("hunter", KEY))
    run(file, ends=65)


def test_a_type_that_is_no_text_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text('{"resources": [{"name": "odd", "type": []}]}')
    assert "odd is left out" in run(file).stderr
