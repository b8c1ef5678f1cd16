"""Circuits as vQPUs take them: read exactly, or refused with the place."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quanopy.codecs.vqpu import decode, encode
from quanopy.domain.errors import Invalid

ANGLES = st.floats(allow_nan=False, allow_infinity=False)


def test_the_words_of_the_contract_are_read() -> None:
    lines = ["Rx(q[0],1.57)", "Ry(q[1], -.5e-3)", " CZ( q[0] , q[1] ) ", "CNOT(q[1],q[0]);"]
    assert decode(lines) == [
        ("rx", (0,), (1.57,)),
        ("ry", (1,), (-0.0005,)),
        ("cz", (0, 1), ()),
        ("cx", (1, 0), ()),
    ]


@given(st.lists(st.tuples(st.sampled_from(["rx", "ry", "rz"]), st.integers(0, 999), ANGLES)))
def test_what_is_written_reads_back_the_same(gates: list[tuple[str, int, float]]) -> None:
    instructions = [(name, (qubit,), (angle,)) for name, qubit, angle in gates]
    assert decode(encode(instructions)) == instructions


@pytest.mark.parametrize(
    "line",
    [
        "Rx",
        "Rx(q[0]",
        "Rx(1.0,q[0])",
        "Rx(q[0],nan)",
        "Rx(q[0],inf)",
        "Rx(q[0],1e999)",
        "Rx(q[0],__import__('os'))",
        "CZ(q[0],q[0])",
        "CZ()",
        "Rx(q[-1],1)",
        "Rx(q[99999999],1)",
        "Rx(q[0],1)Rx(q[0],1)",
        "x" * 10_000,
        7,
        None,
        ["Rx(q[0],1)"],
    ],
)
def test_anything_else_is_refused_with_its_place(line: object) -> None:
    with pytest.raises(Invalid) as refused:
        decode(["Rx(q[0],1)", line])
    assert refused.value.where == "circuit[1]"
    assert math.isfinite(len(str(refused.value)))
    assert len(str(refused.value)) < 300
