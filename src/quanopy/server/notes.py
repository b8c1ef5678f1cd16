"""What is sent to webhooks, and how webhooks look to those who ask."""

from quanopy.domain.events import Event
from quanopy.domain.groups import Group
from quanopy.domain.jobs import Job
from quanopy.domain.webhooks import Webhook
from quanopy.server.shown import event_out
from quanopy.wire.webhooks import Note, NoteData, NotedGroup, NotedJob, WebhookOut


def note(event: Event, job: Job | None, group: Group | None) -> bytes:
    """An event as it is sent: what history shows of it, and the names and states of what it is
    about; never a program or result."""
    data = NoteData(
        **dict(event_out(event)),
        job=None if job is None else _job(job),
        group=None if group is None else _group(group),
    )
    return Note(type=event.kind, timestamp=event.at, data=data).model_dump_json().encode()


def _job(job: Job) -> NotedJob:
    return NotedJob(id=job.id, name=job.name, state=job.state, resource=job.resource)


def _group(group: Group) -> NotedGroup:
    return NotedGroup(id=group.id, name=group.name, state=group.state)


def webhook_out(webhook: Webhook, *, whole: bool, secret: str | None = None) -> WebhookOut:
    """A webhook; not ``whole``: of its url only where it leads."""
    return WebhookOut(
        id=webhook.id,
        account=webhook.account,
        url=webhook.url if whole else _origin(webhook.url),
        kinds=list(webhook.kinds),
        job=webhook.job_id,
        group=webhook.group_id,
        label=webhook.label,
        state=webhook.state,
        reason=webhook.reason,
        problem=webhook.problem,
        attempts=webhook.attempts,
        failing_since=webhook.failing_since,
        next_at=webhook.next_at,
        delivered_at=webhook.delivered_at,
        position=str(webhook.position),
        created_at=webhook.created_at,
        secret=secret,
    )


def _origin(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0].partition('?')[0]}"
