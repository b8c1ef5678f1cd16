"""Readings of plain jobs that came lately: whoever sends the same program again (to measure more
shots, to watch a device) need not have it read again."""

from collections import OrderedDict
from threading import Lock
from typing import Any

from quanopy.domain.jobs import JobSpec, Reading
from quanopy.domain.programs import QRMI_PAYLOAD

_MOST_PUBS = 16
_OVERHEAD = 4096
"""Bytes of a reading beside its circuits, about."""


class KnownReadings:
    """The readings used last, up to a number of bytes; safe to share between threads.

    Only jobs whose pubs bring no arrays are kept: what a reading says then depends on the
    programs and these few numbers alone.
    """

    def __init__(self, limit: int) -> None:
        """``limit`` in bytes."""
        self._limit = limit
        self._size = 0
        self._readings: OrderedDict[Any, Reading] = OrderedDict()
        self._lock = Lock()

    def get(self, spec: JobSpec) -> Reading | None:
        """The reading of this job, if it is known."""
        key = _key(spec)
        with self._lock:
            found = self._readings.get(key) if key is not None else None
            if found is not None:
                self._readings.move_to_end(key)
            return found

    def put(self, spec: JobSpec, reading: Reading) -> None:
        """Remember a reading, and forget the least recently used ones beyond the limit."""
        key = _key(spec)
        if key is None or _size(reading) > self._limit // 4:
            return
        with self._lock:
            if key not in self._readings:
                self._readings[key] = reading
                self._size += _size(reading)
            while self._size > self._limit:
                _, old = self._readings.popitem(last=False)
                self._size -= _size(old)


def _key(spec: JobSpec) -> Any:
    """What the reading of a job depends on; ``None`` where that is too much to compare."""
    pubs = spec.pubs or ()
    arrays = any(pub.parameters is not None or pub.observables is not None for pub in pubs)
    if arrays or len(pubs) > _MOST_PUBS or len(spec.programs) > _MOST_PUBS:
        return None
    if any(program.format.startswith(QRMI_PAYLOAD) for program in spec.programs):
        return None  # its pubs are in it, and take the job's options
    return (
        spec.kind,
        tuple((program.format, program.digest) for program in spec.programs),
        None
        if spec.pubs is None
        else tuple((pub.program, pub.circuit, pub.shots, pub.precision) for pub in pubs),
    )


def _size(reading: Reading) -> int:
    return _OVERHEAD + sum(map(len, reading.circuits))
