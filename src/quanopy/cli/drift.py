"""A picture of how a resource's calibration drifted."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from quanopy.client import pictures

if TYPE_CHECKING:
    from quanopy.wire.calibrations import MetricOut, Metrics, SnapshotOut


def usual(metrics: "Metrics") -> list[str]:
    """The few that are drawn where nobody says which."""
    return pictures.usual(
        [(name, any("," in targets for targets in places)) for name, places in metrics.items()]
    )


def draw(
    file: Path,
    resource: str,
    snapshots: Sequence["SnapshotOut"],
    metrics: Sequence[str],
    qubits: Sequence[int],
) -> None:
    """Draw metrics over time, a panel each: a line a qubit that was asked for, else the median
    with the least and the most.

    Raises:
        Unsupported: the file is to be neither PNG nor SVG, or matplotlib is not installed.
        Invalid: it cannot be written.
    """
    pictures.check(file, "--plot")
    figure, panels = pictures.panels([2.4] * len(metrics))
    # Oldest first. One without the vendor's time is where it was seen first.
    ordered = sorted(snapshots, key=lambda one: one.calibrated_at or one.seen_from)
    for panel, name in zip(panels, metrics, strict=True):
        _draw_metric(panel, ordered, name, qubits)
    figure.suptitle(f"Calibration of {resource}")
    figure.autofmt_xdate()
    pictures.save(figure, file, "--plot")


def _draw_metric(
    panel: Any, snapshots: Sequence["SnapshotOut"], name: str, qubits: Sequence[int]
) -> None:
    shown = [one for one in snapshots if (one.metrics or {}).get(name)]
    times = [one.calibrated_at or one.seen_from for one in shown]
    places = [(one.metrics or {})[name] for one in shown]
    unit = next((number.unit for numbers in places for number in numbers.values()), "")
    panel.set_ylabel(f"{name} ({unit})" if unit else name)
    if qubits:
        _draw_lines(panel, times, places, qubits)
        return
    values = [[number.value for number in numbers.values()] for numbers in places]
    panel.plot(times, [median(some) for some in values], marker="o", label="median")
    panel.fill_between(
        times, [min(some) for some in values], [max(some) for some in values], alpha=0.15
    )


def _draw_lines(
    panel: Any,
    times: Sequence[object],
    places: Sequence[dict[str, "MetricOut"]],
    qubits: Sequence[int],
) -> None:
    wanted = {str(qubit) for qubit in qubits}
    names = {targets for numbers in places for targets in numbers}
    lines = sorted(targets for targets in names if wanted & {*targets.split(",")})
    for targets in lines:
        known = [
            (at, numbers[targets].value)
            for at, numbers in zip(times, places, strict=True)
            if targets in numbers
        ]
        panel.plot(*zip(*known, strict=True), marker="o", label=targets)
    if lines:
        panel.legend(title="qubits", fontsize="small")
