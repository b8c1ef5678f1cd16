"""What is wrong with a request is said in words of its own, with the place and what is known."""

import json
import math
from typing import Any

import pytest
from pydantic import ValidationError

from quanopy.domain.errors import Invalid
from quanopy.wire.jobs import JobIn, OptionsIn
from quanopy.wire.refusals import checked, refusal
from quanopy.wire.service import RegistrationIn, TokenIn

JOB: dict[str, Any] = {"resource": "aer", "programs": [{"format": "openqasm3", "text": "x"}]}


def refused(body: str) -> Invalid:
    """What is said of the text of a request."""
    with pytest.raises(ValidationError) as raised:
        JobIn.model_validate_json(body)
    return refusal(raised.value.errors(), JobIn)


@pytest.mark.parametrize(
    ("field", "value", "where", "says"),
    [
        ("tags", ["ok", "a b"], "tags[1]", "a tag has one character or more, and no blanks"),
        ("tags", [""], "tags[0]", "a tag has one character or more"),
        ("tags", "ab", "tags", "it must be a list, not 'ab'"),
        ("tags", ["x" * 101], "tags[0]", "its length must be at most 100, and is 101"),
        ("tags", ["x"] * 51, "tags", "its length must be at most 50, and is 51"),
        ("name", "a\0b", "name", "it has characters that cannot be shown"),
        ("name", 5, "name", "it must be text, not 5"),
        ("resource", "", "resource", "its length must be at least 1, and is 0"),
        ("kind", "guess", "kind", "it must be 'sample', 'estimate' or 'run', not 'guess'"),
        ("priority", 1000, "priority", "it must be at most 100, not 1000"),
        ("priority", "high", "priority", "it must be a whole number, not 'high'"),
        ("programs", [], "programs", "its length must be at least 1, and is 0"),
        ("programs", [5], "programs[0]", "it must be an object of named fields, not 5"),
        ("programs", [{"text": "x"}], "programs[0].format", "it is missing"),
        ("pubs", [{"shots": 0}], "pubs[0].shots", "it must be at least 1, not 0"),
        ("options", {"shots": 1.5}, "options.shots", "it must be a whole number, not 1.5"),
        ("options", {"compile": "maybe"}, "options.compile", "it must be true or false, not 'ma"),
        ("priority", True, "priority", "it must be a whole number, not true"),
        ("pubs", [{"shots": False}], "pubs[0].shots", "it must be a whole number, not false"),
        ("pubs", [{"circuit": True}], "pubs[0].circuit", "it must be a whole number, not true"),
        ("options", {"seed": True}, "options.seed", "it must be a whole number, not true"),
        ("options", {"precision": True}, "options.precision", "it must be a number, not true"),
        ("options", {"max_calibration_age": True}, "options.max_calibration_age", "not true"),
        ("requires", {"qubits": True}, "requires.qubits", "it must be a whole number, not true"),
        ("requires", {"metrics": {"T1": {}}}, "requires.metrics.T1", "it bounds nothing"),
        ("options", {"seed": 2**70}, "options.seed", f"it must be less than {2**63}, not {2**70}"),
        ("options", {"precision": []}, "options.precision", "it must be a number, not a list"),
        ("options", {"precision": None, "seed": {}}, "options.seed", "not an object"),
        ("options", {"precision": math.nan}, "options.precision", "a finite number, not nan"),
        ("options", {"precision": 1e-12}, "options.precision", "it must be 0 or at least 1e-09"),
        ("options", None, "options", "it must be an object of named fields, not null"),
    ],
)
def test_what_is_wrong_is_said_where_it_is(field: str, value: Any, where: str, says: str) -> None:
    error = refused(json.dumps(JOB | {field: value}))
    assert error.where == where
    assert says in error.message


def test_a_field_that_there_is_not_comes_with_those_there_are() -> None:
    error = refused(json.dumps(JOB | {"options": {"colour": "red"}}))
    assert (error.message, error.where) == ("there is no such field", "options.colour")
    assert error.hint == f"Known: {', '.join(sorted(OptionsIn.model_fields))}."
    error = refused(json.dumps(JOB | {"pubs": [{}, {"colour": "red"}]}))
    assert error.hint == "Known: circuit, observables, parameters, precision, program, shots."


def test_the_places_of_what_else_is_wrong_are_told() -> None:
    error = refused(json.dumps(JOB | {"options": {"shots": 0, "precision": -1}, "priority": "x"}))
    assert error.where == "options.shots"
    assert error.hint == "2 more: options.precision, priority."


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ("", "line 1, column 0"),
        ('{"a":\n nonsense}', "line 2, column 3"),
        ("{", "line 1, column 1"),
    ],
)
def test_what_is_no_json_is_said_to_be_none_and_where(body: str, where: str) -> None:
    error = refused(body)
    assert (error.message, error.where) == ("the body is not JSON", where)


def test_a_body_that_is_something_else_is_refused_as_a_whole() -> None:
    error = refused("[]")
    assert (error.message, error.where) == (
        "it must be an object of named fields, not a list",
        "body",
    )


def test_a_field_may_be_called_as_a_part_of_a_request_is() -> None:
    assert refused(json.dumps(JOB | {"path": "x"})).where == "path"


def test_values_are_not_shown_at_length() -> None:
    assert len(refused(json.dumps(JOB | {"kind": "x" * 100_000})).message) < 200


@pytest.mark.parametrize("sign", [1, -1])
def test_a_number_of_more_digits_than_python_writes_is_refused(sign: int) -> None:
    with pytest.raises(Invalid, match=r"one of some 498[0-9] digits") as raised:
        checked(OptionsIn, {"shots": sign * 10**5000}, within="options")
    assert raised.value.where == "options.shots"


@pytest.mark.parametrize("account", ["", "a b", "-a", "\u00e4", "x" * 101])
def test_an_account_that_can_be_none_is_refused(account: str) -> None:
    with pytest.raises(Invalid) as raised:
        checked(TokenIn, {"account": account}, within="here")
    assert raised.value.where == "here.account"
    assert "pattern" not in raised.value.message


@pytest.mark.parametrize("name", ["", "a b", "-a", "a-", "VQ", "x" * 65])
def test_a_name_that_no_resource_can_have_is_refused(name: str) -> None:
    asked = {"name": name, "url": "http://127.0.0.1:1", "target": {}}
    with pytest.raises(Invalid) as raised:
        checked(RegistrationIn, asked)
    assert raised.value.where == "name"
    assert "pattern" not in raised.value.message
