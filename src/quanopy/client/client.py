"""``Client``: submit quantum programs to a broker, and find them again."""

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

from quanopy.client import bulk, drafts, exporting, settings
from quanopy.client.calibrations import Calibration
from quanopy.client.catalogue import Catalogue
from quanopy.client.drafts import Circuit, Draft, How, PubLike
from quanopy.client.expecting import Expected
from quanopy.client.groups import Group, Groups, policy
from quanopy.client.handles import Job
from quanopy.client.http import Http
from quanopy.client.listing import listed
from quanopy.client.needs import need_numpy
from quanopy.client.operations import Operations
from quanopy.client.receipts import Receipt
from quanopy.client.replays import Replay, run_again
from quanopy.client.results import Result
from quanopy.client.streams import follow
from quanopy.client.submitting import submitted
from quanopy.client.webhooks import Webhooks
from quanopy.domain.errors import Invalid
from quanopy.domain.groups import GroupOrder
from quanopy.domain.jobs import JobKind
from quanopy.domain.resources import Target
from quanopy.domain.states import ResourceState, WayOut
from quanopy.wire.calibrations import CalibrationOut, SnapshotOut
from quanopy.wire.groups import GroupOut
from quanopy.wire.jobs import JobDetail, JobOut, ReceiptOut
from quanopy.wire.matching import MatchOut
from quanopy.wire.service import (
    EventOut,
    HealthOut,
    RegistrationOut,
    ResourceOut,
    StrandedOut,
    TokenIn,
    TokenOut,
)

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

    from quanopy.client.embedded import EmbeddedClient
    from quanopy.client.gradients import GradientJob
    from quanopy.client.points import Combine
    from quanopy.client.segments import Segments
    from quanopy.client.sweeps import Sweep


class Client:
    """A broker, as one account sees it. Threads may share it; close it, or use it in ``with``.

    ``url`` and ``token`` are by default found in the environment (``QUANOPY_URL``,
    ``QUANOPY_TOKEN``, ``QUANOPY_CA``), in ``~/.config/quanopy/config.toml``, or at the broker
    that runs on this machine. Jobs that name no resource run on ``QUANOPY_RESOURCE``, or on the
    emulator ``aer``.
    """

    def __init__(self, url: str | None = None, token: str | None = None) -> None:
        """Find the broker; nothing is sent yet.

        Raises:
            Unavailable: no broker is named anywhere and none runs here.
            Denied: a file with a token could be read by others.
        """
        self.settings = settings.find(url, token)
        self._http = Http(self.settings)
        self._catalogue = Catalogue(self._http)
        self._operations = Operations(self._http)
        self._groups = Groups(self._http, self.settings.resource)
        self.webhooks = Webhooks(self._http)
        """Where the broker sends what happens."""

    @classmethod
    def embedded(cls, path: Path | str, **settings: Any) -> "EmbeddedClient":
        """A client with a whole broker of its own in this process, its data under ``path``.

        ``settings`` are the server's own, such as ``emulator_processes=2``.
        """
        from quanopy.client.embedded import EmbeddedClient

        return EmbeddedClient(Path(path), **settings)

    # -- submitting ---------------------------------------------------------------------------
    def sample(self, pubs: PubLike, *, resource: str | None = None, **how: Unpack[How]) -> Job:
        """Submit one job that counts measured bitstrings.

        ``pubs`` is a circuit or pub, or several: what Qiskit's samplers take, or the text or path
        of OpenQASM and QPY programs. The options are those of :class:`How`.
        """
        return self.submit_many([drafts.sample(pubs, resource=resource, **how)])[0]

    def estimate(self, pubs: PubLike, *, resource: str | None = None, **how: Unpack[How]) -> Job:
        """Submit one job of expectation values.

        ``pubs`` is one pub ``(circuit, observables, parameter values, precision)`` or several, as
        Qiskit's estimators take them. The options are those of :class:`How`.
        """
        return self.submit_many([drafts.estimate(pubs, resource=resource, **how)])[0]

    def submit(
        self,
        programs: Circuit | Iterable[Circuit],
        *,
        kind: JobKind | str | None = None,
        resource: str | None = None,
        **how: Unpack[How],
    ) -> Job:
        """Submit whole programs as one job: circuits, text, paths or payloads.

        ``kind`` is by default what a QRMI payload says, else ``sample``.
        """
        draft = drafts.programs(programs, kind=kind, resource=resource, **how)
        return self.submit_many([draft])[0]

    def submit_many(self, jobs: Iterable[Draft]) -> list[Job]:
        """Submit many jobs (see :mod:`quanopy.client.drafts`) in one request: all, or none."""
        return submitted(self._http, [draft.to_wire(self.settings.resource) for draft in jobs])

    # -- finding ------------------------------------------------------------------------------
    def job(self, id: str, *, expect: Expected | None = None) -> Job:
        """A handle on a job by its id; nothing is asked yet.

        With ``expect``, an earlier :meth:`Job.identity` or parts of one (``resource``,
        ``provider``, ``target``, ``fingerprint``), it is asked at once whether the job is what it
        is taken for: :class:`ResourceMismatch` says what differs.
        """
        job = Job(self._http, id)
        return job.expect(expect) if expect else job

    def jobs(self, **filters: Any) -> Iterator[Job]:
        """Handles on jobs, newest first; the filters are those of :meth:`listing`."""
        return (self.job(found.id) for found in self.listing(**filters))

    def listing(self, *, limit: int | None = None, **filters: Any) -> Iterator[JobOut]:
        """Jobs as the broker lists them, newest first, page by page as they are taken.

        Filters: ``state`` (one or several), ``resource``, ``kind``, ``tag``, ``name``,
        ``name_prefix``, ``account``, ``created_from`` and ``created_to`` (aware datetimes),
        ``group`` (its id);
        ``limit`` jobs at most.
        """
        return listed(self._http, filters, limit)

    def states(self, jobs: Iterable[Job | str], wait_s: float = 0.0) -> list[JobOut]:
        """What the broker says of many jobs: once all are final, or after ``wait_s`` seconds
        (60 at most)."""
        return bulk.states(self._http, jobs, wait_s)

    def details(self, jobs: Iterable[Job | str]) -> list[JobDetail]:
        """Many jobs with their parts, and the executions that these came to, in one request. What
        they wait for is said of one job alone: :meth:`Job.detail`."""
        return bulk.details(self._http, jobs)

    def as_completed(
        self, jobs: Iterable[Job | str], timeout: float | None = None
    ) -> Iterator[Job]:
        """Jobs as they end, in whatever state, the first first.

        Raises:
            NotReady: some have not ended after ``timeout`` seconds.
        """
        return bulk.as_completed(self._http, jobs, timeout)

    def results(
        self, jobs: Iterable[Job | str], timeout: float | None = None, *, partial: bool = False
    ) -> list[Result[Any]]:
        """Results of many jobs, in order, in one request for as many as are done.

        With ``partial``, what is there now, also of failed jobs.

        Raises:
            TaskFailed: one of the jobs failed; ``where`` says which.
            NotReady: not all are done after ``timeout`` seconds.
        """
        return bulk.results(self._http, jobs, timeout, partial=partial)

    def cancel(self, jobs: Iterable[Job | str]) -> list[JobOut]:
        """Ask for the end of many jobs in one request; what the broker says of them after."""
        return bulk.cancelled(self._http, jobs)

    def events(
        self, jobs: Iterable[Job | str] = (), *, after: str | None = None
    ) -> Iterator[EventOut]:
        """Follow events as they happen, of these jobs or of all the account's, without end.

        ``after`` is an event's ``id`` to go on from; broken connections are taken up again.
        """
        return follow(self._http, bulk.ids_of(jobs), after)

    def sweep(
        self,
        circuit: Circuit,
        values: Any,
        observables: Any = None,
        *,
        combine: "Combine | str | None" = None,
        resource: str | None = None,
        scatter: Sequence[str] | Mapping[str, float] | None = None,
        jobs: Iterable[Job | str] = (),
        **how: Unpack[How],
    ) -> "Sweep":
        """Run one circuit at many points: counts, or expectation values of ``observables``.

        ``values`` is an array whose last axis goes over the circuit's parameters, or a mapping of
        parameters (or names, or vectors of them) to values; of several with several values it must
        be said how they ``combine``: ``product`` (each with each, an axis each, in this order) or
        ``zip``.

        It is one job with one array of parameters; with ``scatter``, one on each of these
        resources, which take as many points each as their lanes are of all of them, or as the
        mapping says. ``jobs`` are those of an earlier call with the same arguments: nothing is
        submitted, and their results are joined.
        """
        need_numpy("sweeps")
        from quanopy.client.sweeps import Plan, Sweep

        shares = self._shares(scatter) if scatter is not None else [(resource, 1.0)]
        plan = Plan(circuit, values, observables, combine=combine, shares=shares)
        known = [Job(self._http, one) for one in bulk.ids_of(jobs)]
        made = known or self.submit_many(plan.drafts(how))
        if len(made) != len(plan.shares):
            raise Invalid(
                f"{len(made)} jobs for a sweep of {len(plan.shares)}",
                where="jobs",
                hint="Attach to a sweep with the arguments it was made with.",
            )
        return Sweep(self._http, made, plan)

    def _shares(
        self, scatter: Sequence[str] | Mapping[str, float]
    ) -> list[tuple[str | None, float]]:
        """Resources, and how much of the work each takes."""
        if isinstance(scatter, Mapping):
            return list(scatter.items())
        return [(name, float(self.resource(name).lanes or 1)) for name in scatter]

    def gradient(
        self,
        circuit: "QuantumCircuit",
        observables: Any,
        values: Any,
        *,
        resource: str | None = None,
        **how: Unpack[How],
    ) -> "GradientJob":
        """Submit one job for expectation values and their exact derivatives by all parameters of
        a circuit, by the parameter-shift rule: at one point, or at many.

        ``observables`` is one, or an array of them; ``values`` an array whose last axis goes over
        the circuit's parameters, or a mapping of parameters (or names, or vectors of them) to
        values. Parameters may come several times, in expressions, and in any gate that is made of
        RX, RY, RZ, P, RXX, RYY, RZZ and RZX.

        Raises:
            Unsupported: a parameter is in a gate that has no shift rule; says which.
            Invalid: the values are not those of the circuit's parameters.
        """
        need_numpy("gradients")
        from quanopy.client.gradients import GradientJob, Plan

        plan = Plan(circuit, observables, values)
        (job,) = self.submit_many([plan.draft(resource=resource, how=how)])
        return GradientJob(job, plan)

    # -- jobs that belong together -------------------------------------------------------------
    def group(
        self,
        name: str,
        *,
        order: GroupOrder | str | None = None,
        max_in_flight: int | None = None,
        gap: float | str | None = None,
        stop: Mapping[str, Any] | None = None,
        resource: str | None = None,
        override: bool = False,
    ) -> Group:
        """The account's group of this name: made if it is not there yet, else found.

        ``order`` is ``parallel`` (default) or ``sequential``; ``max_in_flight`` jobs have begun
        and not ended at any time (default: one if they are sequential, else any number); ``gap``
        (seconds, or ``10m``) lies between the end of one and the next, or between beginnings of
        parallel ones; ``stop`` has the fields of :class:`~quanopy.wire.groups.StopRulesIn`.

        Raises:
            Conflict: there is one of that name with another policy.
            ResourceMismatch: there is one of that name for another ``resource``; with
                ``override`` it is attached to all the same.
        """
        wanted = policy(order, max_in_flight, gap, stop)
        return self._groups.make(name, wanted, resource=resource, run=False, override=override)

    def groups(self, **filters: Any) -> Iterator[Group]:
        """Handles on groups, newest first. Filters: ``state`` (one or several), ``name_prefix``,
        ``account``."""
        return self._groups.all(**filters)

    def find_group(self, name: str) -> Group:
        """The account's group of this name, or of this id; raises :class:`NotFound`."""
        return self._groups.find(name)

    def group_listing(self, **filters: Any) -> Iterator[GroupOut]:
        """Groups as the broker lists them, newest first, with how far each is; filters as for
        :meth:`groups`."""
        return self._groups.listing(**filters)

    def segment(
        self,
        program: Draft | Circuit | Iterable[Circuit],
        *,
        name: str | None = None,
        total_shots: int | None = None,
        shots: int | None = None,
        count: int | None = None,
        max_in_flight: int | None = 2,
        gap: float | str | None = None,
        stop_when: Mapping[str, Any] | None = None,
        resource: str | None = None,
        override: bool = False,
        **how: Any,
    ) -> Group:
        """Cut a long experiment into segments and begin: ``total_shots`` in jobs of ``shots``
        each, or ``count`` jobs alike (of estimates; or of ``shots`` each). The broker runs them in
        order, whether this script goes on or not; the same call, from any script, finds them again
        by their ``name``, or makes those that a script which was killed did not come to make.

        ``stop_when`` are stop rules and ``how`` the options of :class:`How`, the others as for
        :meth:`group`; raises as that does, and :class:`Conflict` where the experiment of that
        name is of another program or plan.
        """
        wanted = policy(GroupOrder.SEQUENTIAL, max_in_flight, gap, stop_when)
        called = name or f"segments-{uuid.uuid4().hex[:12]}"
        draft = (
            program
            if isinstance(program, Draft)
            else drafts.programs(program, resource=resource, **how)
        )
        meant = draft.resource or resource
        draft.to_wire(meant or self.settings.resource)  # Nothing is made where that is refused.
        if (count is None) == (total_shots is None) or (shots is None and count is None):
            raise Invalid(
                "it is not said how many segments",
                hint="Give total_shots and shots, or count, with or without shots.",
            )
        group = self._groups.make(called, wanted, resource=meant, run=True, override=override)
        if override:
            draft = replace(draft, resource=None)  # It is the group's, whatever is named here.
        group.segment(draft, total_shots=total_shots, shots=shots, count=count)
        return group

    def segments(self, jobs: Iterable[Job | str], *, resource: str | None = None) -> "Segments":
        """Jobs that ran one program, as the segments of one experiment, in this order: what each
        ran under and what it gave, as it is now; see :class:`~quanopy.client.segments.Segments`.
        ``resource`` is what they are taken to have run on: it is said where they did not.
        """
        from quanopy.client.segmented import segments_of

        return segments_of(self._http, bulk.ids_of(jobs), named=resource)

    def replay(
        self,
        job: Job | str,
        *,
        emulator: str | None = None,
        shots: int | None = None,
        seed: int | None = None,
        timeout: float | None = None,
    ) -> Replay:
        """Run what really ran of a job again on an emulator whose noise is made from the snapshot
        that the job ran under, and compare the two distributions. ``emulator`` is by default
        ``aer``, for Perceval's experiments ``perceval-slos``, for Pulser's sequences
        ``pulser-qutip``.

        Raises:
            NotFound: it is not known what calibration it ran under.
            ResourceMismatch: it was no sampling of circuits, or the emulator takes no noise.
            NotReady: it is not done after ``timeout`` seconds; the replay is a job, and goes on.
        """
        of = self.job(job) if isinstance(job, str) else job
        return run_again(self._http, of, emulator, shots=shots, seed=seed, timeout=timeout)

    # -- receipts -----------------------------------------------------------------------------
    def export(
        self,
        what: Job | Group | str,
        path: Path | str,
        *,
        on_progress: Callable[[int], object] | None = None,
    ) -> Receipt:
        """Write one file with all that belongs to a job, or to all jobs of a group: programs,
        options, result, the calibrations it ran under, history, versions, digests; it is read
        with :func:`quanopy.load`, without this broker. Of a job that is not final it has what is
        known now. ``on_progress`` is told how many bytes have come.

        Raises:
            Invalid: the file cannot be written.
        """
        return exporting.exported(self._http, what, Path(path), on_progress)

    def import_receipt(self, path: Path | str) -> ReceiptOut:
        """Take the jobs of a receipt into this broker, as this account's: with their ids, as they
        ended, marked as told and not seen. Safe to repeat.

        Raises:
            Invalid: something is wrong with it, or none of its jobs was final.
            Conflict: one of its jobs is there already, and is another or another's.
        """
        return exporting.imported(self._http, Path(path))

    # -- resources ----------------------------------------------------------------------------
    def resources(self) -> list[ResourceOut]:
        """Every resource, and how busy it is."""
        return self._catalogue.all()

    def resource(self, name: str) -> ResourceOut:
        """One resource; raises :class:`NotFound`."""
        return self._catalogue.one(name)

    def match(
        self,
        requires: Mapping[str, Any] | None = None,
        *,
        kind: JobKind | str | None = None,
        formats: Sequence[str] = (),
        shots: int | None = None,
    ) -> MatchOut:
        """All resources, those that fit ``requires`` first, the best before all; the others with
        the reasons why they do not. The fields are those of
        :class:`~quanopy.wire.matching.RequirementsIn`; ``shots`` are of all pubs, for the cost.
        """
        return self._catalogue.match(requires, kind, formats, shots)

    def target(self, name: str) -> Target:
        """The machine that programs are compiled for on a resource, to be read with
        ``quanopy.codecs.targets.decode_target``; raises :class:`NotFound` where the broker
        cannot tell."""
        return self._catalogue.target(name)

    def calibration(self, resource: str) -> Calibration | None:
        """How a resource is calibrated, as it was seen last; ``None`` where it publishes nothing,
        or nothing was seen yet. Raises :class:`NotFound`."""
        found = self.calibration_of(resource).snapshot
        return None if found is None else Calibration(self._http, found.digest, found)

    def calibration_of(self, resource: str, *, metrics: Sequence[str] = ()) -> CalibrationOut:
        """How a resource's calibration stands: when it was asked for, why there is none, and the
        snapshot with these ``metrics`` (by default all)."""
        return self._catalogue.calibration(resource, metrics)

    def calibrations(
        self,
        resource: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        metrics: Sequence[str] = (),
        limit: int = 100,
    ) -> list[SnapshotOut]:
        """Snapshots of a resource that were seen in a time (aware datetimes), newest first, with
        these ``metrics``; at most 1000."""
        return self._catalogue.calibrations(resource, since, until, metrics, limit)

    def snapshot(self, digest: str) -> Calibration:
        """A snapshot by its digest; nothing is asked yet."""
        return Calibration(self._http, digest)

    def set_resource_state(
        self, name: str, state: ResourceState | str, reason: str | None = None
    ) -> ResourceOut:
        """Take a resource in or out of service; needs the operator's scope."""
        return self._catalogue.set_state(name, state, reason)

    def register_resource(
        self,
        name: str,
        url: str,
        target: Target,
        *,
        description: str = "",
        lanes: int = 1,
    ) -> RegistrationOut:
        """Put a virtual QPU that answers at ``url`` into the broker's catalogue, for this account;
        raises :class:`Conflict` where the name is another's, :class:`Forbidden` where the url is
        neither this machine's nor one the operator allows."""
        return self._catalogue.register(name, url, target, description, lanes)

    def heartbeat(self, name: str, registration_id: str, *, leaving: bool = False) -> ResourceOut:
        """Say that a registered resource lives; ``leaving``: and takes no new work. Raises
        :class:`NotFound` once the registration does not stand any more."""
        return self._catalogue.heartbeat(name, registration_id, leaving)

    def remove_resource(self, name: str, registration_id: str | None = None) -> None:
        """Take a resource that registered itself out of the catalogue (only this registration of
        it, if one is given): one's own, or anybody's with the operator's scope."""
        self._catalogue.remove(name, registration_id)

    def open_resource(self, name: str, accounts: Sequence[str] | None) -> ResourceOut:
        """Have a resource serve these accounts and its owner (``None``: everybody); needs the
        operator's scope."""
        return self._catalogue.open(name, accounts)

    # -- operating ----------------------------------------------------------------------------
    def stranded(self) -> list[StrandedOut]:
        """Executions of all accounts that may have been billed and nobody can tell of, the oldest
        first; needs the operator's scope."""
        return self._operations.stranded()

    def settle(
        self, id: str, way: WayOut | str, reason: str, *, provider_job_id: str | None = None
    ) -> StrandedOut:
        """Say what became of a stranded execution: ``found`` (at the provider, perhaps under
        ``provider_job_id``), ``resend`` (only where the provider never had it), ``give-up``, or
        ``look`` (have a worker ask the provider once more). Needs the operator's scope."""
        return self._operations.settle(id, way, reason, provider_job_id)

    def adopt(
        self,
        provider: str,
        id: str,
        *,
        name: str | None = None,
        tags: Iterable[str] = (),
        account: str | None = None,
        timeout: float = 60.0,
    ) -> Job:
        """Take over a vendor's job that was made elsewhere: a job here, which is followed to its
        end and whose result is kept. The same one is taken over once. Needs the operator's scope.

        Raises:
            Conflict: it was sent from here; the message names its job.
            Rejected: the vendor does not have it, or does not give it away.
            NotReady: no worker has asked the vendor within ``timeout`` seconds.
        """
        return Job(self._http, self._operations.adopt(provider, id, name, tags, account, timeout))

    def create_token(self, token: TokenIn) -> TokenOut:
        """Make a token; its ``secret`` is shown this once. Needs the admin's scope."""
        return self._operations.create_token(token)

    def tokens(self) -> list[TokenOut]:
        """All tokens, without their secrets; needs the admin's scope."""
        return self._operations.tokens()

    def revoke_token(self, id: str) -> None:
        """Make a token worthless from now on; needs the admin's scope."""
        self._operations.revoke_token(id)

    # -- the broker itself ---------------------------------------------------------------------
    def health(self) -> HealthOut:
        """Whether the broker stands, and its version."""
        return self._http.get(HealthOut, "/health")

    def close(self) -> None:
        """Close the connections; handles of this client are of no use afterwards."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self.settings.url!r})"
