"""The catalogue on SQLite or PostgreSQL: every method one transaction."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeVar

from sqlalchemy import select

from quanopy.domain.accounts import Token
from quanopy.domain.adoptions import Adoption
from quanopy.domain.errors import QuanopyError
from quanopy.domain.events import Position
from quanopy.domain.groups import Group, GroupAction, GroupPolicy, Progress, Ruling, Turn
from quanopy.domain.jobs import Execution, Job, Problem, Task
from quanopy.domain.resources import Registration, Resource, ResourceStatus
from quanopy.domain.sightings import Sighting, Standing
from quanopy.domain.states import ExecutionState, ResourceState
from quanopy.domain.webhooks import Webhook, WebhookChange
from quanopy.ports.archive import Member, Restoring, Told, ToldGroup
from quanopy.ports.claims import Claim, Offer, Swept
from quanopy.ports.events import EventPage, EventQuery
from quanopy.ports.executions import Due, Ending, ExecutionChange, Finished
from quanopy.ports.groups import GroupQuery, GroupWork, Stepped
from quanopy.ports.jobs import JobQuery
from quanopy.ports.store import Store
from quanopy.ports.submissions import Entry, Make, Offering, Repeat, Submission
from quanopy.ports.webhooks import Step, Taking
from quanopy.storage import (
    adoptions,
    archive,
    calibrations,
    cancelling,
    claims,
    endings,
    events,
    executions,
    followers,
    group_listing,
    group_rows,
    groups,
    listing,
    queue,
    reading,
    registrations,
    regrouping,
    reruns,
    resources,
    sightings,
    stranded,
    submissions,
    sweeping,
    tokens,
    told,
    turns,
    webhooks,
)
from quanopy.storage.clocks import shared_now
from quanopy.storage.engine import Database
from quanopy.storage.faults import Refused
from quanopy.storage.migrations import migrate
from quanopy.storage.transaction import Transaction
from quanopy.storage.values import span, stamp

T = TypeVar("T")

Clock = Callable[[], datetime]
_ONE = select(1)


def open_store(
    url: str, *, clock: Clock | None = None, connections: int = 8, pooled: bool = False
) -> Store:
    """The catalogue at ``sqlite:////path`` or ``postgresql://…``, brought up to date.

    ``pooled``: PostgreSQL is reached through a transaction pooler.

    Raises:
        Invalid: this is no such address, or a SQLite file on a network file system.
        Unavailable: the database cannot be reached, or is of a later version.
    """
    database = Database(url, connections=connections, pooled=pooled)
    try:
        migrate(database)
        if database.inspect(events.are_foreign):
            database.alter(events.adopt)
    except BaseException:
        database.close()
        raise
    return SqlStore(database, clock=clock or _utc)


def _utc() -> datetime:
    return datetime.now(UTC)


class SqlStore:
    """A :class:`~quanopy.ports.store.Store` in SQL."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def _now(self) -> int:
        return stamp(self._clock())

    def _write(self, work: Callable[[Transaction, int], T]) -> T:
        """Do this in a transaction that may write, told what time it is when it begins: to begin,
        one may have to wait."""
        return self._database.write(lambda c: work(c, self._now()))

    # -- submitting and reading ---------------------------------------------------------------
    def submit(self, submissions_: Sequence[Submission]) -> list[Sequence[Job] | QuanopyError]:
        """See :meth:`Store.submit`."""
        entries = [one.entry for one in submissions_]
        return self.accept(entries, lambda new: [submissions_[i] for i in new], None)[0]

    def accept(
        self,
        entries: Sequence[Entry],
        make: Make,
        offering: Offering | None,
        *,
        keep: Callable[[], object] = lambda: None,
    ) -> tuple[list[Sequence[Job] | QuanopyError], list[Claim]]:
        """See :meth:`Store.accept`."""

        def work(
            connection: Transaction,
        ) -> tuple[list[Sequence[Job] | QuanopyError], list[Claim]]:
            return submissions.accept(connection, entries, make, keep, offering, self._now)

        def alone(index: int, entry: Entry) -> list[Sequence[Job] | QuanopyError]:
            return self.accept([entry], lambda new: make([index] * len(new)), None, keep=keep)[0]

        try:
            return self._database.write(work)
        except Refused as refused:
            if len(entries) == 1:
                return [submissions.refusal(refused)], []
        # One of them cannot be, and the others need not suffer for it.
        return [answer for i, entry in enumerate(entries) for answer in alone(i, entry)], []

    def replay(self, requests: Sequence[Repeat]) -> list[Sequence[Job] | QuanopyError | None]:
        """See :meth:`Store.replay`."""
        return self._database.read(lambda c: submissions.replay(c, requests)) if requests else []

    def requested(self, account: str, key: str) -> list[Job]:
        """See :meth:`Store.requested`."""
        return self._database.read(lambda c: submissions.requested(c, account, key))

    def jobs(self, ids: Collection[str], *, account: str | None = None) -> list[Job]:
        """See :meth:`Store.jobs`."""
        return self._database.read(lambda c: reading.jobs(c, ids, account))

    def list_jobs(self, query: JobQuery) -> list[Job]:
        """See :meth:`Store.list_jobs`."""
        return self._database.read(lambda c: listing.list_jobs(c, query))

    def tasks(self, job_ids: Collection[str]) -> list[Task]:
        """See :meth:`Store.tasks`."""
        return self._database.read(lambda c: reading.tasks(c, job_ids))

    def jobs_with_tasks(
        self, ids: Collection[str], parts_of: Collection[str]
    ) -> tuple[list[Job], list[Task]]:
        """See :meth:`Store.jobs_with_tasks`."""
        return self._database.read(lambda c: reading.jobs_with_tasks(c, ids, parts_of))

    def awaited_jobs(self, job_id: str) -> list[Job]:
        """See :meth:`Store.awaited_jobs`."""
        return self._database.read(lambda c: followers.awaited(c, job_id))

    def executions(self, job_id: str) -> list[Execution]:
        """See :meth:`Store.executions`."""
        return self._database.read(lambda c: reading.executions(c, job_id))

    def executions_by_id(self, ids: Collection[str]) -> list[Execution]:
        """See :meth:`Store.executions_by_id`."""
        return self._database.read(lambda c: reading.executions_by_id(c, ids)) if ids else []

    def events(self, query: EventQuery) -> EventPage:
        """See :meth:`Store.events`."""
        return self._database.read(lambda c: events.read_events(c, query))

    def horizon(self) -> Position:
        """See :meth:`Store.horizon`."""
        return self._database.read(events.now_position)

    # -- users' requests ----------------------------------------------------------------------
    def cancel(self, job_ids: Collection[str], *, actor: str) -> list[Job]:
        """See :meth:`Store.cancel`."""
        return self._write(lambda c, now: cancelling.cancel(c, job_ids, actor=actor, now=now))

    def retry(self, job_ids: Collection[str], *, actor: str) -> list[Job]:
        """See :meth:`Store.retry`."""
        return self._write(lambda c, now: reruns.retry(c, job_ids, actor=actor, now=now))

    # -- groups -------------------------------------------------------------------------------
    def create_group(self, group: Group) -> tuple[Group, bool]:
        """See :meth:`Store.create_group`."""
        return self._write(lambda c, now: groups.create(c, group, now=now))

    def groups(self, ids: Collection[str]) -> list[Group]:
        """See :meth:`Store.groups`."""
        return self._database.read(lambda c: group_rows.find(c, ids))

    def list_groups(self, query: GroupQuery) -> list[Group]:
        """See :meth:`Store.list_groups`."""
        return self._database.read(lambda c: group_listing.listing(c, query))

    def progress(self, ids: Collection[str]) -> Mapping[str, Progress]:
        """See :meth:`Store.progress`."""
        return self._database.read(lambda c: group_listing.progress(c, ids))

    def group_jobs(self, group_id: str, *, after: int = -1, limit: int) -> list[Job]:
        """See :meth:`Store.group_jobs`."""
        return self._database.read(lambda c: group_listing.members(c, group_id, after, limit))

    def act_on_group(self, group_id: str, action: GroupAction, *, actor: str) -> Group:
        """See :meth:`Store.act_on_group`."""
        return self._write(lambda c, now: groups.act(c, group_id, action, actor=actor, now=now))

    def revise_group(
        self, group_id: str, *, name: str | None, policy: GroupPolicy | None, actor: str
    ) -> Group:
        """See :meth:`Store.revise_group`."""
        try:
            return self._write(
                lambda c, now: groups.revise(
                    c, group_id, name=name, policy=policy, actor=actor, now=now
                )
            )
        except Refused as refused:
            if not refused.duplicate:
                raise submissions.refusal(refused) from refused
            # Somebody took the name meanwhile.
            raise groups.taken(name) from refused

    def remove_group(self, group_id: str, *, actor: str) -> Group:
        """See :meth:`Store.remove_group`."""
        return self._write(lambda c, now: groups.remove(c, group_id, actor=actor, now=now))

    def rerun_group(self, group_id: str, *, actor: str) -> list[Job]:
        """See :meth:`Store.rerun_group`."""
        return self._write(lambda c, now: reruns.rerun(c, group_id, actor=actor, now=now))

    def group_work(self) -> GroupWork:
        """See :meth:`Store.group_work`."""
        now = self._now()
        return self._database.read(lambda c: turns.work(c, now=now))

    def step_groups(
        self,
        taken: Sequence[Turn],
        group_ids: Collection[str],
        rulings: Mapping[str, Ruling],
    ) -> Stepped:
        """See :meth:`Store.step_groups`."""
        return self._write(lambda c, now: turns.step(c, taken, group_ids, rulings, now=now))

    def archived(self, lines: Collection[int]) -> None:
        """See :meth:`Store.archived`."""
        if lines:
            self._database.write(lambda c: turns.archived(c, lines))

    # -- workers ------------------------------------------------------------------------------
    def register(self, worker: str, served: Sequence[Resource], *, ttl_s: float) -> set[str]:
        """See :meth:`Store.register`."""
        ttl = span(ttl_s)
        return self._write(lambda c, now: resources.register(c, worker, served, ttl=ttl, now=now))

    def skew_s(self) -> float:
        """See :meth:`Store.skew_s`."""

        def ahead(connection: Transaction) -> float:
            asked = self._now()
            shared = shared_now(connection, asked)
            # However long the answer took, it was given between these two.
            least = max(asked, min(shared, self._now()))
            return (least - shared) / 1_000_000

        return self._database.read(ahead)

    def retire(self, worker: str) -> None:
        """See :meth:`Store.retire`."""

        def work(connection: Transaction) -> None:
            resources.retire(connection, worker)
            claims.retire(connection, worker)

        self._database.write(work)

    def resources(self) -> list[ResourceStatus]:
        """See :meth:`Store.resources`."""
        now = self._now()
        return self._database.read(lambda c: resources.statuses(c, now=now))

    def set_resource_state(
        self, name: str, state: ResourceState, reason: str | None, *, actor: str
    ) -> Resource:
        """See :meth:`Store.set_resource_state`."""
        return self._write(
            lambda c, now: resources.set_state(c, name, state, reason, actor=actor, now=now)
        )

    def ready(self, names: tuple[str, ...]) -> set[str]:
        """See :meth:`Store.ready`."""
        now = self._now()
        return self._database.read(lambda c: queue.waiting(c, names, now))

    def claim(
        self, worker: str, offers: Sequence[Offer], *, ttl_s: float, most: int | None = None
    ) -> list[Claim]:
        """See :meth:`Store.claim`. A transaction a resource."""
        ttl = span(ttl_s)
        taken: list[Claim] = []
        for offer in offers:
            left = offer.claims if most is None else most - len(taken)
            if left > 0:
                longs = offer.longs - claims.long_tasks(taken, offer.long_s)
                taken += self._claim(worker, replace(offer, longs=longs), ttl, left)
        return taken

    def _claim(self, worker: str, offer: Offer, ttl: int, most: int) -> list[Claim]:
        return self._database.write(
            lambda c: claims.claim(c, worker, offer, ttl=ttl, clock=self._now, most=most)
        )

    def renew(self, worker: str, *, ttl_s: float) -> set[str]:
        """See :meth:`Store.renew`."""
        ttl = span(ttl_s)
        return self._write(lambda c, now: claims.renew(c, worker, ttl=ttl, now=now))

    def release(self, claim_ids: Collection[str]) -> None:
        """See :meth:`Store.release`."""
        self._database.write(lambda c: claims.give_up(c, claim_ids))

    def cancel_requests(self, worker: str) -> set[str]:
        """See :meth:`Store.cancel_requests`."""
        return self._database.read(lambda c: claims.cancel_requests(c, worker))

    def begin(self, claim_id: str, begun: Sequence[Execution], *, ttl_s: float) -> None:
        """See :meth:`Store.begin`."""
        ttl = span(ttl_s)
        self._write(lambda c, now: executions.begin(c, claim_id, begun, ttl=ttl, now=now))

    def due(self, worker: str, providers: Sequence[str], *, limit: int, ttl_s: float) -> list[Due]:
        """See :meth:`Store.due`."""
        ttl = span(ttl_s)
        return self._write(
            lambda c, now: executions.due(c, worker, providers, limit=limit, ttl=ttl, now=now)
        )

    def advance(self, claim_id: str, changes: Sequence[ExecutionChange]) -> None:
        """See :meth:`Store.advance`."""
        self._write(lambda c, now: executions.advance(c, claim_id, changes, now=now))

    def finish(
        self, claim_id: str, ended: Sequence[Ending], *, show: Collection[str] = ()
    ) -> Finished:
        """See :meth:`Store.finish`."""
        return self._write(lambda c, now: endings.finish(c, claim_id, ended, show, now=now))

    def sweep(self) -> Swept:
        """See :meth:`Store.sweep`."""
        return self._write(lambda c, now: sweeping.sweep(c, now=now))

    # -- resources that register themselves ---------------------------------------------------
    def enrol(self, registration: Registration, resource: Resource) -> Registration:
        """See :meth:`Store.enrol`."""
        return self._write(lambda c, now: registrations.enrol(c, registration, resource, now=now))

    def beat(self, name: str, registration_id: str, *, leaving: bool = False) -> None:
        """See :meth:`Store.beat`."""
        self._write(
            lambda c, now: registrations.beat(c, name, registration_id, leaving=leaving, now=now)
        )

    def withdraw(self, name: str, registration_id: str | None, *, actor: str) -> None:
        """See :meth:`Store.withdraw`."""
        self._write(
            lambda c, now: registrations.withdraw(c, name, registration_id, actor=actor, now=now)
        )

    def registrations(self) -> list[Registration]:
        """See :meth:`Store.registrations`."""
        return self._database.read(lambda c: registrations.everyone(c, now=self._now()))

    def open_resource(self, name: str, accounts: Sequence[str] | None, *, actor: str) -> Resource:
        """See :meth:`Store.open_resource`."""
        return self._write(
            lambda c, now: registrations.open_to(c, name, accounts, actor=actor, now=now)
        )

    # -- operators ----------------------------------------------------------------------------
    def open_executions(self, state: ExecutionState, *, limit: int) -> list[Execution]:
        """See :meth:`Store.open_executions`."""
        return self._database.read(lambda c: stranded.in_state(c, state, limit=limit))

    def jobs_of(self, execution_ids: Collection[str]) -> Mapping[str, Sequence[str]]:
        """See :meth:`Store.jobs_of`."""
        return self._database.read(lambda c: executions.jobs_of(c, execution_ids))

    def unanswered(self, provider: str) -> list[Execution]:
        """See :meth:`Store.unanswered`."""
        return self._database.read(lambda c: stranded.unanswered(c, provider))

    def hold_stranded(
        self, execution_id: str, *, actor: str, ttl_s: float, found: str | None = None
    ) -> Due:
        """See :meth:`Store.hold_stranded`."""
        ttl = span(ttl_s)
        return self._write(
            lambda c, now: stranded.hold(
                c, execution_id, actor=actor, ttl=ttl, found=found, now=now
            )
        )

    # -- calibration --------------------------------------------------------------------------
    def calibrations_due(self, names: Collection[str], *, hold_s: float) -> set[str]:
        """See :meth:`Store.calibrations_due`."""
        hold = span(hold_s)
        return self._write(lambda c, now: calibrations.due(c, sorted(names), hold=hold, now=now))

    def note_calibration(
        self,
        resource: str,
        found: Sighting | None,
        problem: Problem | None = None,
        *,
        pause_s: float,
        registration: str | None = None,
        actor: str = "",
    ) -> tuple[Standing, int]:
        """See :meth:`Store.note_calibration`."""
        pause = span(pause_s)
        return self._write(
            lambda c, now: calibrations.note(
                c,
                resource,
                found,
                problem,
                registration=registration,
                pause=pause,
                actor=actor,
                now=now,
            )
        )

    def standings(self, names: Sequence[str]) -> list[Standing]:
        """See :meth:`Store.standings`."""
        return self._database.read(lambda c: calibrations.standings(c, names)) if names else []

    def awaited_calibrations(self, task_ids: Collection[str]) -> dict[str, float]:
        """See :meth:`Store.awaited_calibrations`."""
        return self._database.read(lambda c: calibrations.awaited(c, task_ids)) if task_ids else {}

    def sightings(
        self, resource: str, *, since: datetime | None, until: datetime, limit: int
    ) -> list[Sighting]:
        """See :meth:`Store.sightings`."""
        return self._database.read(lambda c: sightings.between(c, resource, since, until, limit))

    def sighting(self, digest: str) -> Sighting | None:
        """See :meth:`Store.sighting`."""
        return self._database.read(lambda c: sightings.by_digest(c, digest))

    def first_sightings(self, digests: Collection[str]) -> list[Sighting]:
        """See :meth:`Store.first_sightings`."""
        return self._database.read(lambda c: sightings.first(c, digests)) if digests else []

    def restore_sightings(self, found: Sequence[Sighting]) -> None:
        """See :meth:`Store.restore_sightings`."""
        if found:
            self._database.write(lambda c: sightings.restore(c, found))

    def ask_adoption(self, asked: Adoption) -> Adoption:
        """See :meth:`Store.ask_adoption`."""
        return self._database.write(lambda c: adoptions.ask(c, asked))

    def adoption(self, provider: str, provider_job_id: str) -> Adoption | None:
        """See :meth:`Store.adoption`."""
        return self._database.read(lambda c: adoptions.one(c, provider, provider_job_id))

    def open_adoptions(
        self, provider: str, *, after: Adoption | None = None, limit: int
    ) -> list[Adoption]:
        """See :meth:`Store.open_adoptions`."""
        return self._database.read(
            lambda c: adoptions.still_open(c, provider, after=after, limit=limit)
        )

    def adopt(self, asked: Adoption, submission: Submission, execution: Execution) -> None:
        """See :meth:`Store.adopt`."""
        self._write(lambda c, now: adoptions.adopt(c, asked, submission, execution, now))

    def refuse_adoption(self, asked: Adoption, problem: Problem) -> None:
        """See :meth:`Store.refuse_adoption`."""
        self._database.write(lambda c: adoptions.refuse(c, asked, problem))

    # -- access -------------------------------------------------------------------------------
    def add_token(self, token: Token) -> None:
        """See :meth:`Store.add_token`."""
        self._database.write(lambda c: tokens.add(c, token))

    def token(self, digest: str) -> Token | None:
        """See :meth:`Store.token`."""
        return self._database.read(lambda c: tokens.by_digest(c, digest))

    def tokens(self) -> list[Token]:
        """See :meth:`Store.tokens`."""
        return self._database.read(tokens.everyone)

    def revoke_token(self, id: str) -> Token:
        """See :meth:`Store.revoke_token`."""
        return self._write(lambda c, now: tokens.revoke(c, id, now=now))

    # -- webhooks -----------------------------------------------------------------------------
    def add_webhook(
        self, webhook: Webhook, *, idempotency_key: str | None = None, request_digest: str = ""
    ) -> tuple[Webhook, bool]:
        """See :meth:`Store.add_webhook`."""

        def work(connection: Transaction, now: int) -> tuple[Webhook, bool]:
            return webhooks.add(
                connection, webhook, key=idempotency_key, digest=request_digest, now=now
            )

        try:
            return self._write(work)
        except Refused as refused:
            if not refused.duplicate:
                raise
            return self._write(work)  # The same request came twice at once.

    def webhooks(
        self,
        *,
        account: str | None = None,
        ids: Collection[str] | None = None,
        unpaused: bool = False,
    ) -> list[Webhook]:
        """See :meth:`Store.webhooks`."""
        return self._database.read(
            lambda c: webhooks.listed(c, account=account, ids=ids, unpaused=unpaused)
        )

    def change_webhook(
        self, id: str, change: WebhookChange, *, account: str | None, actor: str
    ) -> Webhook:
        """See :meth:`Store.change_webhook`."""
        return self._write(
            lambda c, now: webhooks.change(c, id, change, account=account, actor=actor, now=now)
        )

    def remove_webhook(self, id: str, *, account: str | None, actor: str) -> Webhook:
        """See :meth:`Store.remove_webhook`."""
        return self._write(
            lambda c, now: webhooks.remove(c, id, account=account, actor=actor, now=now)
        )

    def claim_webhooks(
        self, claim_id: str, wanted: Mapping[str, Position | None], *, ttl_s: float
    ) -> list[Taking]:
        """See :meth:`Store.claim_webhooks`."""
        ttl = span(ttl_s)
        return self._write(lambda c, now: webhooks.claim(c, claim_id, wanted, ttl=ttl, now=now))

    def settle_webhooks(
        self, claim_id: str, steps: Sequence[Step], *, ttl_s: float
    ) -> list[Webhook]:
        """See :meth:`Store.settle_webhooks`."""
        ttl = span(ttl_s)
        return self._write(lambda c, now: webhooks.settle(c, claim_id, steps, ttl=ttl, now=now))

    # -- housekeeping -------------------------------------------------------------------------
    def referenced(self, keys: Collection[str]) -> set[str]:
        """See :meth:`Store.referenced`."""
        return self._database.read(lambda c: archive.referenced(c, keys))

    def restore(self, given: Sequence[Submission], found: Sequence[Execution]) -> int:
        """See :meth:`Store.restore`."""
        return self._write(lambda c, now: archive.restore(c, given, found, now=now))

    def restore_groups(self, given: Sequence[Restoring], members: Sequence[Member]) -> int:
        """See :meth:`Store.restore_groups`."""
        return self._write(lambda c, now: regrouping.restore(c, given, members, now=now))

    def tell(
        self,
        given: Sequence[Told],
        snapshots: Sequence[Sighting],
        group: ToldGroup | None = None,
    ) -> set[str]:
        """See :meth:`Store.tell`."""
        try:
            return self._write(lambda c, now: told.tell(c, given, snapshots, group, now))
        except Refused as refused:
            raise submissions.refusal(refused) from None

    def check(self) -> None:
        """See :meth:`Store.check`."""
        self._database.write(lambda c: c.execute(_ONE))

    def close(self) -> None:
        """See :meth:`Store.close`."""
        self._database.close()
