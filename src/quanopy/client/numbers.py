"""The numbers of a calibration, wherever they were read."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from quanopy.domain.calibration import CalibrationLabel
from quanopy.domain.errors import Invalid, NotFound

_SHOWN = 20
_SURENESS = (CalibrationLabel.UNKNOWN, CalibrationLabel.CLOSEST, CalibrationLabel.EXACT)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Number:
    """One number of a calibration, in ``unit`` (SI without prefix; empty: a ratio)."""

    value: float
    unit: str = ""
    measured_at: datetime | None = None


def number_in(numbers: Mapping[str, Mapping[str, T]], metric: str, targets: tuple[int, ...]) -> T:
    """That of a metric at these targets; raises :class:`NotFound`, which says what there is."""
    places = numbers.get(metric)
    if places is None:
        raise NotFound(f"there is no metric {metric[:60]!r}", hint=f"There are {_some(numbers)}.")
    found = places.get(",".join(map(str, targets)))
    if found is None:
        raise NotFound(
            f"there is no {metric} of {targets}", hint=f"There is that of {_some(places)}."
        )
    return found


def targets_of(text: str) -> tuple[int, ...]:
    """Qubits (or modes) from their indices, joined by commas; ``()``: the device."""
    try:
        return tuple(int(one) for one in text.split(",") if one)
    except ValueError as error:
        raise Invalid(f"{text[:60]!r} names no qubits") from error


def least_sure(labels: Iterable[CalibrationLabel]) -> CalibrationLabel:
    """The least sure of these; ``unknown`` where there are none."""
    return min(labels, key=_SURENESS.index, default=CalibrationLabel.UNKNOWN)


def _some(names: Collection[str]) -> str:
    """Names of what there is, as many as can be read."""
    shown = sorted(name or "the device" for name in names)[:_SHOWN]
    rest = len(names) - len(shown)
    return f"{', '.join(shown) or 'none'}{f' and {rest} more' if rest else ''}"
