"""Points of sweeps, from what people write."""

from typing import Any

import numpy as np
import pytest
from qiskit.circuit import Parameter, ParameterVector

from quanopy.client.points import Combine, points, stacked
from quanopy.domain.errors import Invalid

A, B = Parameter("a"), Parameter("b")
THETA = ParameterVector("θ", 2)


def test_there_are_not_more_points_than_can_be_run() -> None:
    """Seen before they are laid out: they would fill the memory."""
    wide = np.zeros(100_000)
    with pytest.raises(Invalid, match="10,000,000,000 points; 10,000,000 are the most"):
        points({"a": wide, "b": wide}, ["a", "b"], Combine.PRODUCT)


def test_an_array_goes_over_the_parameters_last() -> None:
    found = points(np.arange(12).reshape(2, 3, 2), ["a", "b"], None)
    assert found["a"].tolist() == [[0, 2, 4], [6, 8, 10]]
    assert stacked(found).tolist() == np.arange(12).reshape(2, 3, 2).tolist()


def test_each_with_each_has_an_axis_each_in_the_order_given() -> None:
    found = points({B: [1, 2, 3], "a": [10, 20]}, ["a", "b"], Combine.PRODUCT)
    assert list(found) == ["a", "b"]
    assert found["a"].tolist() == [[10, 20]] * 3
    assert found["b"].tolist() == [[1, 1], [2, 2], [3, 3]]


def test_one_after_the_other_has_one_axis() -> None:
    found = points({"a": [1, 2, 3], "b": [4, 5, 6]}, ["a", "b"], Combine.ZIP)
    assert stacked(found).tolist() == [[1, 4], [2, 5], [3, 6]]


def test_what_has_one_value_has_it_everywhere() -> None:
    for combine in (None, *Combine):
        found = points({"a": [1, 2, 3], "b": 7}, ["a", "b"], combine)
        assert stacked(found).tolist() == [[1, 7], [2, 7], [3, 7]]


def test_a_vector_is_a_parameter_each() -> None:
    names = ["a", "θ[0]", "θ[1]"]
    found = points({THETA: [[1, 2], [3, 4]], "a": [5, 6, 7]}, names, Combine.PRODUCT)
    assert found["θ[1]"].tolist() == [[2, 2, 2], [4, 4, 4]]
    assert found["a"].tolist() == [[5, 6, 7]] * 2
    assert points({(A, B): [[1, 2]]}, ["a", "b"], None)["b"].tolist() == [2]


def test_a_single_point_has_no_axis() -> None:
    assert stacked(points({"a": 1, "b": 2}, ["a", "b"], None)).tolist() == [1, 2]


def test_names_are_taken_as_they_are_where_nobody_knows_them() -> None:
    assert list(points({"t": [1, 2]}, None, None)) == ["t"]
    with pytest.raises(Invalid, match="does not say which"):
        points([1, 2], None, None)


@pytest.mark.parametrize(
    ("values", "combine", "says"),
    [
        ({"a": [1, 2], "b": [3, 4]}, None, "several parameters have several values"),
        ({"a": [1, 2], "b": [3, 4, 5]}, Combine.ZIP, "do not go together"),
        ({"a": [1, 2]}, None, "no values for b"),
        ({"a": 1, A: 2, "b": 3}, None, "given twice"),
        ({"a": 1, "b": 2, "c": 3}, None, "too many"),
        ({"a": [], "b": 2}, None, "no points"),
        ({"a": "x", "b": 2}, None, "no array"),
        ({"a": [1, [2]], "b": 2}, None, "no array"),
        ({"a": 1j, "b": 2}, None, "no array"),
        ({"a": np.inf, "b": 2}, None, "NaN or infinity"),
        ({(A, B): [1, 2, 3]}, None, r"shape \(3,\) for 2 parameters"),
        ({3: 1, "b": 2}, None, "no parameter"),
        ([1, 2, 3], None, r"shape \(3,\) for 2 parameters"),
        ({}, None, "no values for a, b"),
    ],
)
def test_what_is_not_the_circuits_is_refused(values: Any, combine: Any, says: str) -> None:
    with pytest.raises(Invalid, match=says):
        points(values, ["a", "b"], combine)
