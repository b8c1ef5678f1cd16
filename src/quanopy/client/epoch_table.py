"""The table of epochs: what each ran on and under, and what came of it, to be read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, overload

from quanopy.client.tables import as_html, as_rich, as_text, shown
from quanopy.codecs.agreement import Deviation
from quanopy.codecs.figures import Figure, Value
from quanopy.domain.calibration import CalibrationLabel

if TYPE_CHECKING:
    from quanopy.client.epochs import Epoch, Known
    from quanopy.client.segments import Segments

_FAR = 3.0
"""Standard deviations from which on an epoch is shown as differing."""
_LEFT = ("epoch", "resource", "platform", "calibrated", "label")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One epoch."""

    epoch: int
    resource: str
    platform: str | None
    snapshots: tuple[str, ...]
    calibrated_at: tuple[datetime | None, ...]
    """The vendor's time of each of its calibrations: two where one came after the other while
    its segments ran. ``None`` where it gives none."""
    seen_from: tuple[datetime | None, ...]
    """When the broker saw each first."""
    label: CalibrationLabel
    across: bool
    segments: int
    shots: int
    value: float | None
    error: float | None
    sigma: float | None
    """How far the whole result of this epoch is from that of the others, in standard
    deviations; ``None`` where that cannot be told."""

    def cells(self) -> tuple[str, ...]:
        """As it is shown."""
        times = " → ".join(map(_time, self.calibrated_at, self.seen_from))
        return (
            f"{self.epoch}{' across' if self.across else ''}",
            self.resource,
            self.platform or "",
            times,
            self.label.value,
            f"{self.segments:,}",
            f"{self.shots:,}" if self.shots else "",
            "" if self.value is None else shown(self.value, self.error or 0.0),
            "" if self.sigma is None else f"{self.sigma:.1f} \u03c3",
        )


def row(
    epoch: "Epoch",
    calibrations: "Sequence[Known | None]",
    value: Value | None,
    far: Deviation | None,
) -> Row:
    """The row of an epoch."""
    return Row(
        epoch=epoch.number,
        resource=epoch.resource,
        platform=epoch.platform,
        snapshots=epoch.snapshots,
        calibrated_at=tuple(one.calibrated_at if one else None for one in calibrations),
        seen_from=tuple(one.seen_from if one else None for one in calibrations),
        label=epoch.label,
        across=epoch.across,
        segments=len(epoch.segments),
        shots=epoch.merge.shots,
        value=value.value if value else None,
        error=value.error if value else None,
        sigma=far.sigma if far else None,
    )


class EpochTable(Sequence[Row]):
    """A row an epoch; ``print`` it, or let a notebook show it."""

    def __init__(
        self, rows: Sequence[Row], figure: Figure, total: Value | None, segments: "Segments"
    ) -> None:
        self._rows = tuple(rows)
        self.figure = figure
        """The number that the rows tell."""
        self.total = total
        """That number of all segments together."""
        self.notes = segments.notes
        """What is to be known beside the numbers."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Heads of the columns."""
        return (*_LEFT, "segments", "shots", str(self.figure), "off by")

    def cells(self) -> list[tuple[str, ...]]:
        """The rows as they are shown; the last is of all."""
        total = "" if self.total is None else shown(self.total.value, self.total.error)
        shots = sum(one.shots for one in self)
        segments = sum(one.segments for one in self)
        last = ("all", "", "", "", "", f"{segments:,}", f"{shots:,}" if shots else "", total, "")
        return [*(one.cells() for one in self), last]

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | Sequence[Row]:
        return self._rows[index]

    def __rich__(self) -> Any:
        *epochs, last = self.cells()
        styles = ["red" if _is_far(one) else "yellow" if one.across else "" for one in self]
        return as_rich(
            self.columns, epochs, left=_LEFT, styles=styles, total=last, notes=self.notes
        )

    def __str__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        *epochs, last = self.cells()
        colours = ["#b00" if _is_far(one) else "" for one in self]
        return as_html(self.columns, epochs, colours=colours, total=last, notes=self.notes)


def _time(at: datetime | None, seen: datetime | None) -> str:
    """When it was calibrated, or else by when."""
    if at is None:
        return f"by {_time(seen, None)}" if seen else "?"
    return f"{at.astimezone():%Y-%m-%d %H:%M}"


def _is_far(one: Row) -> bool:
    return one.sigma is not None and one.sigma > _FAR
