"""Options that name a thing and its value: each once, and nothing is left out."""

import pytest
from typer.testing import CliRunner

from quanopy.cli.main import app
from quanopy.cli.pairs import pairs
from quanopy.domain.errors import Invalid


def test_values_may_have_any_sign_and_names_none() -> None:
    assert pairs(["a=b=c", "d.e= f"], "--x") == {"a": "b=c", "d.e": " f"}
    assert pairs(None, "--x") == {}


@pytest.mark.parametrize("text", ["a", "=b", "a=", "", "="])
def test_a_name_or_value_that_lacks_is_said(text: str) -> None:
    with pytest.raises(Invalid, match="is no NAME=VALUE") as raised:
        pairs([text], "--x")
    assert raised.value.where == "--x"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("status", "x", "--expect", "resource=a", "--expect", "resource=b"), "--expect: resource"),
        (("submit", "FILE", "--require", "qubits=1", "--require", "qubits=2"), "--require: qubits"),
        (("sweep", "FILE", "--over", "phi=0,1", "--over", "phi=2"), "--over: phi"),
        (
            ("sweep", "FILE", "--over", "p=0", "--scatter", "aer=1", "--scatter", "aer"),
            "--scatter: aer",
        ),
        (("group", "create", "g", "--stop", "cost=1", "--stop", "cost=2"), "--stop: cost"),
    ],
)
def test_what_is_said_twice_is_refused(
    broker: object, arguments: tuple[str, ...], says: str
) -> None:
    found = CliRunner().invoke(app, arguments)
    assert (found.exit_code, f"error: {says} is given twice" in found.stderr) == (65, True)


@pytest.mark.parametrize("values", ["0:1:1000000000", "0:1:1", "0:1", "a,b", "0:1:2:3"])
def test_values_of_a_sweep_are_some_and_not_too_many(broker: object, values: str) -> None:
    found = CliRunner().invoke(app, ["sweep", "FILE", "--over", f"phi={values}"])
    assert found.exit_code == 65
    assert "at most 1,000,000 values" in found.stderr
