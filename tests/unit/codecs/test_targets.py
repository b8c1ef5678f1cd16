"""Targets as strangers tell of them."""

import math
from typing import Any

import pytest

from quanopy.codecs.targets import FORMAT, checked_target, decode_target
from quanopy.domain.errors import Invalid


def document(dt: Any = None, error: Any = 0.1) -> dict[str, Any]:
    entry = {"parameters": 0, "qubits": [[0]], "errors": [error]}
    return {"format": FORMAT, "qubits": 1, "dt": dt, "instructions": {"x": entry}}


def test_what_is_a_target_is_taken() -> None:
    assert decode_target(checked_target(document(1e-9)))["dt"] == 1e-9


@pytest.mark.parametrize("number", [10**400, -(10**400), math.nan, math.inf, True, "1"])
def test_what_is_no_number_is_invalid(number: Any) -> None:
    with pytest.raises(Invalid):
        checked_target(document(dt=number))
    with pytest.raises(Invalid):
        checked_target(document(error=number))
