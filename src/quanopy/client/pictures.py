"""Pictures: panels one above the other over one time, as PNG or SVG."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from quanopy.domain.errors import Invalid, Unsupported

_SUFFIXES = (".png", ".svg")
_MOST = 4
_PREFERRED = ("T1", "T2", "readout_error")


def usual(pairs: Collection[tuple[str, bool]]) -> list[str]:
    """The few metrics that are drawn where nobody says which; each comes with whether it is of
    several qubits at once."""
    names = {name for name, _ in pairs}
    first = [name for name in _PREFERRED if name in names]
    of_pairs = sorted({name for name, several in pairs if several and "error" in name})
    rest = (name for name in sorted(names) if name not in first)
    return list(dict.fromkeys([*first, *of_pairs, *rest]))[:_MOST]


def check(file: Path, where: str) -> None:
    """Raises :class:`Unsupported` for a file that is to be neither PNG nor SVG."""
    if file.suffix.lower() not in _SUFFIXES:
        raise Unsupported(f"{file.name} is neither PNG nor SVG", where=where)


def panels(heights: Sequence[float]) -> tuple[Any, Any]:
    """A figure, and its panels from the top, of such heights in inches; raises
    :class:`Unsupported` where matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise Unsupported(
            "matplotlib is not installed", hint="Install it: pip install 'quanopy[plots]'."
        ) from error
    figure = Figure(figsize=(9, sum(heights) + 0.8), layout="constrained")
    grid = {"height_ratios": heights}
    axes = figure.subplots(len(heights), 1, sharex=True, squeeze=False, gridspec_kw=grid)
    for axis in axes[:, 0]:
        axis.grid(alpha=0.3)
    return figure, axes[:, 0]


def save(figure: Any, file: Path, where: str) -> None:
    """Write a figure; raises :class:`Invalid` where it cannot be written."""
    try:
        figure.savefig(file, format=file.suffix[1:].lower(), dpi=150, bbox_inches="tight")
    except OSError as error:
        raise Invalid(f"cannot write {file}: {error.strerror}", where=where) from error
