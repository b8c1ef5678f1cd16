"""What a refusal says in a shell: the option that it is about, not the request's field."""

import json

import pytest

from quanopy.cli.exits import explain
from quanopy.domain.errors import Invalid


@pytest.mark.parametrize(
    ("where", "shown"),
    [
        ("options.max_calibration_age", "error: --max-calibration-age: no"),
        ("jobs[3].options.shots", "error: --shots: no"),
        ("requires.qubits", "error: --require qubits: no"),
        ("pubs[0].parameters", "error: pubs[0].parameters: no"),
        (None, "error: no"),
    ],
)
def test_fields_of_requests_are_named_as_options(
    where: str | None, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain(Invalid("no", where=where)) == 65
    assert capsys.readouterr().err == f"{shown}\n"


def test_scripts_are_told_the_field(capsys: pytest.CaptureFixture[str]) -> None:
    explain(Invalid("no", where="options.shots"), as_json=True)
    assert json.loads(capsys.readouterr().out)["where"] == "options.shots"
