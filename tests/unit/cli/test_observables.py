"""Observables as people type and read them."""

import math
from typing import Any

import pytest

from quanopy.cli.observables import label, parse_observable, show_observable
from quanopy.domain.errors import Invalid


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("ZZ", {"ZZ": 1.0}),
        ("-ZZ", {"ZZ": -1.0}),
        (" XI ", {"XI": 1.0}),
        ("01Zr", {"01Zr": 1.0}),
        ('{"0+-": 1}', {"0+-": 1.0}),
        ("0.5*ZZ - 1.2*XI", {"ZZ": 0.5, "XI": -1.2}),
        ("ZZ+XX-YY", {"ZZ": 1.0, "XX": 1.0, "YY": -1.0}),
        ("ZZ + ZZ", {"ZZ": 2.0}),
        ("-1e-3 * Z", {"Z": -0.001}),
        ('{"ZZ": 0.5, "XI": -1}', {"ZZ": 0.5, "XI": -1.0}),
    ],
)
def test_labels_sums_and_mappings_are_understood(text: str, meant: dict[str, float]) -> None:
    assert parse_observable(text) == meant


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A",
        "ZZ XX",
        "ZZ +",
        "0.5 ZZ",
        "*ZZ",
        "ZZ + X",
        "{",
        "{}",
        "[1]",
        '{"Z": NaN}',
        '{"Z": "a"}',
    ],
)
def test_anything_else_is_invalid(text: str) -> None:
    with pytest.raises(Invalid):
        parse_observable(text)


@pytest.mark.parametrize(
    "text", ["ZZ", "-ZZ", "0.5*ZZ - 1.2*XI", "ZZ + XX - YY", "-0.001*Z", "1e+06*Z - 1e-07*X"]
)
def test_what_is_shown_is_what_was_typed(text: str) -> None:
    assert show_observable(parse_observable(text)) == text


X, Z, ZZ = {"X": 1.0}, {"Z": 1.0}, {"Z": 0.5, "X": -1.0}


@pytest.mark.parametrize(
    ("observables", "shape", "labels"),
    [
        (Z, (), ["Z"]),
        ([Z, X], (2,), ["Z", "X"]),
        ([[Z], [ZZ]], (2, 1), ["Z", "0.5*Z - X"]),
        (Z, (3,), ["Z [0]", "Z [1]", "Z [2]"]),
        ([[Z], [X]], (2, 2), ["Z [0, 0]", "Z [0, 1]", "X [1, 0]", "X [1, 1]"]),
        ([Z, X], (2, 2), ["Z [0, 0]", "X [0, 1]", "Z [1, 0]", "X [1, 1]"]),
    ],
)
def test_each_value_is_labelled_with_its_observable(
    observables: Any, shape: tuple[int, ...], labels: list[str]
) -> None:
    found = [label(observables, shape, place) for place in range(math.prod(shape))]
    assert found == labels
