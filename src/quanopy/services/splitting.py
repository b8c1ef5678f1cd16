"""Splitting a job into tasks that a resource's limits allow, and estimating their seconds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from quanopy.domain.errors import ResourceMismatch
from quanopy.domain.jobs import LEAST_PRECISION, JobKind, Pub, Reading, Slice
from quanopy.domain.programs import Footprint
from quanopy.domain.resources import Capabilities, Limits

# Seconds, from measurement on a present-day core; they order and bound work, they bill nobody.
_EVALUATION_S = 1e-4
_AMPLITUDE_S = 1.5e-9
_CLIFFORD_S = 2e-8
_SAMPLE_S = 1e-7
_DEVICE_SHOT_S = 2.5e-4
_DEVICE_TASK_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A task to be: its slice of the job and how long it may take."""

    slice: Slice
    estimate_s: float


def split(pubs: Sequence[Pub], reading: Reading, able: Capabilities) -> list[Part]:
    """The tasks of a job, in the order of its pubs.

    Parameter sets of one pub stay together. A pub that alone has more evaluations than one task
    may have is a task by itself on an emulator; a device refuses it, with
    :class:`ResourceMismatch`.
    """
    parts: list[Part] = []
    costs = [_cost(pub, index, reading, able) for index, pub in enumerate(pubs)]
    for first, last in _ranges(pubs, reading, able):
        seconds = sum(costs[first:last]) + (0.0 if able.simulator else _DEVICE_TASK_S)
        parts += _by_shots(first, last, pubs[first], reading.kind, able.limits, seconds)
    return parts


def _ranges(pubs: Sequence[Pub], reading: Reading, able: Capabilities) -> Iterator[tuple[int, int]]:
    """Runs of pubs that fit one task; pubs whose shots are to be split alike stay together."""
    limits, first, evaluations = able.limits, 0, 0
    for index, count in enumerate(reading.evaluations):
        if not able.simulator:
            _check_evaluations(index, count, limits)
        full = (
            (limits.pubs is not None and index - first >= limits.pubs)
            or (limits.evaluations is not None and evaluations + count > limits.evaluations)
            or _excess(pubs[index], limits) != _excess(pubs[first], limits)
        )
        if full and index > first:
            yield first, index
            first, evaluations = index, 0
        evaluations += count
    yield first, len(pubs)


def _check_evaluations(index: int, count: int, limits: Limits) -> None:
    if limits.evaluations is not None and count > limits.evaluations:
        raise ResourceMismatch(
            f"{count} parameter sets, one task takes {limits.evaluations}",
            where=f"pubs[{index}].parameters",
            hint="Cut the parameter array into several pubs.",
        )


def _excess(pub: Pub, limits: Limits) -> int:
    """The shots of a pub that go beyond one task, as a mark of pubs to be split alike."""
    if limits.shots is None or pub.shots is None or pub.shots <= limits.shots:
        return 0
    return pub.shots


def _by_shots(
    first: int, last: int, pub: Pub, kind: JobKind, limits: Limits, seconds: float
) -> Iterator[Part]:
    shots = _excess(pub, limits)
    if kind is JobKind.ESTIMATE or not shots or limits.shots is None:
        yield Part(slice=Slice(first=first, count=last - first), estimate_s=seconds)
        return
    for start in range(0, shots, limits.shots):
        some = min(limits.shots, shots - start)
        part = Slice(first=first, count=last - first, shots_from=start, shots=some)
        yield Part(slice=part, estimate_s=seconds * some / shots)


def _cost(pub: Pub, index: int, reading: Reading, able: Capabilities) -> float:
    """Estimated seconds of a pub."""
    count = reading.evaluations[index]
    shots = pub.shots or _shots_for(pub.precision)
    if not able.simulator:
        return count * max(shots, 1) * _DEVICE_SHOT_S
    return count * (_EVALUATION_S + _evolution(reading.footprints[pub.program])) + (
        count * shots * _SAMPLE_S
    )


def _shots_for(precision: float | None) -> float:
    """Shots that a standard error takes; whatever number it is, an estimate comes of it."""
    return 1 / min(max(precision, LEAST_PRECISION), 1.0) ** 2 if precision else 0.0


def _evolution(footprint: Footprint) -> float:
    if footprint.clifford:
        return footprint.instructions * footprint.qubits * _CLIFFORD_S
    return footprint.instructions * 2.0 ** min(footprint.qubits, 40) * _AMPLITUDE_S
