"""Merging: what many jobs gave is what one would have given, and what does not fit is refused."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quanopy.codecs import tallies
from quanopy.codecs.merging import Merge, Weighting
from quanopy.codecs.results import decode_result, encode_result, merge_shots
from quanopy.domain.errors import Invalid, NotReady

WIDTHS = [1, 20, 30, 63, 64, 65, 130]


def counts(*each: dict[str, int], bits: int = 2, shape: list[int] | None = None) -> dict[str, Any]:
    return {
        "shape": ([] if len(each) == 1 else [len(each)]) if shape is None else shape,
        "shots": sum(each[0].values()) if each else 0,
        "registers": [{"name": "c", "bits": bits}],
        "counts": list(each),
    }


def values(
    evs: list[Any], stds: list[Any], precision: Any = 0.1, shape: list[int] | None = None
) -> dict[str, Any]:
    shape = [len(evs)] if shape is None else shape
    return {"shape": shape, "evs": evs, "stds": stds, "precision": precision}


def native(outcomes: dict[str, Any], shots: int = 10, of: str = "perceval") -> dict[str, Any]:
    return {"shape": [], "shots": shots, "native": of, "outcomes": outcomes}


# -- counts -----------------------------------------------------------------------------------
@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("sets", [1, 3])
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_counts_are_added_as_one_by_one(bits: int, sets: int, data: st.DataObject) -> None:
    outcomes = st.integers(0, 2**bits - 1).map(hex)
    of_set = st.dictionaries(outcomes, st.integers(0, 1000), max_size=20)
    drawn = data.draw(st.lists(st.lists(of_set, min_size=sets, max_size=sets), min_size=1))
    parts = [counts(*one, bits=bits, shape=[sets]) for one in drawn]
    merged = Merge.of([part] for part in parts)
    assert merged.result() == [merge_shots(parts)]
    assert merged.shots == sum(part["shots"] for part in parts)


@pytest.mark.parametrize("bits", WIDTHS)
def test_what_waits_is_added_when_it_is_much(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tallies, "_WAITING", 8)
    rng = np.random.default_rng(bits)
    parts = [
        counts({hex(int.from_bytes(rng.bytes(17)) % 2 ** min(bits, 5)): 1, "0x1": 2}, bits=bits)
        for _ in range(100)
    ]
    merge = Merge()
    for part in parts:
        merge.add([part])
    assert merge.result() == [merge_shots(parts)]
    assert sum(merge.result()[0]["counts"][0].values()) == sum(
        sum(part["counts"][0].values()) for part in parts
    )


def test_merges_are_merged_and_stay_as_they_were() -> None:
    one, other = Merge.of([[counts({"0x0": 1})]]), Merge.of([[counts({"0x0": 2, "0x3": 1})]] * 2)
    both = Merge()
    both.include(one)
    both.include(other)
    both.add([counts({"0x2": 1})])
    assert both.parts == 4
    assert both.result()[0]["counts"] == [{"0x0": 5, "0x2": 1, "0x3": 2}]
    assert one.result()[0]["counts"] == [{"0x0": 1}]
    assert other.result()[0]["counts"] == [{"0x0": 4, "0x3": 2}]


def test_the_precision_of_counts_is_that_of_the_least_sure_outcome() -> None:
    merge = Merge.of([[counts({"0x0": 50, "0x1": 50})], [counts({"0x0": 90, "0x3": 10})]])
    probability = 140 / 200
    assert merge.precision() == pytest.approx(math.sqrt(probability * (1 - probability) / 200))


def test_what_did_not_come_may_come_yet() -> None:
    assert Merge.of([[counts({"0x0": 500})]] * 2).precision() == pytest.approx(1e-3)
    assert Merge.of([[native({"|1,0>": 10})]] * 10).precision() == pytest.approx(1e-2)
    assert Merge.of([[values([1.0], [0.0], 0.1)]] * 10).precision() == pytest.approx(1e-3)


def test_without_shots_nothing_is_precise() -> None:
    assert Merge.of([[counts({"0x0": 5}, {})]]).precision() == math.inf
    assert Merge.of([[native({}, shots=10)]]).precision() == math.inf


def test_a_result_is_one_that_is_read_as_any_other() -> None:
    pubs = [counts({"0x0": 3}), values([0.5], [0.1]), native({"|1,0>": 3})]
    merged = Merge.of([pubs, pubs]).result()
    assert decode_result(encode_result(merged)) == merged


# -- expectation values -----------------------------------------------------------------------
def test_values_of_equal_shots_are_averaged() -> None:
    merge = Merge.of([[values([0.1, 1.0], [0.2, 0.1])], [values([0.3, 0.0], [0.1, 0.1])]])
    (pub,) = merge.result()
    assert pub["evs"] == pytest.approx([0.2, 0.5])
    assert pub["stds"] == pytest.approx([math.hypot(0.2, 0.1) / 2, 0.1 / math.sqrt(2)])
    assert pub["precision"] == pytest.approx(0.1 / math.sqrt(2))
    assert merge.precision() == pytest.approx(math.hypot(0.2, 0.1) / 2)


def test_twice_the_precision_weighs_four_times_as_much() -> None:
    merge = Merge.of([[values([0.0], [0.2], 0.2)], [values([1.0], [0.1], 0.1)]])
    assert merge.result()[0]["evs"] == pytest.approx([0.8])
    assert merge.result(Weighting.EQUAL)[0]["evs"] == pytest.approx([0.5])


def test_by_variance_the_sure_weigh_more() -> None:
    merge = Merge.of([[values([0.0], [0.3])], [values([1.0], [0.1])]])
    (pub,) = merge.result(Weighting.VARIANCE)
    assert pub["evs"] == pytest.approx([0.9])
    assert pub["stds"] == pytest.approx([1 / math.sqrt(1 / 0.09 + 1 / 0.01)])


def test_a_part_that_saw_no_spread_has_not_all_the_weight() -> None:
    merge = Merge.of([[values([1.0, 0.5], [0.0, 0.1])], [values([0.9, 0.5], [0.1, 0.2])]])
    (pub,) = merge.result(Weighting.VARIANCE)
    assert pub["evs"] == pytest.approx([0.95, 0.5])
    assert pub["stds"][0] == pytest.approx(0.05)


def test_exact_values_stay_exact() -> None:
    merge = Merge.of([[values([0.25], [0.0], 0.0)]] * 3)
    assert merge.result(Weighting.VARIANCE) == [values([0.25], [0.0], 0.0)]
    assert merge.precision() == 0.0


def test_weights_by_variance_pull_outwards_and_shots_do_not() -> None:
    # 1,000 parts of 1,000 shots of a value of 0.9: the mean of all is sure to 0.0004.
    rng = np.random.default_rng(5)
    evs = 2 * rng.binomial(1000, 0.95, size=1000) / 1000 - 1
    parts = [[values([ev], [math.sqrt((1 - ev * ev) / 1000)])] for ev in evs.tolist()]
    merge = Merge.of(parts)
    (by_shots,), (by_variance,) = merge.result(), merge.result(Weighting.VARIANCE)
    assert abs(by_shots["evs"][0] - 0.9) < 2 * by_shots["stds"][0]
    assert by_variance["evs"][0] - 0.9 > 3 * by_variance["stds"][0]


@pytest.mark.parametrize("bad", [None, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["evs", "stds"])
def test_what_is_no_number_is_refused_by_its_place(bad: Any, name: str) -> None:
    pub = values([0.1, 0.2], [0.1, 0.1]) | {name: [0.5, bad]}
    merge = Merge.of([[values([0.1, 0.2], [0.1, 0.1])]])
    with pytest.raises(Invalid, match=r"nan|inf") as refused:
        merge.add([pub])
    assert refused.value.where == f"pubs[0].{name}[1]"
    assert merge.parts == 1


# -- native programs --------------------------------------------------------------------------
def test_outcomes_of_photons_are_added() -> None:
    merge = Merge.of([[native({"|1,0>": 6, "|0,1>": 4})], [native({"|1,0>": 10})]])
    assert merge.result() == [native({"|1,0>": 16, "|0,1>": 4}, shots=20)]
    assert merge.precision() == pytest.approx(math.sqrt(0.8 * 0.2 / 20))


# -- what does not fit ------------------------------------------------------------------------
KNOWN = [counts({"0x0": 1}), values([0.5], [0.1]), native({"a": 1})]
OTHERS = [
    (0, counts({"0x0": 1}, {"0x0": 1}), r"shape \(2,\) where the others have \(\)"),
    (0, counts({"0x0": 1}, bits=3), r"registers c\[3\] where the others have c\[2\]"),
    (0, values([0.5], [0.1]), "expectation values where the others have counts"),
    (1, values([0.5], [0.0], 0.0), "exact values where the others have values with errors"),
    (1, values([0.5, 0.5], [0.1, 0.1]), r"shape \(2,\) where"),
    (1, native({"a": 1}), "a native program's outcomes where the others have expectation"),
    (2, native({"a": 1}, of="pulser"), "a program of 'pulser' where the others' are 'perceval'"),
    (2, counts({"0x0": 1}), "counts where"),
]


@pytest.mark.parametrize(("place", "pub", "says"), OTHERS)
def test_what_is_of_another_pub_is_refused_saying_what_differs(
    place: int, pub: dict[str, Any], says: str
) -> None:
    merge = Merge.of([KNOWN])
    before = merge.result()
    with pytest.raises(Invalid, match=says) as refused:
        merge.add([pub if index == place else one for index, one in enumerate(KNOWN)])
    assert refused.value.where == f"pubs[{place}]"
    assert merge.result() == before


def test_another_number_of_pubs_is_refused() -> None:
    with pytest.raises(Invalid, match="1 pubs where the others have 3"):
        Merge.of([KNOWN, KNOWN[:1]])


def test_nothing_has_no_result_yet() -> None:
    for ask in (Merge().result, Merge().precision):
        with pytest.raises(NotReady):
            ask()
    with pytest.raises(NotReady) as refused:
        Merge.of([[KNOWN[0], None, KNOWN[2]]])
    assert refused.value.where == "pubs[1]"


@pytest.mark.parametrize("weights", [Weighting.VARIANCE, Weighting.EQUAL])
@pytest.mark.parametrize("pub", [KNOWN[0], KNOWN[2]])
def test_counts_weigh_by_their_shots_alone(weights: Weighting, pub: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match="cannot be weighed"):
        Merge.of([[pub]]).result(weights)


@pytest.mark.parametrize(
    "pub",
    [
        {},
        counts({"0x4": 1}),
        counts({"4": 1}),
        counts({"0x": 1}),
        counts({"0xg": 1}),
        counts({"0x1 0x2": 1}),
        counts({"0x1\u00e9": 1}),
        counts({"0x" + "1" * 17: 1}),
        counts({hex(2**130): 1}, bits=130),
        counts({"0x1": 1}) | {"counts": [{"0x1": -1}]},
        counts({"0x1": 1}) | {"counts": [{"0x1": 1.5}]},
        counts({"0x1": 1}) | {"counts": [{"0x1": 2**70}]},
        counts({"0x1": 1}) | {"counts": [{"0x1": None}]},
        counts({"0x1": 1}) | {"counts": [{"0x1": [1], "0x2": [1, 2]}]},
        counts({"0x1": 1}) | {"counts": [[1]]},
        counts({"0x1": 1}) | {"counts": []},
        counts({"0x1": 1}) | {"registers": [{"name": "c", "bits": -1}]},
        counts({"0x1": 1}) | {"registers": [3]},
        counts({"0x1": 1}) | {"shape": [-1]},
        counts({"0x1": 1}) | {"shape": [10**6, 10**6]},
        counts({"0x1": 1}) | {"shots": True},
        values([0.1], [-0.1]),
        values(["0.1"], [0.1]),
        values([0.1], [0.1], math.inf),
        values([0.1], [0.1, 0.2]),
        native({"a": 0.5}),
        native({"a": -1}),
        native({"a": 1}) | {"native": None},
        native({"a": 1}) | {"outcomes": [1]},
    ],
)
def test_what_is_no_result_is_refused(pub: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as refused:
        Merge.of([[pub]])
    assert str(refused.value.where).startswith("pubs[0]")
