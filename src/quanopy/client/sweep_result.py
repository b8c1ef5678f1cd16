"""What a sweep gave: numbers at each point, and what each point ran on and under."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from quanopy.client.epochs import Segment
from quanopy.client.results import SamplePub
from quanopy.client.segments import Which
from quanopy.client.tables import as_html, as_rich, as_text, shown
from quanopy.codecs.figures import Figure, settled, values_of
from quanopy.codecs.merging import Merge
from quanopy.domain.errors import Invalid

Values = NDArray[np.float64]

_ROWS = 40
"""Points of a table that are shown."""
_SHORT = 19
"""Characters of a digest that are shown."""


class SweepResult:
    """Numbers at each point of a sweep, in its shape."""

    def __init__(
        self,
        values: Mapping[str, Values],
        pub: dict[str, Any],
        ran: Sequence[tuple[Segment, int]],
    ) -> None:
        """``ran`` are the jobs, and how many points each did, in order."""
        self.values = values
        """Each parameter's value at each point."""
        self.pub = pub
        """All of it as one pub in its JSON form."""
        self.shape: tuple[int, ...] = next(iter(values.values())).shape
        """Shape of the points."""
        self.jobs = tuple(one for one, _ in ran)
        """What each job ran on and under."""
        self._sizes = [size for _, size in ran]

    @cached_property
    def evs(self) -> Values:
        """Expectation values: the shape of the points, then of the observables; NaN where
        missing."""
        return self._array("evs")

    @cached_property
    def stds(self) -> Values:
        """Their standard errors."""
        return self._array("stds")

    def counts(self, *index: int) -> dict[str, int]:
        """Counts at one point, by bitstring; nothing where they are missing."""
        self._check_counts()
        return SamplePub(self.pub).at(*index)

    def measured(self, **which: Unpack[Which]) -> tuple[Values, Values]:
        """Of counts, one number at every point, and its standard errors: the probability of an
        ``outcome`` (by default the one that came most often of all), or the expectation of an
        ``observable`` such as ``"ZZ"``; NaN where missing."""
        merge, figure = self._figure(**which)
        numbers, errors = values_of(merge, figure)
        return numbers.reshape(self.shape), errors.reshape(self.shape)

    @cached_property
    def resources(self) -> "NDArray[np.str_]":
        """What each point ran on."""
        return self._spread([one.resource for one in self.jobs])

    @cached_property
    def calibrations(self) -> "NDArray[np.str_]":
        """Digest of the calibration that each point ran under; empty where that is not known, or
        a new one came meanwhile."""
        return self._spread(["" if one.across else one.snapshot or "" for one in self.jobs])

    @property
    def columns(self) -> tuple[str, ...]:
        """Heads of the table's columns."""
        number = "value" if "evs" in self.pub else str(self._figure()[1]).partition("[")[0]
        return (*self.values, "resource", "calibration", number)

    def rows(self) -> list[tuple[str, ...]]:
        """The points as the table shows them."""
        numbers, errors = (self.evs, self.stds) if "evs" in self.pub else self.measured()
        told = [
            ", ".join("" if np.isnan(n) else shown(n, e) for n, e in zip(*pair, strict=True))
            for pair in zip(
                *(one.reshape(np.prod(self.shape, dtype=int), -1) for one in (numbers, errors)),
                strict=True,
            )
        ]
        columns = [[f"{one:.6g}" for one in array.flat] for array in self.values.values()]
        digests = [str(one)[:_SHORT] for one in self.calibrations.flat]
        return list(zip(*columns, map(str, self.resources.flat), digests, told, strict=True))

    def __rich__(self) -> Any:
        rows = self.rows()
        left = ("resource", "calibration")
        return as_rich(self.columns, rows[:_ROWS], left=left, notes=_rest(rows))

    def __str__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        rows = self.rows()
        return as_html(self.columns, rows[:_ROWS], notes=_rest(rows))

    def __repr__(self) -> str:
        return f"<sweep of shape {self.shape} on {', '.join(sorted({*self.resources.flat}))}>"

    def _figure(self, **which: Unpack[Which]) -> tuple[Merge, Figure]:
        self._check_counts()
        merge = Merge.of([[self.pub]])
        if not (which.get("outcome") or which.get("observable")):
            counts = SamplePub(self.pub).counts
            which["outcome"] = max(counts, key=counts.__getitem__, default="0")
        return merge, settled(Figure(**which), merge)

    def _check_counts(self) -> None:
        if "counts" not in self.pub:
            raise Invalid("a sweep of expectation values has them as `evs` and `stds`")

    def _array(self, name: str) -> Values:
        if name not in self.pub:
            raise Invalid("a sweep of counts has them as `counts` and `measured`")
        return np.array(self.pub[name], dtype=np.float64).reshape(self.pub["shape"])

    def _spread(self, each: Sequence[str]) -> "NDArray[np.str_]":
        return np.repeat(np.array(each, dtype=np.str_), self._sizes).reshape(self.shape)


def _rest(rows: Sequence[object]) -> list[str]:
    return [f"and {len(rows) - _ROWS} points more"] if len(rows) > _ROWS else []
