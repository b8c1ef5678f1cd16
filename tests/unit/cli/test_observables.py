"""Observables as people type them."""

import pytest

from quanopy.cli.observables import parse_observable
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
