"""What a job asks of a resource where it names none, and how resources compare."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from quanopy.domain.jobs import JobKind
from quanopy.domain.resources import ResourceStatus, Target


class Policy(StrEnum):
    """Which of the resources that fit goes first."""

    LEAST_BUSY = "least-busy"
    """The one on which a task would start soonest."""
    BEST_CALIBRATED = "best-calibrated"
    """The one whose two-qubit gates err least; what is not known comes last."""
    CHEAPEST = "cheapest"
    """The one that costs the job least; what has no price comes last."""


class Shape(StrEnum):
    """Connections that may be asked for by name, over the qubits that are needed."""

    ALL = "all"
    """Every qubit with every other."""
    LINEAR = "linear"
    """A path."""
    RING = "ring"
    """A path that closes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What the median of a calibration's numbers of one name must be."""

    least: float | None = None
    most: float | None = None


Edges = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """What a resource must be, have or do; ``None`` and empty: whatever it is."""

    qubits: int | None = None
    gates: tuple[str, ...] = ()
    """Instructions that it carries out itself."""
    connectivity: Shape | Edges | None = None
    """Pairs of qubits (by numbers of their own) that must be connected somewhere on it."""
    technology: tuple[str, ...] = ()
    """One of these."""
    simulator: bool | None = None
    """``True``: an emulator; ``False``: hardware. ``None``: either, but hardware (which may be
    billed) only where a technology or a cost is named."""
    fidelity: float | None = None
    """The least median fidelity of its two-qubit gates."""
    metrics: Mapping[str, Bound] = field(default_factory=dict)
    """Noise limits: medians of numbers of its calibration, by their names."""
    max_queue: int | None = None
    """Tasks that wait there."""
    max_wait_s: float | None = None
    max_cost: float | None = None
    """Of the whole job, in whatever the broker's prices are in."""
    max_calibration_age_s: float | None = None
    policy: Policy = Policy.LEAST_BUSY


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What a job needs by itself, as far as it has been read."""

    kind: JobKind | None = None
    formats: tuple[str, ...] = ()
    qubits: int = 0
    clifford: bool = False
    gates: tuple[str, ...] = ()
    """What must be carried out as it stands, because nothing is to be compiled."""
    shots: int | None = None
    """Over all pubs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A resource, with what is known of it now."""

    status: ResourceStatus
    target: Target | None = None
    """``None``: not to be had, or not needed."""
    calibration_age_s: float | None = None
    medians: Mapping[str, float] = field(default_factory=dict)
    """Of its calibration's numbers, by name."""
    two_qubit_error: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a resource fits, and why not."""

    candidate: Candidate
    reasons: Sequence[str] = ()
    """Why it does not; none: it fits."""
    cost: float | None = None

    @property
    def name(self) -> str:
        """The resource's."""
        return self.candidate.status.resource.name

    @property
    def fits(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.reasons


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Resources as a policy ranks them: those that fit first, the best before all."""

    policy: Policy
    verdicts: Sequence[Verdict]

    @property
    def best(self) -> Verdict | None:
        """The one to take; ``None``: none fits."""
        first = next(iter(self.verdicts), None)
        return first if first is not None and first.fits else None

    @property
    def rejected(self) -> Mapping[str, Sequence[str]]:
        """Why each of the others does not fit."""
        return {verdict.name: verdict.reasons for verdict in self.verdicts if not verdict.fits}


def outside(bounds: Mapping[str, Bound], medians: Mapping[str, float]) -> Iterator[str]:
    """Which of these medians are not known, or not as they must be."""
    for name, bound in bounds.items():
        value = medians.get(name)
        if value is None:
            yield f"{name} is not known"
        elif bound.most is not None and value > bound.most:
            yield f"{name} is {value:.4g}, at most {bound.most:g} is wanted"
        elif bound.least is not None and value < bound.least:
            yield f"{name} is {value:.4g}, at least {bound.least:g} is wanted"
