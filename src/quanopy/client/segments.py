"""Segments: a long experiment cut into jobs of one program, each with what it ran under.

Their results merge by epoch of calibration: what ran on one resource under one calibration is one
epoch, and a segment that a new calibration came between is in none of those, but in one of its
own kind.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack, overload

from quanopy.client.epochs import Epoch, Known, Segment, epochs_of
from quanopy.client.results import EstimatePub, NativePub, SamplePub
from quanopy.codecs.agreement import deviation
from quanopy.codecs.figures import Figure, Value, settled, value_of
from quanopy.codecs.merging import Merge, Weighting
from quanopy.domain.errors import Invalid, NotReady

if TYPE_CHECKING:
    from quanopy.client.epoch_table import EpochTable

_LISTED = 8
"""Gaps that are listed one by one."""


class Which(TypedDict, total=False):
    """Which number of the result is meant; by default the first expectation value, or the
    probability of the outcome that came most often."""

    pub: int
    index: tuple[int, ...] | None
    """Index into the pub's shape."""
    outcome: str | None
    """A bitstring, a hexadecimal number, or a native program's own word."""
    observable: str | None
    """Of counts: ``Z`` and ``I``, a letter a bit, the last for the lowest."""


class MergedResult(Sequence[Any]):
    """Segments' results as one: a pub as a job's result has it, for each pub."""

    def __init__(self, merge: Merge, weights: Weighting) -> None:
        self._merge = merge
        self._weights = weights

    @property
    def segments(self) -> int:
        """Of how many segments it is."""
        return self._merge.parts

    @property
    def shots(self) -> int:
        """Shots of each parameter set, of all pubs together; 0 for expectation values."""
        return self._merge.shots

    @cached_property
    def precision(self) -> float:
        """The largest standard error of its values; of counts, of an outcome's probability."""
        return self._merge.precision(self._weights)

    @cached_property
    def pubs(self) -> list[dict[str, Any]]:
        """The pubs in their JSON form."""
        return self._merge.result(self._weights)

    def value(self, **which: Unpack[Which]) -> Value:
        """One number with its standard error.

        Raises:
            Invalid: there is no such number.
            NotReady: there are no shots of it.
        """
        found = value_of(self._merge, settled(Figure(**which), self._merge), self._weights)
        if found is None:
            raise NotReady("there are no shots of it")
        return found

    def __len__(self) -> int:
        return len(self._merge.pubs)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [_pub(pub) for pub in self.pubs[index]]
        return _pub(self.pubs[index])

    def __repr__(self) -> str:
        return f"<result of {self.segments} segments: {len(self)} pubs>"


class Segments(Sequence[Segment]):
    """The segments of an experiment, in order, gaps and all."""

    def __init__(
        self,
        segments: Sequence[Segment],
        *,
        calibration: Callable[[str], Known | None] = lambda digest: None,
        named: str | None = None,
    ) -> None:
        """``calibration`` looks a calibration up by its digest; ``named`` is the resource that
        whoever looks at them takes the experiment to be of, if they say so."""
        self._segments = tuple(segments)
        self._look_up = calibration
        self._known: dict[str, Known | None] = {}
        self.named = named

    @cached_property
    def epochs(self) -> tuple[Epoch, ...]:
        """Those with a result, by resource and calibration, in the order of time."""
        return epochs_of(self)

    @property
    def whole(self) -> list[Segment]:
        """Those with a result."""
        return [one for one in self if one.result is not None]

    @property
    def gaps(self) -> list[Segment]:
        """Those without: failed, cancelled, or not there yet."""
        return [one for one in self if one.result is None]

    @property
    def notes(self) -> list[str]:
        """What is to be known beside the numbers: another resource than the one named, segments
        across a change of calibration, gaps."""
        return [*self._mismatch(), *self._changes(), *self._missing()]

    def merged(
        self,
        *,
        weights: Weighting | str = Weighting.SHOTS,
        epoch: Epoch | int | None = None,
    ) -> MergedResult:
        """One result of all segments, or of those of one epoch (or of its number).

        ``weights`` say how much each segment's expectation values weigh: ``shots``, ``variance``
        or ``equal`` (:class:`~quanopy.codecs.merging.Weighting`). Counts are added.

        Raises:
            NotReady: no segment has a result.
            Invalid: there is no such epoch, or the segments are not of one program.
        """
        merge = self._all if epoch is None else self._epoch(epoch).merge
        if not merge.parts:
            raise NotReady("no segment has a result yet")
        found = MergedResult(merge, weighting(weights))
        if weighting(weights) is not Weighting.SHOTS:
            _ = found.pubs  # refuses weights that mean nothing
        return found

    def values(self, **which: Unpack[Which]) -> list[Value | None]:
        """One number of each segment, with its standard error; ``None`` for a gap."""
        figure = self.figure(**which)
        return [None if one.result is None else value_of(one.result, figure) for one in self]

    def figure(self, **which: Unpack[Which]) -> Figure:
        """The number that is meant, the same for all segments.

        Raises:
            Invalid: there is none such.
            NotReady: no segment has a result.
        """
        return settled(Figure(**which), self._all)

    def table(
        self, *, weights: Weighting | str = Weighting.SHOTS, **which: Unpack[Which]
    ) -> "EpochTable":
        """A row an epoch, and one of all: what it ran on and under, one number with its error,
        and how far the epoch's whole result is from the others'."""
        from quanopy.client.epoch_table import EpochTable, row

        figure, by = self.figure(**which), weighting(weights)
        rows = [
            row(
                epoch,
                [self.calibration(digest) for digest in epoch.snapshots],
                value_of(epoch.merge, figure, by),
                deviation(epoch.merge, self._all),
            )
            for epoch in self.epochs
        ]
        return EpochTable(rows, figure, value_of(self._all, figure, by), self)

    def plot(
        self,
        path: Path | str | None = None,
        *,
        metric: str | Sequence[str] | None = None,
        **which: Unpack[Which],
    ) -> Any:
        """Draw one number of each segment over time, epochs shaded, gaps marked, with metrics of
        the calibration below; as a matplotlib figure, and as PNG or SVG where a ``path`` is given.

        Raises:
            Unsupported: matplotlib is not installed, or the file is neither PNG nor SVG.
            NotFound: no calibration has such a metric.
        """
        from quanopy.client.segment_picture import draw

        metrics = [metric] if isinstance(metric, str) else metric
        return draw(self, self.figure(**which), metrics, None if path is None else Path(path))

    def calibration(self, digest: str) -> Known | None:
        """A calibration by its digest, looked up once."""
        if digest not in self._known:
            self._known[digest] = self._look_up(digest)
        return self._known[digest]

    @cached_property
    def _all(self) -> Merge:
        merge = Merge()
        for epoch in self.epochs:
            merge.include(epoch.merge)
        return merge

    def _epoch(self, epoch: Epoch | int) -> Epoch:
        number = epoch.number if isinstance(epoch, Epoch) else epoch
        if not 1 <= number <= len(self.epochs):
            raise Invalid(
                f"there is no epoch {number}",
                where="epoch",
                hint=f"There are {len(self.epochs)}, counted from 1.",
            )
        return self.epochs[number - 1]

    def _mismatch(self) -> Iterator[str]:
        others = sorted({one.resource for one in self} - {self.named})
        if self.named is not None and others:
            yield f"named here is {self.named}; it is of {', '.join(others)}"

    def _changes(self) -> Iterator[str]:
        across = [one.index for one in self.whole if one.across]
        if across:
            yield f"fell across a change of calibration: {_listed(across)}"

    def _missing(self) -> Iterator[str]:
        gaps = self.gaps
        if gaps:
            yield f"{len(gaps)} of {len(self)} segments have no result"
        for one in gaps[:_LISTED]:
            yield f"segment {one.index}: {one.state}{f': {one.problem}' if one.problem else ''}"
        if len(gaps) > _LISTED:
            yield f"and {len(gaps) - _LISTED} more"

    def __len__(self) -> int:
        return len(self._segments)

    @overload
    def __getitem__(self, index: int) -> Segment: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Segment]: ...
    def __getitem__(self, index: int | slice) -> Segment | Sequence[Segment]:
        return self._segments[index]

    def __repr__(self) -> str:
        return f"<{len(self)} segments, {len(self.whole)} with a result, {len(self.epochs)} epochs>"

    def __rich__(self) -> Any:
        return self.table().__rich__() if self.whole else "\n".join([repr(self), *self.notes])

    def _repr_html_(self) -> str | None:
        return self.table()._repr_html_() if self.whole else None


def weighting(given: Weighting | str) -> Weighting:
    """A weighting by its name; raises :class:`Invalid`."""
    try:
        return Weighting(given)
    except ValueError:
        known = ", ".join(Weighting)
        raise Invalid(
            f"{str(given)[:40]!r} are no weights", where="weights", hint=f"There are {known}."
        ) from None


def _listed(places: Sequence[int]) -> str:
    shown = ", ".join(map(str, places[:_LISTED]))
    rest = len(places) - _LISTED
    return (
        f"segment{'s' if len(places) > 1 else ''} {shown}{f' and {rest} more' if rest > 0 else ''}"
    )


def _pub(pub: dict[str, Any]) -> Any:
    if "counts" in pub:
        return SamplePub(pub)
    return NativePub(pub) if "outcomes" in pub else EstimatePub(pub)
