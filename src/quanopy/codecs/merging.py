"""Merging: results of jobs that ran the same pubs, as if one job had.

Counts are added. Expectation values are averaged, each with its standard error; how much each
part weighs is a :class:`Weighting`. Per-shot memory and vendors' documents stay with their jobs.

Shot noise makes a part's own error depend on its value: a part that came out further from zero
claims a smaller error. Weighing by those errors therefore pulls the mean outwards, by more than
its own error once there are hundreds of parts; so parts weigh as their shots unless asked
otherwise.
"""

from collections.abc import Iterable, Sequence
from typing import Self

from quanopy.codecs.merged import Merged, Weighting, read
from quanopy.codecs.results import PubResult
from quanopy.domain.errors import Invalid, NotReady

__all__ = ["Merge", "Weighting"]


class Merge:
    """Results of jobs that ran the same pubs, added up as they come.

    Adding is cheap: most of the work is put off until a result or a precision is asked for.
    """

    def __init__(self) -> None:
        self.parts = 0
        """How many results it is of."""
        self.pubs: list[Merged] = []

    @classmethod
    def of(cls, results: Iterable[Sequence[PubResult | None]]) -> Self:
        """Of some jobs' results; raises as :meth:`add`."""
        found = cls()
        for pubs in results:
            found.add(pubs)
        return found

    def add(self, pubs: Sequence[PubResult | None]) -> None:
        """Add one more job's result: all of it, or nothing.

        Raises:
            NotReady: a pub has no result.
            Invalid: it is no result, or of other pubs than what there is; says what differs.
        """
        one = Merge()
        one.pubs = [_read(pub, index) for index, pub in enumerate(pubs)]
        one.parts = 1
        self.include(one)

    def include(self, other: "Merge") -> None:
        """Add all that another holds; raises :class:`Invalid` as :meth:`add`."""
        if not other.parts:
            return
        if not self.parts:
            self.pubs = [pub.blank() for pub in other.pubs]
        if len(other.pubs) != len(self.pubs):
            raise Invalid(f"it has {len(other.pubs)} pubs where the others have {len(self.pubs)}")
        pairs = list(zip(self.pubs, other.pubs, strict=True))
        for index, (own, new) in enumerate(pairs):
            if differs := own.differs(new):
                raise Invalid(f"it has {differs}", where=f"pubs[{index}]")
        for own, new in pairs:
            own.include(new)  # type: ignore[arg-type]
        self.parts += other.parts

    @property
    def shots(self) -> int:
        """Shots of each parameter set, of all pubs together; 0 for expectation values."""
        return sum(pub.shots for pub in self.pubs)

    def result(self, weights: Weighting = Weighting.SHOTS) -> list[PubResult]:
        """The merged pubs, in the form of one job's result.

        Raises:
            NotReady: nothing was added yet.
            Invalid: counts are asked for with other weights than their shots.
        """
        self._check_any()
        return [pub.pub(weights) for pub in self.pubs]

    def precision(self, weights: Weighting = Weighting.SHOTS) -> float:
        """The largest standard error of all values; of counts, that of an outcome's probability,
        ``sqrt(p(1-p)/N)``. It is never less than one in all shots, and infinite where there are
        none. Raises :class:`NotReady`."""
        self._check_any()
        return max((pub.error(weights) for pub in self.pubs), default=0.0)

    def _check_any(self) -> None:
        if not self.parts:
            raise NotReady("there is nothing to merge yet")

    def __repr__(self) -> str:
        return f"<Merge of {self.parts} results, {len(self.pubs)} pubs>"


def _read(pub: PubResult | None, index: int) -> Merged:
    try:
        return read(pub)
    except (Invalid, NotReady) as error:
        place = f"pubs[{index}]"
        where = f"{place}.{error.where}" if error.where else place
        raise type(error)(error.message, where=where, hint=error.hint) from None
