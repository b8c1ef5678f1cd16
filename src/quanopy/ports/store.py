"""The catalogue: all mutable state. Every method takes and returns many, in one transaction.

Only the store changes a state; it checks the fence (the claim that a change is made under) and
writes the event in the same transaction. Raises ``Unavailable`` when the database is not there.
Times are aware UTC; the store reads its own clock.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from quanopy.domain.accounts import Token
from quanopy.domain.adoptions import Adoption
from quanopy.domain.errors import QuanopyError
from quanopy.domain.events import Event, Position
from quanopy.domain.groups import (
    Group,
    GroupAction,
    GroupPolicy,
    GroupState,
    Progress,
    Ruling,
    Turn,
)
from quanopy.domain.imports import Imported
from quanopy.domain.jobs import Execution, Extent, Job, JobKind, OnFailure, Problem, Task
from quanopy.domain.resources import Registration, Resource, ResourceStatus
from quanopy.domain.sightings import Sighting, Standing
from quanopy.domain.states import ExecutionState, JobState, ResourceState, TaskState
from quanopy.ports.webhooks import Webhooks


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A request that asks to be accepted; its jobs have no places in the archive yet."""

    account: str
    job_ids: Sequence[str]
    idempotency_key: str | None = None
    request_digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What one request submits: its jobs with their tasks, all or nothing."""

    account: str
    jobs: Sequence[Job]
    tasks: Sequence[Task]
    idempotency_key: str | None = None
    request_digest: str = ""
    """Digest of the request's body: the same key with another digest is a ``Conflict``."""
    group_id: str | None = None
    """The group that gets these jobs, at its end."""

    @property
    def entry(self) -> Entry:
        """The request alone."""
        return Entry(
            account=self.account,
            job_ids=[job.id for job in self.jobs],
            idempotency_key=self.idempotency_key,
            request_digest=self.request_digest,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A job that another broker saw, final, with its tasks, their executions, and its history."""

    job: Job
    """With ``imported``."""
    tasks: Sequence[Task]
    executions: Sequence[Execution]
    events: Sequence[Event]
    """In order; their positions are the other broker's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldGroup:
    """A group that another broker saw, and that has ended."""

    group: Group
    imported: Imported
    positions: Mapping[str, int]
    """Of its jobs, by id."""
    events: Sequence[Event]
    """Its own, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """A request that may have been made before, by its idempotency key and body's digest."""

    account: str
    idempotency_key: str
    request_digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobQuery:
    """Filters of a listing, newest first; ``None`` or empty: any."""

    account: str | None = None
    states: tuple[JobState, ...] = ()
    resource: str | None = None
    kind: JobKind | None = None
    tag: str | None = None
    name: str | None = None
    name_prefix: str | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None
    group_id: str | None = None
    before: str | None = None
    """Only jobs whose id sorts before this one (the cursor)."""
    limit: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupQuery:
    """Filters of a listing of groups, newest first; ``None`` or empty: any."""

    account: str | None = None
    states: tuple[GroupState, ...] = ()
    name: str | None = None
    name_prefix: str | None = None
    before: tuple[datetime, str] | None = None
    """Only groups older than this time and id (the cursor)."""
    limit: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Restoring:
    """A group as the archive tells of it."""

    group: Group
    cancelled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """What the archive tells of a job's turn."""

    job_id: str
    group_id: str | None = None
    after: tuple[str, ...] = ()
    on_failure: OnFailure = OnFailure.SKIP


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupWork:
    """What groups, and jobs that come after others, wait for somebody to do."""

    turns: Sequence[Turn]
    groups: Sequence[Group]
    """Those of the turns, and those that are to be looked at."""
    unarchived: Mapping[int, str]
    """Jobs that steps have cancelled or failed, and of which the archive does not know yet: by
    the number of the line that says so."""
    next_at: datetime | None
    """When the next group is to be looked at."""


@dataclass(slots=True, kw_only=True)
class Stepped:
    """What a step of groups has come to."""

    ready: bool = False
    """Tasks became ready."""
    cancelled: list[str] = field(default_factory=list)
    """Jobs that were cancelled, or failed for what they come after."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventQuery:
    """Which events, in order, after a position."""

    after: Position = field(default_factory=Position)
    account: str | None = None
    job_ids: Collection[str] | None = None
    group_id: str | None = None
    """Those of the group itself, and of all its jobs."""
    subject: str | None = None
    """Also events of this subject, where ``job_ids`` or ``group_id`` names others."""
    kinds: Collection[str] | None = None
    """Only these; ``job.*``: all of jobs, ``*``: all."""
    limit: int = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPage:
    """Events in order, and where to go on from: ``position`` may lie past the last one shown."""

    events: Sequence[Event]
    position: Position
    held_back: bool
    """There are later events, behind a transaction that is still open: look again soon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a worker would take now of one resource: so many tasks, so many estimated seconds
    (a single longer task is still taken), in at most so many separate claims."""

    resource: str
    tasks: int = 750
    seconds: float = 0.5
    claims: int = 1
    single: bool = False
    """Each claim becomes one execution: tasks of one account, and a solo task by itself."""
    long_s: float = math.inf
    """Tasks that are estimated to take more are long: each has a claim to itself."""
    longs: int = 0
    """How many long tasks it would take, those of offers before it in the same call included;
    those beyond wait, and shorter ones go past them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A worker's short, renewed hold on tasks of one resource; one claim takes one lane."""

    id: str
    resource: str
    tasks: Sequence[Task]


def _nothing(*_: object) -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Offering:
    """A worker that is free, and what it would take at once."""

    worker: str
    offer: Offer
    ttl_s: float
    begin: Callable[[Sequence[Claim]], None] = _nothing
    """Told what is about to be claimed of what is new, before it is kept: work that harms nobody
    may begin. Only what is answered was claimed; told again if the transaction is begun again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEnd:
    """How a task ended (or ``queued``: it is to be tried again, from ``ready_at`` on)."""

    task_id: str
    state: TaskState
    result: Extent | None = None
    problem: Problem | None = None
    ready_at: datetime | None = None
    awaits_s: float | None = None
    """Set where it is to wait for a calibration younger than this: until ``ready_at``, or until
    one comes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """An execution that ended, with its tasks. Its pack lies under ``completed/`` already."""

    execution: Execution
    tasks: Sequence[TaskEnd]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionChange:
    """A step of a remote execution that has not ended."""

    execution_id: str
    state: ExecutionState | None = None
    """``None``: it stays as it is."""
    provider_job_id: str | None = None
    fingerprint: str | None = None
    """The account at the vendor that knows it, where that was not known before; empty: not known
    any more."""
    due_in_s: float | None = None
    """Look again after this long."""
    searched: bool = False
    problem: Problem | None = None
    detail: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """Remote executions of one provider, under a claim of their own, with their tasks."""

    claim_id: str
    provider: str
    executions: Sequence[Execution]
    tasks: Mapping[str, Sequence[Task]]
    """Tasks by execution id, in the order of the execution's slots."""
    ages_s: Mapping[str, float]
    """How long ago each was begun, or was made at the vendor, by the clock that all workers
    share: the database's, where it has one. No worker's own says that, for another wrote it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What a sweep put right."""

    tasks_requeued: int = 0
    claims_expired: int = 0
    next_ready_at: datetime | None = None
    """When the next task becomes ready that is not yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """What an end changed."""

    taken: frozenset[str]
    """Tasks whose end was taken: one whose claim is lost, or that ended otherwise, is not."""
    jobs: Sequence[Job] = ()
    tasks: Sequence[Task] = ()
    """Of the jobs that were asked for, as they are now; tasks by job and slice."""
    turns: bool = False
    """Something of a group, or what comes after a job, may begin now."""


Make = Callable[[Sequence[int]], Sequence[Submission]]
"""Told which of some entries are new, by their indices: what to insert for each of these. Called
within the transaction, and again if that is begun again."""


class Store(Webhooks, Protocol):
    """The catalogue of jobs, tasks, executions, events, resources, tokens and webhooks."""

    # -- submitting and reading ---------------------------------------------------------------
    def submit(self, submissions: Sequence[Submission]) -> list[Sequence[Job] | QuanopyError]:
        """Insert these in one commit, each all or nothing; one answer each, in order. A
        repeated idempotency key gives the jobs of the first time, or ``Conflict``."""

    def accept(
        self,
        entries: Sequence[Entry],
        make: Make,
        offering: Offering | None,
        *,
        keep: Callable[[], object] = _nothing,
    ) -> tuple[list[Sequence[Job] | QuanopyError], list[Claim]]:
        """:meth:`submit` what is made of these; and in the same commit :meth:`claim` on an
        offering: of all that waits, not only of this. ``keep`` puts into the archive what was
        last made, before the commit: so the archive comes to hold nothing but what is accepted."""

    def replay(self, requests: Sequence[Repeat]) -> list[Sequence[Job] | QuanopyError | None]:
        """For each of these the jobs that its key already stands for, ``Conflict`` where it was
        used with another digest, or ``None``: the key is new."""

    def requested(self, account: str, key: str) -> list[Job]:
        """The jobs that this idempotency key stands for, in the order they were asked for; none,
        where the key is new."""

    def jobs(self, ids: Collection[str], *, account: str | None = None) -> list[Job]:
        """Those of these jobs that exist and belong to the account (``None``: anybody's)."""

    def list_jobs(self, query: JobQuery) -> list[Job]:
        """A page of jobs, newest first."""

    def tasks(self, job_ids: Collection[str]) -> list[Task]:
        """The tasks of jobs, by job and slice; tasks that a retry replaced are left out."""

    def jobs_with_tasks(
        self, ids: Collection[str], parts_of: Collection[str]
    ) -> tuple[list[Job], list[Task]]:
        """:meth:`jobs`, and the :meth:`tasks` of some of them, as one snapshot shows them."""

    def awaited_jobs(self, job_id: str) -> list[Job]:
        """Those that a job comes after and that have not ended, the oldest first."""

    def executions(self, job_id: str) -> list[Execution]:
        """Every execution that a job's tasks have had and that still stands at one of them."""

    def executions_by_id(self, ids: Collection[str]) -> list[Execution]:
        """Those of these executions that there are, the oldest first."""

    def events(self, query: EventQuery) -> EventPage:
        """History after a position; never skips one that commits late."""

    def horizon(self) -> Position:
        """The position of now: following from here sees everything later."""

    # -- users' requests ----------------------------------------------------------------------
    def cancel(self, job_ids: Collection[str], *, actor: str) -> list[Job]:
        """Cancel what is queued, request it of what is claimed or executing; the jobs after."""

    def retry(self, job_ids: Collection[str], *, actor: str) -> list[Job]:
        """Queue the failed and cancelled parts of these jobs again, as new tasks; the jobs after.
        Also releases jobs that a rebuild held."""

    # -- groups -------------------------------------------------------------------------------
    def create_group(self, group: Group) -> tuple[Group, bool]:
        """Make a group, unless its account has one of its name; that one, and whether it is
        new."""

    def groups(self, ids: Collection[str]) -> list[Group]:
        """Those of these groups that there are."""

    def list_groups(self, query: GroupQuery) -> list[Group]:
        """A page of groups, newest first."""

    def progress(self, ids: Collection[str]) -> Mapping[str, Progress]:
        """How far these groups are."""

    def group_jobs(self, group_id: str, *, after: int = -1, limit: int) -> list[Job]:
        """The jobs of a group past a position, in order."""

    def act_on_group(self, group_id: str, action: GroupAction, *, actor: str) -> Group:
        """Run, pause or cancel a group, which is no error where it is that already; as it is
        then. ``NotFound``; ``InvalidTransition`` of one that was cancelled. What begins and what
        is cancelled is left to :meth:`step_groups`."""

    def revise_group(
        self, group_id: str, *, name: str | None, policy: GroupPolicy | None, actor: str
    ) -> Group:
        """Give a group another name or policy, from now on; ``NotFound``, ``Conflict`` where the
        account has another of that name."""

    def remove_group(self, group_id: str, *, actor: str) -> Group:
        """Forget a group whose jobs have all ended; they stay. As it was. ``NotFound``,
        ``Conflict``."""

    def rerun_group(self, group_id: str, *, actor: str) -> list[Job]:
        """Give what failed of a group, or was cancelled, its turn again; those jobs. ``NotFound``;
        ``InvalidTransition`` of one that was cancelled or is ending."""

    def group_work(self) -> GroupWork:
        """What groups wait for somebody to do, a batch at a time."""

    def step_groups(
        self,
        turns: Sequence[Turn],
        group_ids: Collection[str],
        rulings: Mapping[str, Ruling],
    ) -> Stepped:
        """Work these turns off and look at these groups: take note of what ended, end or pause
        the groups that are ruled to, and begin what may begin. A turn is worked off once,
        whoever tries. What it cancels or fails is ``unarchived`` work from then on."""

    def archived(self, lines: Collection[int]) -> None:
        """The archive knows now what these lines of ``unarchived`` work say."""

    # -- workers ------------------------------------------------------------------------------
    def register(self, worker: str, resources: Sequence[Resource], *, ttl_s: float) -> set[str]:
        """Say that a live worker serves these resources; again every third of ``ttl_s``. State
        and reason that an operator has set are left alone, and all of those that registered
        themselves (they have an owner). The names that others registered for resources of their
        own, which this worker may not serve."""

    def retire(self, worker: str) -> None:
        """The worker stops: its claims expire now."""

    def resources(self) -> list[ResourceStatus]:
        """Every known resource and how busy it is."""

    def set_resource_state(
        self, name: str, state: ResourceState, reason: str | None, *, actor: str
    ) -> Resource:
        """Take a resource in or out of service; ``NotFound``."""

    def ready(self, names: tuple[str, ...]) -> set[str]:
        """Those of these resources that are in service and have a task ready: of others there is
        nothing to claim."""

    def claim(
        self, worker: str, offers: Sequence[Offer], *, ttl_s: float, most: int | None = None
    ) -> list[Claim]:
        """Take ready tasks in fair order, within lanes, under the device's row lock; at most
        ``most`` claims over all offers together (a worker's processes serve many resources)."""

    def renew(self, worker: str, *, ttl_s: float) -> set[str]:
        """Prolong all of a worker's claims; the ids of those it still has."""

    def release(self, claim_ids: Collection[str]) -> None:
        """Give claims up as if their worker had died: the next sweep queues their tasks again
        and frees their executions. One that is gone already is no error."""

    def cancel_requests(self, worker: str) -> set[str]:
        """Ids of tasks claimed by this worker whose cancellation was requested."""

    def begin(self, claim_id: str, executions: Sequence[Execution], *, ttl_s: float) -> None:
        """Write remote executions as ``submitting``, with their tasks ``executing``; the claim
        goes on to hold the executions, which are created now, whatever they say of it.
        ``Conflict`` when the claim is lost."""

    def due(self, worker: str, providers: Sequence[str], *, limit: int, ttl_s: float) -> list[Due]:
        """Claim remote executions that want a look now (due, or abandoned, or to be stopped),
        at most ``limit`` of them. A ``stranded`` one is due if it has a ``due_at`` that has come
        (a rebuild gives it one): it is to be searched for, found or left to an operator."""

    def advance(self, claim_id: str, changes: Sequence[ExecutionChange]) -> None:
        """Move remote executions on; those whose claim is lost are left alone. One given a
        ``due_in_s`` is put down: no claim holds it from then on, and any worker may find it due."""

    def finish(
        self, claim_id: str, endings: Sequence[Ending], *, show: Collection[str] = ()
    ) -> Finished:
        """End executions and their tasks, under the claim, and ``show`` some jobs as they are
        then. A cancelled task ends ``cancelled`` whatever its result. Releases the claim once
        nothing is left under it."""

    def sweep(self) -> Swept:
        """Expire claims of dead workers, queue their local tasks again, free their executions.
        Registered resources without a heartbeat go offline, and leave after a day."""

    # -- resources that register themselves ---------------------------------------------------
    def enrol(self, registration: Registration, resource: Resource) -> Registration:
        """Put a resource into the catalogue for the account that owns it, or in the place of one
        that this account had put there under the same name; as it then is, with the accounts that
        it serves. ``Conflict`` where the name is another's, or others' work waits for it;
        ``QuotaExceeded`` where the account has registered too many."""

    def beat(self, name: str, registration_id: str, *, leaving: bool = False) -> None:
        """It lives (``leaving``: and takes no new work). ``NotFound`` where this registration does
        not stand, or no longer."""

    def withdraw(self, name: str, registration_id: str | None, *, actor: str) -> None:
        """Take a registered resource out of the catalogue; tasks that wait for it go on waiting.
        ``NotFound`` where the registration (``None``: any) does not stand."""

    def registrations(self) -> list[Registration]:
        """All registrations, by name."""

    def open_resource(self, name: str, accounts: Sequence[str] | None, *, actor: str) -> Resource:
        """Have a resource serve these accounts and its owner (``None``: everybody); ``NotFound``.
        Tasks of others that wait for it are not begun."""

    # -- operators ----------------------------------------------------------------------------
    def open_executions(self, state: ExecutionState, *, limit: int) -> list[Execution]:
        """Executions in this state, which must not be final; the oldest first."""

    def jobs_of(self, execution_ids: Collection[str]) -> Mapping[str, Sequence[str]]:
        """The jobs whose tasks these executions carry, by execution id."""

    def unanswered(self, provider: str) -> list[Execution]:
        """Executions of a provider that it may have accepted under an id that nobody knows:
        ``submitting`` or ``stranded``, and without one."""

    def hold_stranded(
        self, execution_id: str, *, actor: str, ttl_s: float, found: str | None = None
    ) -> Due:
        """Claim a stranded execution for an operator, who then ends or advances it as a worker
        would: events name the ``actor``. ``found``: the provider's id that it is to have.

        Raises ``NotFound``, ``InvalidTransition`` where it is not stranded, ``Conflict`` while
        somebody else has it, or where another execution has that id.
        """

    # -- calibration --------------------------------------------------------------------------
    def calibrations_due(self, names: Collection[str], *, hold_s: float) -> set[str]:
        """Of these resources, those whose calibration is to be asked for now; nobody else is told
        so for ``hold_s``, unless what came of it is noted before."""

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
        """What a provider answered: how things stand then, and how many tasks that waited for it
        may go on. ``found`` has the times of its first sighting where it was seen last, too;
        ``None``: it publishes none, or ``problem`` says why there is no answer. It is due again
        after ``pause_s``. Where the resource is not of the ``registration`` any more that stood
        when the provider was asked, nothing is noted, and it is due at once."""

    def standings(self, names: Sequence[str]) -> list[Standing]:
        """How things stand at each of these resources, in order."""

    def awaited_calibrations(self, task_ids: Collection[str]) -> dict[str, float]:
        """Of these tasks, those that wait for a calibration, with the seconds that it may be
        old."""

    def sightings(
        self, resource: str, *, since: datetime | None, until: datetime, limit: int
    ) -> list[Sighting]:
        """What was seen of a resource in a time, newest first, with what was there as it began."""

    def sighting(self, digest: str) -> Sighting | None:
        """The latest sighting of a snapshot."""

    def first_sightings(self, digests: Collection[str]) -> list[Sighting]:
        """Of each of these snapshots that there is, where and when it was seen first."""

    def restore_sightings(self, found: Sequence[Sighting]) -> None:
        """Insert what a rebuild found; what is there already stays."""

    def ask_adoption(self, asked: Adoption) -> Adoption:
        """Note that a vendor's job is to be taken over; what stands, where that was asked
        before: its job, or the open question (a refused one is asked anew). ``Conflict`` for one
        that was sent from here, which names its job."""

    def adoption(self, provider: str, provider_job_id: str) -> Adoption | None:
        """What stands of it."""

    def open_adoptions(
        self, provider: str, *, after: Adoption | None = None, limit: int
    ) -> list[Adoption]:
        """Those that this provider is still to be asked about, the oldest first; only those that
        come after one of them."""

    def adopt(self, asked: Adoption, submission: Submission, execution: Execution) -> None:
        """Insert the one job and task that a vendor's job has become, with its execution, due at
        once. Where somebody was quicker, theirs stands; where it turns out to be one of ours,
        the adoption is refused."""

    def refuse_adoption(self, asked: Adoption, problem: Problem) -> None:
        """Note why it cannot be taken over."""

    # -- access -------------------------------------------------------------------------------
    def add_token(self, token: Token) -> None:
        """Keep a new token."""

    def token(self, digest: str) -> Token | None:
        """The token whose secret has this digest."""

    def tokens(self) -> list[Token]:
        """All tokens, newest first."""

    def revoke_token(self, id: str) -> Token:
        """Make a token worthless from now on; ``NotFound``."""

    # -- housekeeping -------------------------------------------------------------------------
    def referenced(self, keys: Collection[str]) -> set[str]:
        """Those of these object keys that some row names."""

    def restore(self, submissions: Sequence[Submission], executions: Sequence[Execution]) -> int:
        """Insert what a rebuild found, as it is given: states, times, ``held``, idempotency
        keys; how many jobs were new. Tasks that wait come with ``ready_at`` ``None``, stranded
        executions with a ``due_at``; an execution may name tasks that come in another call,
        and is then given there again. Events: ``job.held``, or the state that a job came to.

        What is there already stays, so doing it twice changes nothing; save that a task there
        which waits under no claim (a catalogue from an older copy) takes the given state where
        that is final or ``executing``, and its job is rolled up. A key that stands for other
        jobs already stays theirs.
        """

    def restore_groups(self, groups: Sequence[Restoring], members: Sequence[Member]) -> int:
        """Insert groups that a rebuild found, and put jobs that it restored into their groups'
        order, each at the end of its own, and after the jobs that they come after; how many
        groups were new. Jobs that are not there are left out.

        A group that gets a job which has not ended is paused, unless it is cancelled: the rest
        of it is cancelled then. What is there already stays, so doing it twice changes nothing.
        """

    def tell(
        self,
        told: Sequence[Told],
        snapshots: Sequence[Sighting],
        group: ToldGroup | None = None,
    ) -> set[str]:
        """Insert what a receipt tells of: jobs that are not there, as they are given; snapshots,
        which are found by their digest and are no sign of how a resource stands; a group that is
        not there, which imported jobs of no group join that belong to it. The ids of the jobs
        that were new. What happened is written with its own times, marked as told;
        ``job.imported`` and ``group.imported`` come after it.

        ``Conflict`` where an execution or task is there already and is something else, or where
        the account has another group of that name.
        """

    def check(self) -> None:
        """Raise unless the database answers (for readiness)."""

    def skew_s(self) -> float:
        """How far the store's own clock is ahead of the one that all workers share, the
        database's (behind: negative); 0 where there is but one."""

    def close(self) -> None:
        """Let go of the connections; idempotent."""
