"""Webhooks: where an account wants to be told what happens, and how far it has been told."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from quanopy.domain.errors import Invalid
from quanopy.domain.events import KINDS, Event, Position

USUAL_KINDS = ("job.completed", "job.failed", "job.cancelled", "group.*")
"""What a webhook is told that does not say: the ends of jobs, and all of groups."""
PING = "webhook.ping"
"""The event that tries a webhook out; no other webhook is told of it."""
BOTH_SIGN = timedelta(days=1)
"""How long the secret before the last one goes on to sign."""
PATIENCE = timedelta(days=7)
"""How long a webhook may fail before it is paused."""
FURTHEST = timedelta(hours=1)
"""The longest between two attempts, whatever a server asks for."""
MOST = 1_000
"""Webhooks of one account."""


class WebhookState(StrEnum):
    """How a webhook stands."""

    ACTIVE = "active"
    FAILING = "failing"
    """The last attempt failed: the same event is tried again."""
    PAUSED = "paused"
    """Nothing is sent until someone resumes it; then it goes on from where it stood."""


class WebhookChange(StrEnum):
    """What may be asked of a webhook."""

    PAUSE = "pause"
    RESUME = "resume"
    """Also: try what fails again now."""
    ROTATE = "rotate"
    """Sign with a new secret, and for a day with the old one too."""
    PING = "ping"
    """Send a test, now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A url that is sent events, one at a time and in their order."""

    id: str
    account: str
    url: str
    kinds: tuple[str, ...] = USUAL_KINDS
    """Kinds of events, such as ``job.completed``; ``job.*``: all of jobs, ``*``: all."""
    job_id: str | None = None
    """Only events of this job; ``None``: of the whole account."""
    group_id: str | None = None
    """Only events of this group and its jobs."""
    label: str = ""
    created_at: datetime
    position: Position = field(default_factory=Position)
    """All that is wanted up to here was delivered."""
    generation: int = 1
    """Which of its secrets signs."""
    rotated_at: datetime | None = None
    delivered_at: datetime | None = None
    attempts: int = 0
    """How often the event that is next was tried in vain."""
    failing_since: datetime | None = None
    next_at: datetime | None = None
    """When that is tried again; ``None``: as soon as there is one."""
    problem: str | None = None
    """Why the last attempt failed."""
    paused: bool = False
    reason: str | None = None
    """Why it is paused."""

    @property
    def state(self) -> WebhookState:
        """How it stands."""
        if self.paused:
            return WebhookState.PAUSED
        return WebhookState.FAILING if self.attempts else WebhookState.ACTIVE

    def wants(self, event: Event) -> bool:
        """Whether it may be one to send: of jobs in a group only the catalogue knows."""
        if event.kind == PING:
            return event.subject == self.id
        if event.account != self.account or (self.job_id and event.job_id != self.job_id):
            return False
        return any(_matches(pattern, event.kind) for pattern in self.kinds)

    def generations(self, now: datetime) -> Sequence[int]:
        """The secrets that sign at a time, the newest first."""
        rotated = self.rotated_at
        if rotated is not None and self.generation > 1 and now - rotated < BOTH_SIGN:
            return (self.generation, self.generation - 1)
        return (self.generation,)


def _matches(pattern: str, kind: str) -> bool:
    return pattern == kind or (pattern.endswith("*") and kind.startswith(pattern[:-1]))


def checked_kinds(kinds: Sequence[str]) -> tuple[str, ...]:
    """Patterns of kinds, each once; raises :class:`Invalid` for what no event is called."""
    for index, pattern in enumerate(kinds):
        subject, _, name = pattern.partition(".")
        known = subject in KINDS and name in ("*", *KINDS[subject])
        if pattern != "*" and not known:
            raise Invalid(
                f"no event is called {pattern[:60]!r}",
                where=f"kinds[{index}]",
                hint=_known(subject),
            )
    return tuple(dict.fromkeys(kinds)) or USUAL_KINDS


def _known(subject: str) -> str:
    """What events are called, of one subject or by their subjects."""
    names = KINDS.get(subject)
    if names is None:
        return f"Write job.completed, job.* or *; they are of {', '.join(KINDS)}."
    return f"There are {', '.join(f'{subject}.{name}' for name in sorted(names))}, and {subject}.*."
