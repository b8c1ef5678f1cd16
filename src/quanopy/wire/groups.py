"""Groups as they cross the wire."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from quanopy.domain.groups import GroupAction, GroupOrder, GroupState
from quanopy.wire.fields import (
    WHOLE,
    Answer,
    Gap,
    Line,
    Moment,
    Positive,
    Precision,
    Shots,
    Strict,
)
from quanopy.wire.jobs import MAX_NAME, JobIn, JobOut
from quanopy.wire.matching import BoundIn, Name

MOST_SEGMENTS = 100_000

GroupName = Annotated[Line, Field(min_length=1, max_length=MAX_NAME)]
Number = Annotated[int, Field(ge=1, le=1_000_000), WHOLE]
"""Of jobs."""


def _bound(given: Any) -> Any:
    return {"most": given} if isinstance(given, int | float | str) else given


Limit = Annotated[BoundIn, BeforeValidator(_bound, json_schema_input_type=float | BoundIn)]
"""A bound; a number is the most."""


class StopRulesIn(Strict):
    """When a group ends, or pauses, before all its jobs have run."""

    precision: Precision | None = Field(
        default=None, description="End it: no standard error of the merged result is larger."
    )
    seconds: Positive | None = Field(
        default=None, description="End it: so many seconds of resources were used."
    )
    cost: Positive | None = Field(default=None, description="End it: so much was billed.")
    deadline: Moment | None = Field(default=None, description="End it: nothing begins later.")
    calibration: dict[Name, Limit] = Field(
        default_factory=dict,
        max_length=50,
        description="Pause it: by metric, the median over the resource is larger than this, or "
        "outside `least` and `most`.",
    )
    failures: Number | None = Field(
        default=None, description="Pause it: so many of its jobs failed."
    )


class PolicyIn(Strict):
    """How the jobs of a group are run."""

    order: GroupOrder = GroupOrder.PARALLEL
    max_in_flight: Number | None = Field(
        default=None,
        description="Jobs begun and not ended; `null`: one if sequential, else any number.",
    )
    gap: Gap | None = Field(
        default=None,
        description="Between the end of a job and the next (sequential), or between two "
        "beginnings: seconds, or `90s`, `15m`, `2h`.",
    )
    stop: StopRulesIn = StopRulesIn()


class GroupIn(Strict):
    """A group to make; if the account has one of that name, it is answered."""

    name: GroupName
    policy: PolicyIn | None = Field(default=None, description="`null`: the standing one, or none.")
    resource: Line | None = Field(
        default=None, max_length=100, description="What its jobs are meant for."
    )
    run: bool = Field(default=False, description="Begin at once.")


class GroupChangeIn(Strict):
    """What to change of a group; `null`: leave it."""

    name: GroupName | None = None
    policy: PolicyIn | None = None


class GroupActionIn(Strict):
    """What a group is to do."""

    action: GroupAction


class SegmentsIn(Strict):
    """One program as many jobs: ``total_shots`` in segments of ``shots``, or ``count`` times, of
    ``shots`` each where they are given."""

    job: JobIn
    total_shots: Annotated[int, Field(ge=1, le=2**53), WHOLE] | None = None
    shots: Shots | None = None
    count: Annotated[int, Field(ge=1, le=MOST_SEGMENTS), WHOLE] | None = None


class CutOut(Answer):
    """What a group was cut into."""

    count: int
    first: str = Field(description="Id of the first segment's job.")
    last: str


class ProgressOut(Answer):
    """A group's jobs by state, and the shots of those that completed."""

    blocked: int = 0
    queued: int = 0
    running: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    shots: int = 0


class BoundOut(Answer):
    """What the median of a metric must be."""

    least: float | None = None
    most: float | None = None


class StopRulesOut(Answer):
    """See :class:`StopRulesIn`."""

    precision: float | None = None
    seconds: float | None = None
    cost: float | None = None
    deadline: datetime | None = None
    calibration: dict[str, BoundOut] = {}
    failures: int | None = None


class PolicyOut(Answer):
    """See :class:`PolicyIn`."""

    order: GroupOrder = GroupOrder.PARALLEL
    max_in_flight: int | None = None
    gap: float | None = None
    stop: StopRulesOut = StopRulesOut()


class GroupOut(Answer):
    """A group, and how far it is."""

    id: str
    name: str
    account: str
    state: GroupState
    reason: str | None = Field(
        default=None, description="Why it is paused, or ended before all its jobs had run."
    )
    resource: str | None = None
    policy: PolicyOut = PolicyOut()
    size: int = 0
    progress: ProgressOut = ProgressOut()
    usage: dict[str, float] = {}
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    next_at: datetime | None = Field(
        default=None, description="When it is looked at next: a gap ends, or its deadline comes."
    )


class GroupPage(Answer):
    """A page of groups, newest first."""

    groups: list[GroupOut]
    next: str | None = None


class GroupJobsOut(Answer):
    """Jobs of a group in order, from ``after`` on; ``next`` is the last position, if there may be
    more."""

    jobs: list[JobOut]
    next: int | None = None
