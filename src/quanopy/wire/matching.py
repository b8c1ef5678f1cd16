"""What a job may ask of its resource instead of naming it, and how resources compare."""

from typing import Annotated

from pydantic import Field

from quanopy.domain.jobs import JobKind
from quanopy.domain.requirements import Policy, Shape
from quanopy.wire.fields import Answer, Duration, Line, Shots, Strict

Name = Annotated[Line, Field(min_length=1, max_length=100)]
Qubit = Annotated[int, Field(ge=0, lt=10_000)]


class BoundIn(Strict):
    """What the median of a calibration's numbers of one name must be."""

    least: float | None = Field(default=None, allow_inf_nan=False)
    most: float | None = Field(default=None, allow_inf_nan=False)


class RequirementsIn(Strict):
    """What a resource must be, have or do; what is left out may be anything."""

    qubits: int | None = Field(default=None, ge=1, le=1_000_000)
    gates: list[Name] = Field(default_factory=list, max_length=200)
    connectivity: Shape | list[tuple[Qubit, Qubit]] | None = Field(
        default=None,
        description="`all`, `linear` or `ring` over the qubits needed, or pairs of qubits (by "
        "numbers of your own) that must be connected somewhere on it.",
        max_length=2_000,
    )
    technology: list[Name] = Field(default_factory=list, max_length=20)
    simulator: bool | None = Field(
        default=None,
        description="`true`: an emulator, `false`: hardware; left out: hardware only where a "
        "technology or a cost is named.",
    )
    fidelity: float | None = Field(
        default=None, ge=0, le=1, description="Least median fidelity of its two-qubit gates."
    )
    metrics: dict[Name, BoundIn] = Field(
        default_factory=dict,
        max_length=50,
        description="Noise limits: medians of numbers of its calibration, by their names.",
        examples=[{"readout_error": {"most": 0.02}, "T1": {"least": 1e-4}}],
    )
    max_queue: int | None = Field(default=None, ge=0, description="Tasks that wait there.")
    max_wait: Duration | None = None
    max_cost: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    max_calibration_age: Duration | None = None
    policy: Policy = Policy.LEAST_BUSY


class MatchIn(Strict):
    """Requirements, and what else is known of the job."""

    requires: RequirementsIn = RequirementsIn()
    kind: JobKind | None = None
    formats: list[Name] = Field(default_factory=list, max_length=20)
    shots: Shots | None = Field(default=None, description="Of all pubs together, for the cost.")


class CandidateOut(Answer):
    """A resource, whether it fits, and what it was judged by."""

    name: str
    provider: str
    rank: int | None = Field(default=None, description="1 is taken; `null`: it does not fit.")
    reasons: list[str] = Field(default=[], description="Why it does not fit.")
    simulator: bool = True
    technology: str | None = None
    qubits: int | None = None
    queued: int = 0
    wait_s: float = 0.0
    cost: float | None = None
    two_qubit_error: float | None = Field(
        default=None, description="Median; `null`: not known, or not needed for the answer."
    )
    calibration_age_s: float | None = None


class MatchOut(Answer):
    """All resources as the policy ranks them: those that fit first."""

    policy: Policy
    resources: list[CandidateOut]
