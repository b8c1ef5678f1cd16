"""What the jobs of a receipt ran under: snapshots from the file."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

from quanopy.client.numbers import Number, least_sure, number_in, targets_of
from quanopy.codecs.calibrations import decode_metrics
from quanopy.codecs.receipt_files import ReceiptFile, json_value
from quanopy.codecs.receipt_records import CalibrationEntry, ExecutionEntry
from quanopy.codecs.receipts import calibration_member
from quanopy.domain.calibration import CalibrationLabel
from quanopy.domain.errors import NotFound


class Snapshot:
    """A snapshot of a resource's calibration, by its digest."""

    def __init__(self, file: ReceiptFile, digest: str) -> None:
        """Nothing is read yet; raises :class:`NotFound` where the receipt does not have it."""
        self._file = file
        self.digest = digest
        if calibration_member(digest, "calibration.json") not in file:
            raise NotFound(f"there is no calibration {digest[:80]!r} in it", where=file.where)

    @property
    def resource(self) -> str:
        """Whose it is."""
        return self._about.resource

    @property
    def calibrated_at(self) -> datetime | None:
        """The vendor's time of it; ``None`` where it gives none."""
        return self._about.calibrated_at

    @property
    def seen_from(self) -> datetime:
        """When the broker saw it first."""
        return self._about.seen_from

    @property
    def vendor_id(self) -> str | None:
        """The vendor's own name of it."""
        return self._about.vendor_id

    @property
    def metrics(self) -> Mapping[str, Mapping[tuple[int, ...], Number]]:
        """Metric → targets (qubits or modes; ``()``: the device) → number."""
        return {
            name: {targets_of(targets): number for targets, number in places.items()}
            for name, places in self._numbers.items()
        }

    def value(self, metric: str, *targets: int) -> float:
        """One number, such as ``value("T1", 3)`` or ``value("cx.error", 0, 1)``; raises
        :class:`NotFound`."""
        return number_in(self._numbers, metric, targets).value

    def raw(self) -> Any:
        """The vendor's own document."""
        name = calibration_member(self.digest, "raw.json")
        return json_value(self._file.read(name), f"{self._file.where}: {name}")

    @cached_property
    def _numbers(self) -> Mapping[str, Mapping[str, Number]]:
        found: dict[str, dict[str, Number]] = {}
        data = self._file.read(calibration_member(self.digest, "metrics.json"))
        for one in decode_metrics(data):
            number = Number(one.value, one.unit, one.measured_at)
            found.setdefault(one.name, {})[",".join(map(str, one.targets))] = number
        return found

    @cached_property
    def _about(self) -> CalibrationEntry:
        name = calibration_member(self.digest, "calibration.json")
        return CalibrationEntry.decoded(self._file.document(name), f"{self._file.where}: {name}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Snapshot) and other.digest == self.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"Snapshot({self.digest!r})"


class ReceiptRanUnder:
    """What one execution of a job ran under."""

    def __init__(self, file: ReceiptFile, execution: ExecutionEntry) -> None:
        self._file = file
        self._binding = execution.calibration
        self.execution = execution.id

    @property
    def label(self) -> CalibrationLabel:
        """How surely :attr:`snapshot` is what it ran under."""
        return self._binding.label

    @property
    def snapshot(self) -> Snapshot | None:
        """What it ran under; ``None`` where that is unknown."""
        return self._of(self._binding.snapshot)

    @property
    def submitted(self) -> Snapshot | None:
        """Seen last at submission."""
        return self._of(self._binding.submitted)

    @property
    def started(self) -> Snapshot | None:
        """Seen just before it was sent, or begun."""
        return self._of(self._binding.started)

    @property
    def ended(self) -> Snapshot | None:
        """Seen once its result was there."""
        return self._of(self._binding.ended)

    @property
    def named(self) -> str | None:
        """The vendor's own name of the calibration, where the result gave one."""
        return self._binding.named

    @property
    def changed(self) -> bool:
        """Whether the resource was calibrated anew between submission and end."""
        return self._binding.changed

    def _of(self, digest: str | None) -> Snapshot | None:
        return None if digest is None else Snapshot(self._file, digest)

    def __repr__(self) -> str:
        return f"ReceiptRanUnder({self.execution!r}, {self.label.value!r})"


class ReceiptCalibration(Sequence[ReceiptRanUnder]):
    """What a job's executions ran under, one entry each."""

    def __init__(self, file: ReceiptFile, executions: Sequence[ExecutionEntry]) -> None:
        self._each = [ReceiptRanUnder(file, one) for one in executions]

    @property
    def label(self) -> CalibrationLabel:
        """The least sure label of all; ``unknown`` where nothing ran yet."""
        return least_sure(one.label for one in self._each)

    @property
    def snapshot(self) -> Snapshot | None:
        """What all of it ran under; ``None`` where that is unknown, or not the same."""
        found = {one.snapshot for one in self._each}
        return found.pop() if len(found) == 1 else None

    def __getitem__(self, index: Any) -> Any:
        return self._each[index]

    def __len__(self) -> int:
        return len(self._each)

    def __iter__(self) -> Iterator[ReceiptRanUnder]:
        return iter(self._each)

    def __repr__(self) -> str:
        return f"ReceiptCalibration({self._each!r})"
