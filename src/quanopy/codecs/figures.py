"""Figures: one number of a result, with its standard error, to be followed over many results."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from quanopy.codecs.merged import Counts, Estimates, Outcomes, Weighting
from quanopy.codecs.merging import Merge
from quanopy.codecs.places import place_of
from quanopy.domain.errors import Invalid, NotReady

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Values = NDArray[np.float64]

_HEX = re.compile(r"0x[0-9a-fA-F]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A number and its standard error."""

    value: float
    error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """Which number of a result: an expectation value, or of counts the probability of an
    ``outcome`` or the expectation of an ``observable``."""

    pub: int = 0
    index: tuple[int, ...] | None = None
    """Index into the pub's shape; ``None`` is the first."""
    outcome: str | None = None
    """A bitstring, a hexadecimal number, or a native program's own word. Where neither is given:
    the one that came most often."""
    observable: str | None = None
    """Of counts: ``Z`` and ``I``, a letter a bit, the last for the lowest."""

    def __str__(self) -> str:
        what = f"P({self.outcome})" if self.outcome else "value"
        what = f"⟨{self.observable}⟩" if self.observable else what
        where = f"{list(self.index)}" if self.index else ""
        return f"{what}{where}{f' of pub {self.pub}' if self.pub else ''}"


def settled(figure: Figure, whole: Merge) -> Figure:
    """The figure with all said that is left open, as the whole has it.

    Raises:
        Invalid: there is no such pub, index or outcome, or it cannot be asked of this kind.
        NotReady: there is nothing to ask it of.
    """
    if not whole.parts:
        raise NotReady("there is no result yet")
    if not 0 <= figure.pub < len(whole.pubs):
        raise Invalid(f"there is no pub {figure.pub}", where="figure", hint="They count from 0.")
    pub = whole.pubs[figure.pub]
    figure = replace(figure, index=_index(figure.index, pub.shape))
    if isinstance(pub, Estimates):
        if figure.outcome or figure.observable:
            raise Invalid(
                "expectation values have no outcomes", where="figure", hint="Say their index."
            )
        return figure
    if figure.outcome and figure.observable:
        raise Invalid("it is an outcome or an observable, not both", where="figure")
    if figure.observable is not None:
        _mask(figure.observable, pub)
    elif figure.outcome is None:
        figure = replace(figure, outcome=_commonest(pub, figure.index or ()))
    elif isinstance(pub, Counts):
        figure = replace(figure, outcome=format(_number(figure.outcome, pub), f"0{pub.bits}b"))
    return figure


def value_of(merge: Merge, figure: Figure, weights: Weighting = Weighting.SHOTS) -> Value | None:
    """A figure that is :func:`settled`, of a result; ``None`` where it has no shots."""
    import numpy as np

    place = place_of(figure.index or (), merge.pubs[figure.pub].shape)
    values, errors = (array[place] for array in values_of(merge, figure, weights))
    return None if np.isnan(values) else Value(value=float(values), error=float(errors))


def values_of(
    merge: Merge, figure: Figure, weights: Weighting = Weighting.SHOTS
) -> "tuple[Values, Values]":
    """The same figure at every index of its pub, in C order, and the standard errors; NaN where
    there are no shots."""
    pub = merge.pubs[figure.pub]
    if isinstance(pub, Estimates):
        return pub.values(weights)
    if isinstance(pub, Outcomes):
        return _probabilities(pub.numbers[figure.outcome or ""], pub.numbers.total())
    if figure.observable is None:
        return _probabilities(*pub.tally.count(_number(figure.outcome or "", pub)))
    chances, errors = _probabilities(*pub.tally.odd(_mask(figure.observable, pub)))
    return 1 - 2 * chances, 2 * errors


def _probabilities(numbers: Any, totals: Any) -> "tuple[Values, Values]":
    import numpy as np

    totals = np.atleast_1d(np.asarray(totals, dtype=np.float64))
    with np.errstate(invalid="ignore"):
        chances = np.atleast_1d(numbers) / totals
        return chances, np.sqrt(chances * (1 - chances) / totals)


def _index(index: Sequence[int] | None, shape: Sequence[int]) -> tuple[int, ...]:
    if index is None:
        index = (0,) * len(shape)
    place_of(index, shape, where="figure")
    return tuple(index)


def _commonest(pub: Counts | Outcomes, index: Sequence[int]) -> str:
    if isinstance(pub, Outcomes):
        found = max(pub.numbers, key=pub.numbers.__getitem__, default=None)
    else:
        outcome = pub.tally.commonest(place_of(index, pub.shape))
        found = None if outcome is None else format(outcome, f"0{pub.bits}b")
    if found is None:
        raise NotReady("there are no shots yet")
    return found


def _number(outcome: str, pub: Counts) -> int:
    if _HEX.fullmatch(outcome) and (number := int(outcome, 16)) >> pub.bits == 0:
        return number
    bits = outcome.replace(" ", "")
    if len(bits) != pub.bits or set(bits) - {"0", "1"}:
        raise Invalid(
            f"{outcome[:60]!r} is no outcome of {pub.bits} bits",
            where="outcome",
            hint="Write a bitstring, or 0x….",
        )
    return int(bits or "0", 2)


def _mask(observable: str, pub: Counts | Outcomes) -> int:
    if isinstance(pub, Outcomes):
        raise Invalid("a native program's outcomes have no observables", where="observable")
    if len(observable) != pub.bits or set(observable) - {"I", "Z"}:
        raise Invalid(
            f"{observable[:60]!r} is no observable of {pub.bits} counted bits",
            where="observable",
            hint="Write Z and I, a letter a bit: counts tell no other.",
        )
    return int("".join("01"[letter == "Z"] for letter in observable) or "0", 2)
