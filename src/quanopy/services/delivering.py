"""Delivering for one webhook: what it has not been told yet, event by event, until it is or one
cannot be."""

import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from threading import Event as Signal
from threading import Lock

from quanopy.domain.errors import Denied
from quanopy.domain.events import Event, Position
from quanopy.domain.groups import Group
from quanopy.domain.ids import is_id, new_id
from quanopy.domain.jobs import Job
from quanopy.domain.webhooks import FURTHEST, PING, Webhook
from quanopy.ports.events import EventQuery
from quanopy.ports.sender import Answer, Line, Refused, Sender
from quanopy.ports.store import Store
from quanopy.ports.webhooks import Step
from quanopy.services.webhook_secrets import Signing, WebhookSecrets
from quanopy.webhooks import sign

log = logging.getLogger(__name__)

CLAIM_S = 15.0
"""A worker that has said nothing of a webhook for so long has died: others deliver for it."""
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 300.0
PAGE = 100
_GONE = 410
_BROKEN = "the broker could not sign it: its operator sees why in the log"

Render = Callable[[Event, Job | None, Group | None], bytes]
"""The body of a request: an event, and the job and the group that it belongs to as they are now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Later:
    """When a webhook is to be looked at again."""

    at: datetime | None = None
    """``None``: when something happens."""
    rests: bool = False
    """Not before, whatever happens."""


class Delivering:
    """Delivers for webhooks, each under a claim. Threads share it."""

    def __init__(
        self,
        *,
        store: Store,
        sender: Callable[[], Sender],
        secrets: WebhookSecrets,
        render: Render,
        agent: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """``sender`` makes one, when it is first needed; ``agent`` is what requests say of who
        sends them; ``jitter`` gives 0 to 1."""
        self._store = store
        self._make_sender = sender
        self._lock = Lock()
        self._sender: Sender | None = None
        self._secrets = secrets
        self._render = render
        self._agent = agent
        self._clock = clock
        self._jitter = jitter
        self._closing = Signal()

    def close(self) -> None:
        """Cut off what is under way: it is as if it had not been sent."""
        self._closing.set()
        with self._lock:
            if self._sender is not None:
                self._sender.close()

    def deliver(self, id: str, wanted: Position | None) -> Later:
        """Tell a webhook all that it wants, unless somebody else does, or it has come past
        ``wanted``; when to look at it again."""
        signing = self._signing()  # a command may tell the key, and take longer than a claim lasts
        claim_id = new_id("claim")
        takings = self._store.claim_webhooks(claim_id, {id: wanted}, ttl_s=CLAIM_S)
        if not takings or not takings[0].taken:
            return _later(takings[0].webhook, takings[0].look_at) if takings else Later()
        webhook = takings[0].webhook
        with self._line(webhook.url) as line:
            return self._tell(webhook, claim_id, line, signing)

    def _signing(self) -> Signing | None:
        """``None`` where the broker's key cannot be read."""
        try:
            return self._secrets.signing()
        except Denied as error:
            log.error("webhooks cannot be signed: %s", error)
            return None

    def _line(self, url: str) -> Line:
        with self._lock:
            if self._sender is None:
                self._sender = self._make_sender()
                if self._closing.is_set():
                    self._sender.close()
            return self._sender.line(url)

    def _tell(self, webhook: Webhook, claim_id: str, line: Line, signing: Signing | None) -> Later:
        while True:
            page = self._store.events(_query(webhook))
            wanted = [event for event in page.events if webhook.wants(event)]
            about = self._about(wanted)
            end = Step(webhook_id=webhook.id, position=page.position, keep=len(page.events) == PAGE)
            for event in wanted:
                step = self._attempt(webhook, event, about, line, signing)
                if step.delivered and event is wanted[-1]:
                    step = replace(end, delivered=True)
                webhook, goes_on = self._settle(claim_id, webhook, step)
                if not goes_on:
                    return _later(webhook, webhook.next_at)
            if not wanted:
                webhook, goes_on = self._settle(claim_id, webhook, end)
                if not goes_on:
                    return _later(webhook, webhook.next_at)

    def _settle(self, claim_id: str, webhook: Webhook, step: Step) -> tuple[Webhook, bool]:
        """The webhook as it is then, and whether this worker goes on to deliver for it."""
        settled = self._store.settle_webhooks(claim_id, [step], ttl_s=CLAIM_S)
        if not settled:
            log.warning("the claim on %s was lost: somebody else delivers for it", webhook.id)
            until = self._clock() + timedelta(seconds=CLAIM_S)
            return replace(webhook, next_at=until, attempts=0), False
        (after,) = settled
        return after, step.keep and not after.paused

    def _attempt(
        self, webhook: Webhook, event: Event, about: "_About", line: Line, signing: Signing | None
    ) -> Step:
        """Send one event, once."""
        if self._closing.is_set():
            return Step(webhook_id=webhook.id)
        if signing is None:
            return self._failed(webhook, _BROKEN)
        now = self._clock()
        try:
            body = self._render(event, *about.of(event))
            headers = {
                "Content-Type": "application/json",
                "User-Agent": self._agent,
                **sign(
                    signing(webhook, now), message_id(webhook, event), int(now.timestamp()), body
                ),
            }
            answer = line.post(headers, body)
        except Refused as error:
            if self._closing.is_set():
                return Step(webhook_id=webhook.id)
            return self._failed(webhook, str(error))
        if 200 <= answer.status < 300:
            return Step(webhook_id=webhook.id, position=event.position, delivered=True, keep=True)
        return self._failed(webhook, _said(answer), answer)

    def _failed(self, webhook: Webhook, problem: str, answer: Answer | None = None) -> Step:
        pause = min(FIRST_PAUSE_S * 2.0 ** min(webhook.attempts, 30), LONGEST_PAUSE_S)
        pause *= 0.5 + self._jitter() / 2
        asked = answer.retry_after_s if answer is not None else None
        return Step(
            webhook_id=webhook.id,
            problem=problem,
            retry_in_s=max(pause, min(asked or 0.0, FURTHEST.total_seconds())),
            gone=answer is not None and answer.status == _GONE,
        )

    def _about(self, events: Sequence[Event]) -> "_About":
        ids = {event.job_id for event in events if event.job_id is not None}
        jobs = self._store.jobs(ids) if ids else []
        of = {event.subject for event in events if is_id(event.subject, "group")}
        of |= {job.group_id for job in jobs if job.group_id is not None}
        groups = self._store.groups(of) if of else []
        return _About(
            jobs={job.id: job for job in jobs}, groups={group.id: group for group in groups}
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _About:
    """The jobs and groups of some events."""

    jobs: Mapping[str, Job]
    groups: Mapping[str, Group]

    def of(self, event: Event) -> tuple[Job | None, Group | None]:
        """Those of one event."""
        job = self.jobs.get(event.job_id or "")
        group_id = job.group_id if job is not None else event.subject
        return job, self.groups.get(group_id or "")


def _later(webhook: Webhook, at: datetime | None) -> Later:
    return Later(at=at, rests=at is not None and webhook.attempts > 0)


def message_id(webhook: Webhook, event: Event) -> str:
    """What names an event to a webhook, whenever and however often it is sent."""
    return f"{webhook.id}-{event.position.seq}"


def _query(webhook: Webhook) -> EventQuery:
    return EventQuery(
        after=webhook.position,
        account=webhook.account,
        job_ids=None if webhook.job_id is None else [webhook.job_id],
        group_id=webhook.group_id,
        subject=webhook.id if webhook.job_id or webhook.group_id else None,
        kinds=[*webhook.kinds, PING],
        limit=PAGE,
    )


def _said(answer: Answer) -> str:
    if 300 <= answer.status < 400:
        return f"it answered {answer.status}, and redirects are not followed"
    if answer.status == _GONE:
        return "it answered 410: nobody wants it there any more"
    return f"it answered {answer.status}"
