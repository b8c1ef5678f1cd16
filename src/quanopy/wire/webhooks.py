"""Webhooks as they cross the wire, and what is sent to them."""

from datetime import datetime

from pydantic import Field

from quanopy.domain.groups import GroupState
from quanopy.domain.states import JobState
from quanopy.domain.webhooks import WebhookState
from quanopy.wire.fields import Answer, Line, Strict
from quanopy.wire.service import EventOut


class WebhookIn(Strict):
    """Where events are to be sent, and which."""

    url: str = Field(min_length=1, max_length=2_000, examples=["https://lab.example/quanopy"])
    kinds: list[Line] = Field(
        default_factory=list,
        max_length=50,
        description="Kinds of events: `job.completed`, `job.*`, `*`; empty: the ends of jobs, and "
        "all of groups.",
    )
    job: Line | None = Field(default=None, max_length=100, description="Only of this job.")
    group: Line | None = Field(
        default=None, max_length=100, description="Only of this group and its jobs: its id."
    )
    label: Line = Field(default="", max_length=200)


class WebhookOut(Answer):
    """A webhook, and how it stands."""

    id: str
    account: str
    url: str = Field(description="To others than its owner: without path and query.")
    kinds: list[str]
    job: str | None = None
    group: str | None = None
    label: str = ""
    state: WebhookState
    reason: str | None = Field(default=None, description="Why it is paused.")
    problem: str | None = Field(default=None, description="Why the last attempt failed.")
    attempts: int = Field(default=0, description="How often the next event was tried in vain.")
    failing_since: datetime | None = None
    next_at: datetime | None = Field(default=None, description="When it is tried again.")
    delivered_at: datetime | None = None
    position: str = Field(description="All it wants up to here was delivered.")
    created_at: datetime
    secret: str | None = Field(
        default=None, description="In the answer that made it: what its requests are signed with."
    )


class WebhooksOut(Answer):
    """Webhooks, the newest first."""

    webhooks: list[WebhookOut]


class WebhookSecretOut(Answer):
    """What a webhook's requests are signed with."""

    id: str
    secret: str
    rotated_at: datetime | None = Field(
        default=None, description="Since when; for a day from then the one before it signs too."
    )


class NotedJob(Answer):
    """The job of an event, as it is when the event is sent."""

    id: str
    name: str | None = None
    state: JobState
    resource: str


class NotedGroup(Answer):
    """The group of an event, or of its job, as it is when the event is sent."""

    id: str
    name: str
    state: GroupState


class NoteData(EventOut):
    """An event, with the job and the group that it is about."""

    job: NotedJob | None = None
    group: NotedGroup | None = None


class Note(Answer):
    """What is sent to a webhook."""

    type: str = Field(description="The event's kind.")
    timestamp: datetime = Field(description="When it happened.")
    data: NoteData
