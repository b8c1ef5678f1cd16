"""The picture of a long experiment: a number of each segment over time, its calibration below."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from quanopy.client.pictures import check, panels, save, usual
from quanopy.codecs.figures import Figure, value_of
from quanopy.domain.errors import NotFound

if TYPE_CHECKING:
    from quanopy.client.epochs import Epoch, Segment
    from quanopy.client.segments import Segments

Times = Mapping[int, datetime]
_STEP = timedelta(seconds=1)
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


def draw(
    segments: "Segments", figure: Figure, metrics: Sequence[str] | None, file: Path | None
) -> Any:
    """Draw it; raises as :meth:`Segments.plot`."""
    if file is not None:
        check(file, "path")
    wanted = _metrics(segments, metrics)
    picture, axes = panels([3.6, *[1.9] * len(wanted)])
    times = _times(segments)
    for axis in axes:
        _shade(axis, segments, times)
    _draw_values(axes[0], segments, figure, times)
    for axis, metric in zip(axes[1:], wanted, strict=True):
        _draw_metric(axis, segments, metric, times)
    picture.suptitle(", ".join(sorted({one.resource for one in segments})))
    picture.autofmt_xdate()
    if file is not None:
        save(picture, file, "path")
    return picture


def _metrics(segments: "Segments", asked: Sequence[str] | None) -> list[str]:
    """Those asked for, or the most usual one there is."""
    known = [
        (name, any(len(targets) > 1 for targets in places))
        for epoch in segments.epochs
        for digest in epoch.snapshots
        if (found := segments.calibration(digest)) is not None
        for name, places in found.metrics.items()
    ]
    if asked is None:
        return usual(known)[:1]
    names = sorted({name for name, _ in known})
    for metric in asked:
        if metric not in names:
            hint = f"There are {', '.join(names[:20])}." if names else "No calibration is known."
            raise NotFound(f"there is no metric {metric[:60]!r}", where="metric", hint=hint)
    return list(asked)


def _times(segments: "Segments") -> dict[int, datetime]:
    """When each was, by its index; of those that never ran, just after the one before."""
    times: dict[int, datetime] = {}
    before = min((one.at for one in segments if one.at is not None), default=_BEGINNING)
    for one in segments:
        times[one.index] = before = one.at or before + _STEP
    return times


def _span(segments: "Sequence[Segment]", times: Times) -> tuple[datetime, datetime]:
    begins = [one.started_at or times[one.index] for one in segments]
    ends = [one.ended_at or times[one.index] for one in segments]
    return min(begins), max(ends)


def _runs(segments: "Segments") -> "list[tuple[Epoch, list[Segment]]]":
    """Segments of one epoch that followed on each other."""
    of = {one.index: epoch for epoch in segments.epochs for one in epoch.segments}
    ordered = sorted(segments.whole, key=lambda one: (one.at or _BEGINNING, one.index))
    return [
        (of[some[0].index], some)
        for _, run in groupby(ordered, key=lambda one: of[one.index].number)
        if (some := list(run))
    ]


def _colour(epoch: "Epoch") -> str:
    return f"C{(epoch.number - 1) % 10}"


def _shade(axis: Any, segments: "Segments", times: Times) -> None:
    for epoch, run in _runs(segments):
        begin, end = _span(run, times)
        axis.axvspan(begin, end, color=_colour(epoch), alpha=0.10, linewidth=0)
        if epoch.across:
            axis.axvspan(begin, end, fill=False, hatch="//", edgecolor="0.6", linewidth=0)


def _draw_values(axis: Any, segments: "Segments", figure: Figure, times: Times) -> None:
    axis.set_ylabel(str(figure))
    for epoch in segments.epochs:
        name = f"epoch {epoch.number}{' (across a calibration)' if epoch.across else ''}"
        values = [
            (times[one.index], found)
            for one in epoch.segments
            if one.result is not None and (found := value_of(one.result, figure)) is not None
        ]
        axis.errorbar(
            [at for at, _ in values],
            [one.value for _, one in values],
            yerr=[one.error for _, one in values],
            fmt="o",
            markersize=4,
            color=_colour(epoch),
            markerfacecolor="none" if epoch.across else None,
            capsize=2,
            label=f"{name}: {epoch.resource}",
        )
    for epoch, run in _runs(segments):
        mean = value_of(epoch.merge, figure)
        if mean is not None:
            axis.hlines(mean.value, *_span(run, times), color=_colour(epoch), linewidth=1.2)
    gaps = [times[one.index] for one in segments.gaps]
    if gaps:
        below = axis.get_xaxis_transform()
        axis.plot(gaps, [0.03] * len(gaps), "x", color="red", transform=below, label="no result")
    axis.legend(fontsize="small")


def _draw_metric(axis: Any, segments: "Segments", metric: str, times: Times) -> None:
    unit = ""
    for epoch, run in _runs(segments):
        known = None if epoch.across or not epoch.snapshots else epoch.snapshots[0]
        found = None if known is None else segments.calibration(known)
        numbers = list(found.metrics.get(metric, {}).values()) if found is not None else []
        if not numbers:
            continue
        unit = unit or numbers[0].unit
        values = [one.value for one in numbers]
        begin, end = _span(run, times)
        axis.hlines(median(values), begin, end, color=_colour(epoch), linewidth=2)
        axis.fill_between([begin, end], min(values), max(values), color=_colour(epoch), alpha=0.2)
    axis.set_ylabel(f"{metric} ({unit})" if unit else metric)
