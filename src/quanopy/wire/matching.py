"""What a job may ask of its resource instead of naming it, and how resources compare."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from quanopy.domain.jobs import JobKind
from quanopy.domain.requirements import Policy, Shape
from quanopy.wire.fields import (
    NUMBER,
    WHOLE,
    Answer,
    Duration,
    Finite,
    Line,
    Shots,
    Strict,
)

Name = Annotated[Line, Field(min_length=1, max_length=100)]
Qubit = Annotated[int, Field(ge=0, lt=10_000), WHOLE]


class BoundIn(Strict):
    """What the median of a calibration's numbers of one name must be."""

    least: Finite | None = None
    most: Finite | None = None

    @model_validator(mode="after")
    def _bounds_something(self) -> Self:
        if self.least is None and self.most is None:
            raise ValueError("it bounds nothing: give `least`, `most` or both")
        if self.least is not None and self.most is not None and self.least > self.most:
            raise ValueError(f"nothing is at least {self.least:g} and at most {self.most:g}")
        return self


class RequirementsIn(Strict):
    """What a resource must be, have or do; what is left out may be anything."""

    qubits: Annotated[int, Field(ge=1, le=1_000_000), WHOLE] | None = None
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
    fidelity: Annotated[float, Field(ge=0, le=1), NUMBER] | None = Field(
        default=None, description="Least median fidelity of its two-qubit gates."
    )
    metrics: dict[Name, BoundIn] = Field(
        default_factory=dict,
        max_length=50,
        description="Noise limits: medians of numbers of its calibration, by their names.",
        examples=[{"readout_error": {"most": 0.02}, "T1": {"least": 1e-4}}],
    )
    max_queue: Annotated[int, Field(ge=0), WHOLE] | None = Field(
        default=None, description="Tasks that wait there."
    )
    max_wait: Duration | None = None
    max_cost: Annotated[float, Field(ge=0, allow_inf_nan=False), NUMBER] | None = None
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
