"""Everything but jobs as it crosses the wire: events, resources, tokens, health, problems."""

import re
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field

from quanopy.domain.accounts import Scope
from quanopy.domain.jobs import JobKind
from quanopy.domain.states import ResourceState, WayOut
from quanopy.wire.fields import NUMBER, WHOLE, Answer, Line, Strict
from quanopy.wire.jobs import MAX_NAME, ExecutionOut, ProblemOut, Tag

LONGEST_S = 10 * 366 * 24 * 3600
_RESOURCE = re.compile(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?")
_ACCOUNT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]*")


class EventOut(Answer):
    """One line of history; ``id`` is its position, to follow on from."""

    id: str
    at: datetime
    subject: str
    kind: str
    before: str | None = None
    after: str | None = None
    actor: str = ""
    job_id: str | None = None
    data: dict[str, Any] = {}


class EventsOut(Answer):
    """A page of events; ``position`` is where to go on from."""

    events: list[EventOut]
    position: str


class LimitsOut(Answer):
    """What one task may ask; ``null``: no limit."""

    qubits: int | None = None
    clifford_qubits: int | None = None
    pubs: int | None = None
    evaluations: int | None = None
    shots: int | None = None
    job_shots: int | None = None


class ResourceOut(Answer):
    """A resource, and how busy it is."""

    name: str
    provider: str
    description: str = ""
    state: ResourceState
    reason: str | None = None
    simulator: bool = True
    kinds: list[JobKind] = []
    lanes: int | None = None
    device: str | None = Field(
        default=None, description="The physical device it is a part of; `null`: itself."
    )
    part: list[str] | None = Field(
        default=None, description="What of its device it takes; `null`: all of it."
    )
    limits: LimitsOut = LimitsOut()
    default_shots: int = 1024
    gates: list[str] | None = None
    formats: list[str] = Field(default=[], description="Of programs that it takes.")
    technology: str | None = None
    price_per_task: float | None = Field(default=None, description="`null`: not known.")
    price_per_shot: float | None = None
    queued: int = Field(default=0, description="Tasks waiting.")
    active: int = Field(default=0, description="Tasks claimed or executing.")
    wait_s: float = Field(default=0.0, description="Estimated seconds before a new task starts.")
    workers: int = Field(default=0, description="Live workers that serve it.")
    seen_at: datetime | None = None
    calibrated_at: datetime | None = Field(
        default=None,
        description="When it was calibrated, by its vendor, or else when that was first seen.",
    )
    owner: str | None = Field(default=None, description="The account that registered it.")
    accounts: list[str] | None = Field(
        default=None,
        description="The accounts that may use it; `null`: all. Others than its owner and "
        "operators are shown their own account alone.",
    )


class ResourcesOut(Answer):
    """All resources."""

    resources: list[ResourceOut]


class ResourceStateIn(Strict):
    """Take a resource in or out of service."""

    state: ResourceState
    reason: Line | None = Field(default=None, max_length=500)


def _resource_name(text: str) -> str:
    if _RESOURCE.fullmatch(text) is None:
        raise ValueError(
            "a resource's name has small letters, digits and . _ - alone, "
            "and begins and ends with a letter or digit"
        )
    return text


class RegistrationIn(Strict):
    """A resource that registers itself: a virtual QPU."""

    name: Annotated[
        str,
        Field(
            max_length=64, json_schema_extra={"minLength": 1, "pattern": f"^{_RESOURCE.pattern}$"}
        ),
        AfterValidator(_resource_name),
    ]
    url: str = Field(min_length=1, max_length=300, description="Where workers reach it.")
    target: dict[str, Any] = Field(description="Its machine as `quanopy.target/1`.")
    description: Line = Field(default="", max_length=500)
    lanes: Annotated[int, Field(ge=1, le=256), WHOLE] = Field(
        default=1, description="Programs it runs at once."
    )


class RegistrationOut(Answer):
    """A registration; ``token`` is what workers will send, and the only one it should take."""

    id: str
    name: str
    token: str
    ttl_s: float = Field(description="Seconds without a heartbeat until it is offline.")


class HeartbeatIn(Strict):
    """A registered resource lives."""

    id: Line = Field(min_length=1, max_length=100, description="The registration's id.")
    leaving: bool = Field(default=False, description="It takes no new work.")


class StrandedOut(ExecutionOut):
    """A stranded execution: what is known of it. Its id is the key that it was sent under."""

    account: str
    tasks: list[str]
    jobs: list[str] = Field(default=[], description="Whose tasks it carries.")
    searches: int = Field(default=0, description="How often it was looked for, and not found.")


class StrandedListOut(Answer):
    """Stranded executions, the oldest first."""

    executions: list[StrandedOut]


class WayOutIn(Strict):
    """What an operator says of a stranded execution."""

    way: WayOut = Field(
        description="`found`: it is followed again; `resend`: its tasks queue again, only where "
        "the provider never had it; `give-up`: its tasks fail; `look`: ask the provider once more."
    )
    reason: Line = Field(min_length=1, max_length=500, description="What was found out.")
    provider_job_id: Line | None = Field(
        default=None,
        min_length=1,
        max_length=500,
        description="The provider's id, of one that was found; default: the one known.",
    )


def _account(text: str) -> str:
    if _ACCOUNT.fullmatch(text) is None:
        raise ValueError(
            "an account has letters, digits and . _ @ - alone, and begins with a letter or digit"
        )
    return text


Account = Annotated[
    str,
    Field(max_length=100, json_schema_extra={"minLength": 1, "pattern": f"^{_ACCOUNT.pattern}$"}),
    AfterValidator(_account),
]


class AccessIn(Strict):
    """Whom a resource serves."""

    accounts: list[Account] | None = Field(
        max_length=1_000, description="And its owner; `null`: everybody."
    )


class AdoptIn(Strict):
    """A job to take over that was made at a vendor by somebody else."""

    provider: Line = Field(min_length=1, max_length=100)
    id: Line = Field(min_length=1, max_length=500, description="The vendor's id of it.")
    account: Account | None = Field(
        default=None, description="Whose job it is to be; default: the caller's own."
    )
    name: Line | None = Field(default=None, max_length=MAX_NAME)
    tags: list[Tag] = Field(default_factory=list, max_length=50)


class AdoptionOut(Answer):
    """What became of an adoption: a job, a problem, or neither yet."""

    provider: str
    id: str
    account: str
    job_id: str | None = None
    problem: ProblemOut | None = None
    asked_at: datetime


class TokenIn(Strict):
    """A token to make."""

    account: Account
    scope: Scope = Scope.USER
    label: Line = Field(default="", max_length=200)
    expires_in_s: Annotated[float, Field(gt=0, le=LONGEST_S), NUMBER] | None = Field(
        default=None, description="At most ten years; `null`: for good."
    )


class TokenOut(Answer):
    """A token; ``secret`` only in the answer that made it."""

    id: str
    account: str
    scope: Scope
    label: str = ""
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    secret: str | None = None


class TokensOut(Answer):
    """All tokens."""

    tokens: list[TokenOut]


class HealthOut(Answer):
    """Whether the service stands (``/v1/health``) and can work (``/v1/ready``)."""

    status: str = "ok"
    version: str
    checks: dict[str, str] = {}


class Problem(Answer):
    """RFC 9457 problem details, with ``where`` (in the input) and ``hint`` (what to do)."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: str
    title: str
    status: int
    detail: str
    where: str | None = None
    hint: str | None = None
    retry_after_s: float | None = None
