"""Calibrations as light objects: what is known at once, and numbers fetched when asked for."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from quanopy.client.http import Http, part
from quanopy.client.numbers import Number, least_sure, number_in, targets_of
from quanopy.domain.calibration import CalibrationLabel
from quanopy.wire.calibrations import Metrics, SnapshotOut
from quanopy.wire.jobs import BindingOut, ExecutionOut


class Calibration:
    """A snapshot of a resource's calibration, by its digest."""

    def __init__(self, http: Http, digest: str, known: SnapshotOut | None = None) -> None:
        self._http = http
        self._known = known
        self.digest = digest

    @property
    def resource(self) -> str:
        """Whose it is."""
        return self._shown.resource

    @property
    def calibrated_at(self) -> datetime | None:
        """The vendor's time of it; ``None`` where it gives none."""
        return self._shown.calibrated_at

    @property
    def seen_from(self) -> datetime:
        """When the broker saw it first."""
        return self._shown.seen_from

    @property
    def seen_until(self) -> datetime:
        """When the broker saw it last."""
        return self._shown.seen_until

    @property
    def vendor_id(self) -> str | None:
        """The vendor's own name of it."""
        return self._shown.vendor_id

    @property
    def metrics(self) -> Mapping[str, Mapping[tuple[int, ...], Number]]:
        """Metric → targets (qubits or modes; ``()``: the device) → number."""
        return {
            name: {
                targets_of(targets): Number(one.value, one.unit, one.measured_at)
                for targets, one in places.items()
            }
            for name, places in self._numbers.items()
        }

    def value(self, metric: str, *targets: int) -> float:
        """One number, such as ``value("T1", 3)`` or ``value("cx.error", 0, 1)``.

        Raises:
            NotFound: it has no such number.
        """
        return number_in(self._numbers, metric, targets).value

    def raw(self) -> Any:
        """The vendor's own document."""
        return _fetched(self._http, self.digest, raw="true").raw

    @property
    def _numbers(self) -> Metrics:
        shown = self._shown
        if shown.metrics is None:
            self._known = shown = _fetched(self._http, self.digest)
        return shown.metrics or {}

    @property
    def _shown(self) -> SnapshotOut:
        if self._known is None:
            self._known = _fetched(self._http, self.digest)
        return self._known

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Calibration) and other.digest == self.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"Calibration({self.digest!r})"


class RanUnder:
    """What one execution of a job ran under."""

    def __init__(self, http: Http, execution: ExecutionOut) -> None:
        self._http = http
        self._binding: BindingOut = execution.calibration
        self.execution = execution.id

    @property
    def label(self) -> CalibrationLabel:
        """How surely :attr:`snapshot` is what it ran under."""
        return self._binding.label

    @property
    def snapshot(self) -> Calibration | None:
        """What it ran under; ``None`` where that is unknown."""
        return self._of(self._binding.snapshot)

    @property
    def submitted(self) -> Calibration | None:
        """Seen last at submission."""
        return self._of(self._binding.submitted)

    @property
    def started(self) -> Calibration | None:
        """Seen just before it was sent, or begun."""
        return self._of(self._binding.started)

    @property
    def ended(self) -> Calibration | None:
        """Seen once its result was there."""
        return self._of(self._binding.ended)

    @property
    def named(self) -> str | None:
        """The vendor's own name of the calibration, where the result gave one."""
        return self._binding.named

    @property
    def warning(self) -> str | None:
        """Says so where the resource was calibrated anew meanwhile."""
        return self._binding.warning

    def _of(self, digest: str | None) -> Calibration | None:
        return None if digest is None else Calibration(self._http, digest)

    def __repr__(self) -> str:
        return f"RanUnder({self.execution!r}, {self.label.value!r}, {self._binding.snapshot!r})"


class JobCalibration(Sequence[RanUnder]):
    """What a job's executions ran under, one entry each."""

    def __init__(self, http: Http, executions: Sequence[ExecutionOut]) -> None:
        self._each = [RanUnder(http, one) for one in executions]

    @property
    def label(self) -> CalibrationLabel:
        """The least sure label of all; ``unknown`` where nothing ran yet."""
        return least_sure(one.label for one in self._each)

    @property
    def snapshot(self) -> Calibration | None:
        """What all of it ran under; ``None`` where that is unknown, or not the same."""
        found = {one.snapshot for one in self._each}
        return found.pop() if len(found) == 1 else None

    @property
    def warnings(self) -> list[str]:
        """Of executions that a calibration came between."""
        return [f"{one.execution}: {one.warning}" for one in self._each if one.warning]

    def __getitem__(self, index: Any) -> Any:
        return self._each[index]

    def __len__(self) -> int:
        return len(self._each)

    def __iter__(self) -> Iterator[RanUnder]:
        return iter(self._each)

    def __repr__(self) -> str:
        return f"JobCalibration({self._each!r})"


def _fetched(http: Http, digest: str, **params: str) -> SnapshotOut:
    return http.get(SnapshotOut, f"/calibrations/{part(digest)}", params=params)
