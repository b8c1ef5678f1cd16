"""``Client``: submit quantum programs to a broker, and find them again."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from quanopy.client import bulk, drafts, exporting
from quanopy.client.broker import Broker
from quanopy.client.drafts import Circuit, Draft, How, PubLike
from quanopy.client.expecting import Expected
from quanopy.client.grouping import Groups
from quanopy.client.groups import Group, policy
from quanopy.client.handles import Job
from quanopy.client.listing import listed
from quanopy.client.needs import need_numpy
from quanopy.client.receipts import Receipt
from quanopy.client.replays import Replay, run_again
from quanopy.client.results import Result
from quanopy.client.streams import follow
from quanopy.client.submitting import submitted
from quanopy.domain.groups import GroupOrder
from quanopy.domain.jobs import JobKind
from quanopy.wire.groups import GroupOut
from quanopy.wire.jobs import ImportingOut, JobDetail, JobOut, ReceiptOut
from quanopy.wire.service import (
    EventOut,
)

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

    from quanopy.client.embedded import EmbeddedClient
    from quanopy.client.gradients import GradientJob
    from quanopy.client.points import Combine
    from quanopy.client.segments import Segments
    from quanopy.client.sweeps import Sweep


class Client(Broker):
    """A broker, as one account sees it. Threads may share it; close it, or use it in ``with``.

    ``url`` and ``token`` are by default found in the environment (``QUANOPY_URL``,
    ``QUANOPY_TOKEN``, ``QUANOPY_CA``), in ``~/.config/quanopy/config.toml``, or at the broker
    that runs on this machine. Jobs that name no resource run on ``QUANOPY_RESOURCE``, or on the
    emulator ``aer``.
    """

    def __init__(self, url: str | None = None, token: str | None = None) -> None:
        """Find the broker; nothing is sent yet. Raises as :class:`Broker`."""
        super().__init__(url, token)
        self._groups = Groups(self._http, self.settings.resource)

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

    def submit_many(self, jobs: Iterable[Draft | Circuit]) -> list[Job]:
        """Submit many jobs in one request, all or none: drafts (see
        :mod:`quanopy.client.drafts`), or programs, each as a job of its own."""
        wanted = drafts.drafted_each(jobs)
        return submitted(self._http, [one.to_wire(self.settings.resource) for one in wanted])

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
        from quanopy.client.sweeps import Plan, Sweep, weights_of

        weights = weights_of(scatter, resource, lambda name: self.resource(name).lanes)
        plan = Plan(circuit, values, observables, combine=combine, shares=weights)
        known = [Job(self._http, one) for one in bulk.ids_of(jobs)]
        return Sweep(self._http, known or self.submit_many(plan.drafts(how)), plan)

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
        return self._groups.segment(
            drafts.drafted(program, resource=resource, **how),
            name=name,
            wanted=policy(GroupOrder.SEQUENTIAL, max_in_flight, gap, stop_when),
            total_shots=total_shots,
            shots=shots,
            count=count,
            override=override,
        )

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

    def import_receipt(
        self,
        path: Path | str,
        *,
        on_progress: Callable[[int, int], object] | None = None,
        told: Callable[[ImportingOut], object] | None = None,
    ) -> ReceiptOut:
        """Take the jobs of a receipt into this broker, as this account's: with their ids, as they
        ended, marked as told and not seen. Safe to repeat. ``on_progress`` is told (bytes sent, of
        so many); once all are sent, ``told`` about twice a second how far the broker is with what
        it does then: ``step`` (``check``, ``read``, ``keep``), ``done``, ``of``.

        Raises:
            Invalid: something is wrong with it, or none of its jobs was final.
            Conflict: one of its jobs is there already, and is another or another's.
        """
        return exporting.imported(self._http, Path(path), on_progress, told)
