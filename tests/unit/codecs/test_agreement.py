"""Agreement: chance alone seldom deviates by much, and a drift is told by its size."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from quanopy.codecs.agreement import deviation
from quanopy.codecs.merging import Merge


def counts(rng: np.random.Generator, chances: Sequence[float], shots: int, bits: int) -> Any:
    outcomes = rng.choice(len(chances), shots, p=chances)
    keys, numbers = np.unique(outcomes, return_counts=True)
    return {
        "shape": [],
        "shots": shots,
        "registers": [{"name": "c", "bits": bits}],
        "counts": [dict(zip(map(hex, keys.tolist()), numbers.tolist(), strict=True))],
    }


def wide(rng: np.random.Generator, shots: int, tilt: float = 0.5) -> Any:
    """40 bits of which the lowest is 1 with some probability; no outcome comes twice."""
    outcomes = rng.integers(0, 2**39, shots) * 2 + (rng.random(shots) < tilt)
    return {
        "shape": [],
        "shots": shots,
        "registers": [{"name": "c", "bits": 40}],
        "counts": [dict.fromkeys(map(hex, outcomes.tolist()), 1)],
    }


def estimate(evs: Sequence[float], std: float) -> Any:
    return {"shape": [len(evs)], "evs": [*evs], "stds": [std] * len(evs), "precision": std}


def sigmas(pubs: Sequence[Any]) -> list[float]:
    parts = [Merge.of([[pub]]) for pub in pubs]
    whole = Merge()
    for part in parts:
        whole.include(part)
    found = [deviation(part, whole) for part in parts]
    return [one.sigma for one in found if one is not None]


def test_a_single_value_deviates_by_its_z_score() -> None:
    # The rest are three of 0.1: 0.5 away by hypot(0.1, 0.1 / sqrt(3)).
    found = sigmas([estimate([0.0], 0.1)] * 3 + [estimate([0.5], 0.1)])
    assert found[-1] == pytest.approx(0.5 / math.hypot(0.1, 0.1 / math.sqrt(3)))


def test_the_more_values_are_looked_at_the_less_one_says() -> None:
    alone = sigmas([estimate([0.0], 0.1), estimate([0.4], 0.1)])
    among = sigmas([estimate([0.0] * 100, 0.1), estimate([0.4] + [0.0] * 99, 0.1)])
    assert 0 < among[0] < alone[0]


def test_values_far_away_are_told_apart() -> None:
    near, far = (sigmas([estimate([0.0], 1e-3), estimate([away], 1e-3)]) for away in (0.1, 0.2))
    assert near[0] == pytest.approx(0.1 / 1e-3 / math.sqrt(2), rel=1e-6)
    assert far[0] == pytest.approx(2 * near[0], rel=1e-3)


def test_exact_values_agree_or_do_not() -> None:
    assert sigmas([estimate([0.5], 0.0)] * 2) == [0.0, 0.0]
    assert sigmas([estimate([0.5], 0.0), estimate([0.25], 0.0)]) == [math.inf] * 2


@pytest.mark.parametrize("bits", [1, 3, 8, 16])
def test_chance_alone_seldom_deviates(bits: int) -> None:
    rng = np.random.default_rng(bits)
    chances = rng.dirichlet(np.ones(2**bits)).tolist()
    found = sigmas([counts(rng, chances, 2000, bits) for _ in range(100)])
    assert len(found) == 100
    assert sum(one > 2 for one in found) < 0.1 * len(found)
    assert max(found) < 4.5


def test_chance_alone_spreads_one_bit_as_it_should() -> None:
    rng = np.random.default_rng(2)
    found = sigmas([counts(rng, [0.3, 0.7], 1000, 1) for _ in range(400)])
    # The distribution and its one bit are the same test twice.
    assert 0.01 < np.mean(np.array(found) > 2) < 0.05


def test_a_drift_of_the_distribution_is_seen() -> None:
    rng = np.random.default_rng(3)
    same = [counts(rng, [0.5, 0.0, 0.0, 0.5], 10_000, 2) for _ in range(4)]
    drifted = counts(rng, [0.47, 0.03, 0.03, 0.47], 10_000, 2)
    *others, last = sigmas([*same, drifted])
    assert last > 10
    assert max(others) < last


def test_a_drift_is_seen_where_every_outcome_is_rare() -> None:
    rng = np.random.default_rng(4)
    *_, last = sigmas([*(wide(rng, 10_000) for _ in range(4)), wide(rng, 10_000, 0.55)])
    assert last > 5
    assert sigmas([wide(rng, 10_000) for _ in range(5)])[-1] < 4


def test_parameter_sets_are_compared_each_by_itself() -> None:
    rng = np.random.default_rng(6)

    def swept(second: float) -> Any:
        each = [counts(rng, [1 - p, p], 5000, 1)["counts"][0] for p in (0.2, second)]
        return {
            "shape": [2],
            "shots": 5000,
            "registers": [{"name": "c", "bits": 1}],
            "counts": each,
        }

    assert max(sigmas([swept(0.8), swept(0.8), swept(0.8)])) < 3.5
    assert sigmas([swept(0.8), swept(0.8), swept(0.7)])[-1] > 8


def test_photonic_outcomes_are_compared() -> None:
    def photons(one: int, other: int) -> Any:
        outcomes = {"|1,0>": one, "|0,1>": other}
        return {"shape": [], "shots": one + other, "native": "perceval", "outcomes": outcomes}

    agree, differ = (
        sigmas([photons(500, 500), photons(500, 500), photons(n, 1000 - n)]) for n in (510, 600)
    )
    assert agree[-1] < 1
    assert differ[-1] > 5


def test_what_stands_alone_or_has_too_little_says_nothing() -> None:
    rng = np.random.default_rng(0)
    assert sigmas([estimate([0.5], 0.1)]) == []
    assert sigmas([counts(rng, [0.5, 0.5], 2, 1) for _ in range(2)]) == []
