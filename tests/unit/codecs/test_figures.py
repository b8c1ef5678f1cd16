"""Figures: one number of a result with its error, the same of every part."""

import math
from typing import Any

import pytest

from quanopy.codecs.figures import Figure, Value, settled, value_of
from quanopy.codecs.merging import Merge
from quanopy.domain.errors import Invalid, NotReady

BELL: dict[str, Any] = {
    "shape": [2],
    "shots": 100,
    "registers": [{"name": "a", "bits": 1}, {"name": "b", "bits": 1}],
    "counts": [{"0x0": 60, "0x3": 30, "0x1": 10}, {"0x2": 100}],
}
WIDE = {
    "shape": [],
    "shots": 4,
    "registers": [{"name": "c", "bits": 100}],
    "counts": [{hex(2**99): 3, "0x1": 1}],
}
VALUES = {"shape": [2], "evs": [0.5, -0.5], "stds": [0.1, 0.2], "precision": 0.1}
PHOTONS = {"shape": [], "shots": 10, "native": "perceval", "outcomes": {"|1,0>": 6, "|0,1>": 4}}
WHOLE = Merge.of([[BELL, WIDE, VALUES, PHOTONS]])


def measured(figure: Figure) -> tuple[str, Value | None]:
    known = settled(figure, WHOLE)
    return str(known), value_of(WHOLE, known)


def chance(number: int, total: int) -> Value:
    share = number / total
    return Value(value=share, error=math.sqrt(share * (1 - share) / total))


@pytest.mark.parametrize(
    ("figure", "name", "value"),
    [
        (Figure(), "P(00)[0]", chance(60, 100)),
        (Figure(index=(1,)), "P(10)[1]", chance(100, 100)),
        (Figure(outcome="11"), "P(11)[0]", chance(30, 100)),
        (Figure(outcome="0x1"), "P(01)[0]", chance(10, 100)),
        (Figure(outcome="10"), "P(10)[0]", chance(0, 100)),
        (Figure(observable="ZZ"), "⟨ZZ⟩[0]", Value(value=0.8, error=0.06)),
        (Figure(observable="IZ"), "⟨IZ⟩[0]", Value(value=0.2, error=math.sqrt(0.96) / 10)),
        (Figure(pub=1), f"P(1{'0' * 99}) of pub 1", chance(3, 4)),
        (
            Figure(pub=1, observable="Z" + "I" * 99),
            f"⟨Z{'I' * 99}⟩ of pub 1",
            Value(value=-0.5, error=2 * math.sqrt(3 / 64)),
        ),
        (Figure(pub=2), "value[0] of pub 2", Value(value=0.5, error=0.1)),
        (Figure(pub=2, index=(1,)), "value[1] of pub 2", Value(value=-0.5, error=0.2)),
        (Figure(pub=3), "P(|1,0>) of pub 3", chance(6, 10)),
        (Figure(pub=3, outcome="|0,1>"), "P(|0,1>) of pub 3", chance(4, 10)),
        (Figure(pub=3, outcome="|2,0>"), "P(|2,0>) of pub 3", chance(0, 10)),
    ],
    ids=str,
)
def test_a_figure_is_told_with_its_error(figure: Figure, name: str, value: Value) -> None:
    found_name, found = measured(figure)
    assert found_name == name
    assert found is not None
    assert (found.value, found.error) == pytest.approx((value.value, value.error))


@pytest.mark.parametrize(
    "figure",
    [
        Figure(pub=4),
        Figure(pub=-1),
        Figure(index=()),
        Figure(index=(2,)),
        Figure(outcome="000"),
        Figure(outcome="0x4"),
        Figure(outcome="x"),
        Figure(observable="XX"),
        Figure(observable="Z"),
        Figure(outcome="00", observable="ZZ"),
        Figure(pub=2, outcome="00"),
        Figure(pub=3, observable="Z"),
    ],
    ids=str,
)
def test_what_is_no_figure_of_it_is_refused(figure: Figure) -> None:
    with pytest.raises(Invalid):
        settled(figure, WHOLE)


def test_without_shots_there_is_no_figure() -> None:
    empty = Merge.of([[BELL | {"counts": [{}, {}], "shots": 0}]])
    assert value_of(empty, Figure(index=(0,), outcome="00")) is None
    for whole in (empty, Merge()):
        with pytest.raises(NotReady):
            settled(Figure(), whole)
