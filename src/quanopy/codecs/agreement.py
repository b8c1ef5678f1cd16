"""Whether a part of what was measured agrees with the rest of it, in standard deviations.

Of expectation values the one that differs most is looked at. Of counts: the whole distribution, by
a chi-square test of two samples in which outcomes that are too rare stand together, and each bit
alone, which tells a drift that is spread over outcomes all of which are rare. Looking at so many
numbers is paid for by Bonferroni's correction, which holds however they hang together.
"""

import math
from collections import Counter
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

from quanopy.codecs.merged import Counts, Estimates, Merged, Outcomes, Weighting
from quanopy.codecs.merging import Merge
from quanopy.codecs.tallies import aligned

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_FEWEST = 5
"""Expected counts of an outcome, at least, for it to be looked at by itself."""
_NOISE = 1e-9
"""Exact values that differ by less are the same."""
_LEAST_LOG = -600.0
"""Logarithm of the smallest probability that is turned into standard deviations exactly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """How far a part is from the rest."""

    sigma: float
    """As a normal variable's standard deviations; infinite for exact values that differ."""
    pub: int
    """The pub that differs most."""


def deviation(part: Merge, whole: Merge) -> Deviation | None:
    """How far a part is from the rest of the whole that it is in; ``None`` where there is no
    rest, or too little was measured to tell."""
    if not 0 < part.parts < whole.parts:
        return None
    found = [
        (log_chance, index)
        for index, (own, all_) in enumerate(zip(part.pubs, whole.pubs, strict=True))
        if (log_chance := _log_chance(own, all_)) is not None
    ]
    if not found:
        return None
    log_chance, pub = min(found)
    return Deviation(sigma=_sigma(log_chance + math.log(len(found))), pub=pub)


def _log_chance(part: Merged, whole: Merged) -> float | None:
    """Logarithm of the probability that chance alone has the part differ so much."""
    if isinstance(part, Estimates) and isinstance(whole, Estimates):
        return _of_values(part, whole.rest(part))
    if isinstance(part, Counts) and isinstance(whole, Counts):
        return _of_counts(part, whole)
    if isinstance(part, Outcomes) and isinstance(whole, Outcomes):
        return _of_outcomes(part.numbers, whole.numbers)
    return None


def _of_values(part: Estimates, rest: Estimates) -> float | None:
    import numpy as np

    (mean, error), (others, their_error) = (one.values(Weighting.SHOTS) for one in (part, rest))
    if not mean.size:
        return None
    away, spread = np.abs(mean - others), np.hypot(error, their_error)
    if (away[spread == 0] > _NOISE).any():
        return -math.inf
    known = spread > 0
    most = float((away[known] / spread[known]).max(initial=0.0))
    return _log_two_sided(most) + math.log(mean.size)


def _of_counts(part: Counts, whole: Counts) -> float | None:
    import numpy as np

    rows, columns = aligned(part.tally, whole.tally)
    sets = whole.tally.sets_of(rows)
    own, rest = columns[:, 0].astype(float), (columns[:, 1] - columns[:, 0]).astype(float)
    tests = _chi_square(own, rest, sets, whole.tally.sets)
    ones, totals = part.tally.ones()
    all_ones, all_totals = whole.tally.ones()
    for on, all_on in zip(ones, all_ones, strict=True):
        mine = np.concatenate([on, totals - on])
        everyones = np.concatenate([all_on, all_totals - all_on])
        places = np.tile(np.arange(len(on)), 2)
        tests += _chi_square(mine, everyones - mine, places, len(on))
    return _least(tests)


def _of_outcomes(part: Counter[str], whole: Counter[str]) -> float | None:
    import numpy as np

    own = np.array([part[label] for label in whole], dtype=float)
    rest = np.array([whole[label] for label in whole], dtype=float) - own
    return _least(_chi_square(own, rest, np.zeros(len(own), np.intp), 1))


def _chi_square(
    own: "Array", rest: "Array", sets: "NDArray[np.intp]", many: int
) -> list[tuple[float, int]]:
    """Chi-square and degrees of freedom of each parameter set that tells anything."""
    import numpy as np

    def by_set(numbers: "Array") -> "Array":
        return np.bincount(sets, numbers, minlength=many).astype(np.float64)

    shares = by_set(own) / np.maximum(by_set(own + rest), 1)
    fewest = np.minimum(shares, 1 - shares)
    often = (own + rest) * fewest[sets] >= _FEWEST
    square = np.zeros(many)
    cells = by_set(often.astype(float))
    square += by_set(np.where(often, _cell(own, rest, shares[sets]), 0.0))
    rare, rare_rest = (by_set(np.where(often, 0.0, numbers)) for numbers in (own, rest))
    pooled = (rare + rare_rest) * fewest >= _FEWEST
    cells += pooled
    square += np.where(pooled, _cell(rare, rare_rest, shares), 0.0)
    return [
        (float(one), int(freedom) - 1)
        for one, freedom in zip(square, cells, strict=True)
        if freedom > 1
    ]


def _cell(own: "Array", rest: "Array", share: "Array") -> "Array":
    """What an outcome adds to chi-square, where a share of its counts is expected in the part."""
    import numpy as np

    expected = (own + rest) * share
    off = own - expected
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(off == 0, 0.0, off**2 / expected + off**2 / (own + rest - expected))


def _least(tests: list[tuple[float, int]]) -> float | None:
    if not tests:
        return None
    return min(_log_chi_square(*test) for test in tests) + math.log(len(tests))


def _log_chi_square(square: float, freedom: int) -> float:
    """Logarithm of the probability of a larger chi-square (Wilson and Hilferty's, 1931)."""
    if freedom == 1:
        return _log_two_sided(math.sqrt(square))
    spread = 2 / (9 * freedom)
    return _log_above((math.cbrt(square / freedom) - 1 + spread) / math.sqrt(spread))


def _log_above(sigma: float) -> float:
    """Logarithm of the probability that a normal variable is above so many deviations."""
    if sigma < 30:
        return math.log(math.erfc(sigma / math.sqrt(2)) / 2)
    return -(sigma**2) / 2 - math.log(sigma * math.sqrt(2 * math.pi))


def _log_two_sided(sigma: float) -> float:
    return _log_above(sigma) + math.log(2)


def _sigma(log_chance: float) -> float:
    """How many deviations to either side have this probability."""
    if log_chance == -math.inf:
        return math.inf
    half = min(log_chance, 0.0) - math.log(2)
    if half > _LEAST_LOG:
        return max(0.0, -NormalDist().inv_cdf(math.exp(half)))
    sigma = math.sqrt(-2 * half)
    for _ in range(4):
        sigma = math.sqrt(-2 * (half + math.log(sigma * math.sqrt(2 * math.pi))))
    return sigma
