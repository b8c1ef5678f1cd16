"""Connections that a program wants, laid onto a device's."""

from collections.abc import Iterable
from typing import Any

import pytest

from quanopy.codecs.targets import encode_target
from quanopy.domain.requirements import Shape
from quanopy.domain.resources import Target
from quanopy.services.connectivity import connections, connects, edges_of, embeds

Pairs = Iterable[tuple[int, int]]


def graph(pairs: Pairs) -> dict[int, set[int]]:
    found: dict[int, set[int]] = {}
    for one, other in pairs:
        found.setdefault(one, set()).add(other)
        found.setdefault(other, set()).add(one)
    return found


def machine(pairs: Pairs | None, qubits: int = 30) -> Target:
    places = None if pairs is None else [list(pair) for pair in pairs]
    known: dict[str, Any] = {
        "sx": {"parameters": 0, "qubits": None},
        "cz": {"parameters": 0, "qubits": places},
    }
    return encode_target(qubits=qubits, instructions=known)


LINE = [(n, n + 1) for n in range(9)]
RING = [*LINE, (9, 0)]
STAR = [(0, n) for n in range(1, 6)]
GRID = [(5 * r + c, 5 * r + c + 1) for r in range(5) for c in range(4)] + [
    (5 * r + c, 5 * r + c + 5) for r in range(4) for c in range(5)
]


@pytest.mark.parametrize(
    ("shape", "qubits", "pairs", "fits"),
    [
        (Shape.LINEAR, 10, LINE, True),
        (Shape.LINEAR, 11, LINE, False),
        (Shape.RING, 10, RING, True),
        (Shape.RING, 9, RING, False),
        (Shape.LINEAR, 10, RING, True),
        (Shape.LINEAR, 3, STAR, True),
        (Shape.LINEAR, 4, STAR, False),
        (Shape.ALL, 2, LINE, True),
        (Shape.ALL, 3, LINE, False),
        (Shape.ALL, 3, [(0, 1), (1, 2), (2, 0), (2, 3)], True),
        (Shape.RING, 4, GRID, True),
        (Shape.RING, 5, GRID, False),
        (Shape.LINEAR, 25, GRID, True),
        (((7, 8), (7, 9), (7, 1), (7, 3)), 0, GRID, True),
        (((7, 8), (7, 9), (7, 1), (7, 3), (7, 4)), 0, GRID, False),
        (((0, 1), (2, 3)), 0, [(0, 1), (1, 2)], False),
        (((0, 1), (2, 3)), 0, [(0, 1), (4, 5)], True),
        ((), 0, LINE, True),
    ],
)
def test_a_shape_is_found_where_it_is_and_nowhere_else(
    shape: Shape | tuple[tuple[int, int], ...], qubits: int, pairs: Pairs, fits: bool
) -> None:
    assert embeds(edges_of(shape, qubits), graph(pairs)) is fits


def test_a_search_that_would_take_for_ever_is_given_up() -> None:
    """A ring of odd length in a large grid: there is none, and too many to try."""
    side = 30
    grid = [(side * r + c, side * r + c + 1) for r in range(side) for c in range(side - 1)]
    grid += [(side * r + c, side * (r + 1) + c) for r in range(side - 1) for c in range(side)]
    assert embeds(edges_of(Shape.RING, 41), graph(grid)) is None


def test_a_target_whose_gates_act_everywhere_connects_everything() -> None:
    assert connections(machine(None)) is None
    assert connects(machine(None), edges_of(Shape.ALL, 20))


def test_what_a_target_connects_is_what_its_gates_act_on() -> None:
    assert connects(machine(LINE), edges_of(Shape.LINEAR, 10))
    assert connects(machine(LINE), edges_of(Shape.RING, 10)) is False


def test_a_target_without_any_gate_on_two_qubits_connects_nothing() -> None:
    alone = encode_target(qubits=3, instructions={"sx": {"parameters": 0, "qubits": [[0], [1]]}})
    assert connects(alone, ((0, 1),)) is False
