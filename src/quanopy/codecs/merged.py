"""One pub's results added up: counts, outcomes of a native program, or expectation values."""

import math
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

from quanopy.codecs.results import PubResult
from quanopy.codecs.tallies import Tally
from quanopy.domain.errors import Invalid, NotReady

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Values = NDArray[np.float64]

MOST_SETS = 10_000_000
MOST_BITS = 1_000_000
_MOST = 2**53
_LONGEST = 60


class Weighting(StrEnum):
    """How much each part weighs in a mean of expectation values."""

    SHOTS = "shots"
    """As its shots, or as those that the precision it aimed at stands for."""
    VARIANCE = "variance"
    """Inversely to the square of its standard error: where errors differ for other reasons than
    shots, as with error mitigation. A value of which some part saw no spread weighs by shots."""
    EQUAL = "equal"
    """As any other."""


class Counts:
    """Counted bitstrings of one pub, of each parameter set."""

    def __init__(self, shape: tuple[int, ...], registers: Sequence[tuple[str, int]]) -> None:
        self.shape = shape
        self.registers = tuple(registers)
        self.bits = sum(bits for _, bits in registers)
        self.shots = 0
        self.tally = Tally(self.bits, math.prod(shape))

    @classmethod
    def of(cls, pub: PubResult) -> Self:
        """One result; raises :class:`Invalid`."""
        found = cls(_shape(pub), _registers(pub))
        found.shots = _whole(pub, "shots")
        counts = _listed(pub, "counts", math.prod(found.shape))
        if not all(isinstance(one, dict | bytes) for one in counts):
            raise Invalid("it holds what is no mapping of outcomes to numbers", where="counts")
        found.tally.add(counts)
        return found

    def blank(self) -> "Counts":
        """None of the same pub."""
        return Counts(self.shape, self.registers)

    def differs(self, other: "Merged") -> str | None:
        """What of the pub is another in ``other``, if anything."""
        if not isinstance(other, Counts):
            return f"{_kind(other)} where the others have {_kind(self)}"
        return _other_shape(self, other) or (
            f"registers {_named(other.registers)} where the others have {_named(self.registers)}"
            if other.registers != self.registers
            else None
        )

    def include(self, other: Self) -> None:
        """Add all of another."""
        self.shots += other.shots
        self.tally.include(other.tally)

    def pub(self, weighting: Weighting) -> PubResult:
        """As one result. Shots weigh as shots: raises :class:`Invalid` for other weights."""
        _refuse_weights(weighting)
        return {
            "shape": list(self.shape),
            "shots": self.shots,
            "registers": [{"name": name, "bits": bits} for name, bits in self.registers],
            "counts": self.tally.counts(),
        }

    def error(self, weighting: Weighting) -> float:
        """The largest standard error of an outcome's probability, and no less than one in all
        shots: what did not come may come yet. Infinite where a parameter set has no shots."""
        import numpy as np

        sets, numbers = self.tally.by_set()
        totals = np.bincount(sets, numbers, minlength=math.prod(self.shape))
        if not totals.all():
            return math.inf
        chances = numbers / totals[sets]
        largest = np.sqrt(chances * (1 - chances) / totals[sets]).max(initial=0.0)
        return float(max(largest, (1 / totals).max(initial=0.0)))


class Outcomes:
    """Counted outcomes of a native program, in the vendor's own words."""

    shape: tuple[int, ...] = ()

    def __init__(self, native: str) -> None:
        self.native = native
        self.shots = 0
        self.numbers: Counter[str] = Counter()

    @classmethod
    def of(cls, pub: PubResult) -> Self:
        """One result; raises :class:`Invalid`."""
        native, outcomes = pub.get("native"), pub["outcomes"]
        if not isinstance(native, str):
            raise Invalid("it does not say of what format it is", where="native")
        if not isinstance(outcomes, dict):
            raise Invalid("they are no mapping of outcomes to numbers", where="outcomes")
        found = cls(native)
        found.shots = _whole(pub, "shots")
        found.numbers.update({label: _whole(outcomes, label) for label in outcomes})
        return found

    def blank(self) -> "Outcomes":
        """None of the same program."""
        return Outcomes(self.native)

    def differs(self, other: "Merged") -> str | None:
        """What is another in ``other``, if anything."""
        if not isinstance(other, Outcomes):
            return f"{_kind(other)} where the others have {_kind(self)}"
        if other.native != self.native:
            return f"a program of {other.native[:_LONGEST]!r} where the others' are {self.native!r}"
        return None

    def include(self, other: Self) -> None:
        """Add all of another."""
        self.shots += other.shots
        self.numbers.update(other.numbers)

    def pub(self, weighting: Weighting) -> PubResult:
        """As one result. Shots weigh as shots: raises :class:`Invalid` for other weights."""
        _refuse_weights(weighting)
        numbers = dict(self.numbers)
        return {"shape": [], "shots": self.shots, "native": self.native, "outcomes": numbers}

    def error(self, weighting: Weighting) -> float:
        """The largest standard error of an outcome's probability, and no less than one in all
        that came; infinite where none did."""
        total = self.numbers.total()
        if not total:
            return math.inf
        spread = max(number * (total - number) for number in self.numbers.values())
        return max(math.sqrt(spread / total), 1) / total


class Estimates:
    """Expectation values of one pub."""

    shots = 0

    def __init__(self, shape: tuple[int, ...], exact: bool) -> None:
        import numpy as np

        self.shape = shape
        self.exact = exact
        """Whether they are free of shot noise; such are not averaged with others."""
        size = math.prod(shape)
        self.sums = {weighting: np.zeros((3, size)) for weighting in Weighting}
        """Of each value: sums of weights, of weighted values, of squared weighted errors."""
        self.no_spread = np.zeros(size, bool)
        """Values of which some part claims no error, which can therefore not weigh by it."""
        self.worth = 0.0
        """Sum of inverse squares of the precisions that were aimed at."""

    @classmethod
    def of(cls, pub: PubResult) -> Self:
        """One result; raises :class:`Invalid`."""
        import numpy as np

        shape, precision = _shape(pub), pub.get("precision") or 0.0
        evs, stds = (_finite(pub, name, math.prod(shape)) for name in ("evs", "stds"))
        if not isinstance(precision, int | float) or not 0 <= precision < math.inf:
            raise Invalid(f"{precision!r} is no precision", where="precision")
        if (stds < 0).any():
            raise Invalid("a standard error is negative", where="stds")
        found = cls(shape, exact=not precision and not stds.any())
        found.no_spread = stds == 0
        found.worth = 1 / precision**2 if precision else 0.0
        shots = _whole(pub, "shots") if "shots" in pub else 0
        with np.errstate(divide="ignore"):
            weights = {
                Weighting.SHOTS: np.full(evs.shape, shots or found.worth or 1.0),
                Weighting.VARIANCE: np.where(stds > 0, stds**-2.0, 0.0),
                Weighting.EQUAL: np.ones(evs.shape),
            }
        for weighting, weight in weights.items():
            found.sums[weighting] = np.stack([weight, weight * evs, (weight * stds) ** 2])
        return found

    def blank(self) -> "Estimates":
        """None of the same pub."""
        return Estimates(self.shape, self.exact)

    def differs(self, other: "Merged") -> str | None:
        """What of the pub is another in ``other``, if anything."""
        if not isinstance(other, Estimates):
            return f"{_kind(other)} where the others have {_kind(self)}"
        words = {True: "exact values", False: "values with errors"}
        return _other_shape(self, other) or (
            f"{words[other.exact]} where the others have {words[self.exact]}"
            if other.exact is not self.exact
            else None
        )

    def include(self, other: Self) -> None:
        """Add all of another."""
        for weighting, sums in other.sums.items():
            self.sums[weighting] = self.sums[weighting] + sums
        self.no_spread = self.no_spread | other.no_spread
        self.worth += other.worth

    def rest(self, other: "Estimates") -> "Estimates":
        """What is left without another that is in it."""
        left = self.blank()
        left.sums = {one: sums - other.sums[one] for one, sums in self.sums.items()}
        left.no_spread = self.no_spread
        left.worth = self.worth - other.worth
        return left

    def values(self, weighting: Weighting) -> "tuple[Values, Values]":
        """Mean and standard error of each value, in C order."""
        import numpy as np

        by_shots, chosen = self.sums[Weighting.SHOTS], self.sums[weighting]
        if weighting is Weighting.VARIANCE:
            chosen = np.where(self.no_spread, by_shots, chosen)
        weight, weighted, squares = chosen
        return weighted / weight, np.sqrt(np.maximum(squares, 0.0)) / weight

    def pub(self, weighting: Weighting) -> PubResult:
        """As one result."""
        means, errors = self.values(weighting)
        return {
            "shape": list(self.shape),
            "evs": means.tolist(),
            "stds": errors.tolist(),
            "precision": 1 / math.sqrt(self.worth) if self.worth else 0.0,
        }

    def error(self, weighting: Weighting) -> float:
        """The largest standard error; of values that are not exact, no less than one in as many
        shots as their precision stands for: they may claim none because they saw no spread."""
        least = 1 / self.worth if self.worth else 0.0
        return float(max(self.values(weighting)[1].max(initial=0.0), least))


Merged = Counts | Outcomes | Estimates


def read(pub: PubResult | None) -> Merged:
    """One pub's result, to be added to.

    Raises:
        NotReady: there is none.
        Invalid: it is none; ``where`` says what of it.
    """
    if pub is None:
        raise NotReady("it has no result")
    if not isinstance(pub, dict):
        raise Invalid("it is no result")
    if "outcomes" in pub:
        return Outcomes.of(pub)
    if "counts" in pub:
        return Counts.of(pub)
    if "evs" in pub:
        return Estimates.of(pub)
    raise Invalid("it has neither counts, nor outcomes, nor expectation values")


def _refuse_weights(weighting: Weighting) -> None:
    if weighting is not Weighting.SHOTS:
        raise Invalid(
            f"counts cannot be weighed by {weighting.value}",
            where="weights",
            hint="They are added: every shot weighs the same.",
        )


def _kind(one: Merged) -> str:
    names = {Counts: "counts", Outcomes: "a native program's outcomes"}
    return names.get(type(one), "expectation values")


def _other_shape(one: Merged, other: Merged) -> str | None:
    if other.shape == one.shape:
        return None
    return f"shape {other.shape} where the others have {one.shape}"


def _named(registers: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{name[:_LONGEST]}[{bits}]" for name, bits in registers) or "none"


def _shape(pub: PubResult) -> tuple[int, ...]:
    shape = pub.get("shape", [])
    good = isinstance(shape, list | tuple) and all(type(n) is int and n >= 0 for n in shape)
    if not good or math.prod(shape) > MOST_SETS:
        raise Invalid(f"{str(shape)[:_LONGEST]} is no shape", where="shape")
    return tuple(shape)


def _registers(pub: PubResult) -> list[tuple[str, int]]:
    registers = pub.get("registers")
    try:
        found = [(one["name"], one["bits"]) for one in registers or ()]
    except (TypeError, KeyError, IndexError):
        found = [("", -1)]
    if not all(isinstance(name, str) and type(bits) is int for name, bits in found) or not (
        all(bits >= 0 for _, bits in found) and sum(bits for _, bits in found) <= MOST_BITS
    ):
        raise Invalid(f"{str(registers)[:_LONGEST]} are no registers", where="registers")
    return found


def _listed(pub: PubResult, name: str, length: int) -> list[Any]:
    found = pub.get(name)
    if not isinstance(found, list) or len(found) != length:
        raise Invalid(f"it is no list of {length}, as the shape has it", where=name)
    return found


def _whole(numbers: PubResult, name: str) -> int:
    number = numbers.get(name)
    if type(number) is not int or not 0 <= number < _MOST:
        raise Invalid(f"{str(number)[:_LONGEST]} is no number of shots", where=name[:_LONGEST])
    return number


def _finite(pub: PubResult, name: str, length: int) -> "Values":
    import numpy as np

    listed = _listed(pub, name, length)
    if not all(one is None or type(one) in (int, float) for one in listed):
        raise Invalid("it holds what is no number", where=name)
    values = np.array(listed, dtype=np.float64)  # null stands for NaN
    if not np.isfinite(values).all():
        place = int(np.flatnonzero(~np.isfinite(values))[0])
        raise Invalid(
            f"it holds {values[place]}, which no mean is to be had of", where=f"{name}[{place}]"
        )
    return values
