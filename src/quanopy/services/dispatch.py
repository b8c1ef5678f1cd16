"""Dispatch to emulators in processes of our own: prepare a claim, run it, write its ends."""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from threading import Event, Lock

from quanopy.domain.calibration import Binding
from quanopy.domain.errors import Conflict, QuanopyError, TaskFailed, Transient, Unavailable
from quanopy.domain.jobs import Task
from quanopy.domain.resources import Resource
from quanopy.ports.claims import Claim
from quanopy.ports.executions import Ending
from quanopy.ports.providers import LocalProvider, Outcome, Running, Work
from quanopy.services.calibrate import Calibrations
from quanopy.services.demands import demands
from quanopy.services.ending import Endings, Ends, Kept, Verdict, by_account, judge
from quanopy.services.hints import JobHints
from quanopy.services.holding import Holding
from quanopy.services.identity import target_digest
from quanopy.services.preparing import Prepared, Preparing, Ready, checked
from quanopy.services.ran import Ran

log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class _Batch:
    """A claim that is being worked on."""

    tasks: frozenset[str]
    cancelled: set[str] = field(default_factory=set)
    running: Running | None = None
    ran: dict[str, Sequence[Ran]] = field(default_factory=dict)
    """What tasks ran of their programs, where that is not what was read."""
    target: str | None = None


_Done = tuple[Verdict, Outcome]
_LOG = "The server's log says why."
_BROKEN = Outcome(error=Transient("it broke the worker that had it", hint=_LOG))
_UNWRITTEN = Outcome(error=Transient("what became of it cannot be written down", hint=_LOG))


class Commit:
    """Whether a claim whose work was begun ahead has been committed: between who works, and who
    commits. The work may have come to its end before: then that is committed with it."""

    def __init__(self) -> None:
        self._stored, self._known, self._ended = Event(), Event(), Event()
        self._done = False
        self._endings: Sequence[Ending] | None = None
        self.taken = False
        """Whether the end of the work is to be committed with the claim."""

    def store(self) -> None:
        """What was submitted is in the archive."""
        self._stored.set()

    def end(self, endings: Sequence[Ending] | None) -> None:
        """The work has come to its end, which can be committed (``None``: it cannot)."""
        self._endings = endings
        self._ended.set()

    def take(self, timeout_s: float) -> Sequence[Ending] | None:
        """The end of the work, to be committed; ``None`` where it has not come in time."""
        self._ended.wait(timeout_s)
        # Read once: it may come just now.
        endings = self._endings
        self.taken = endings is not None
        return endings

    def tell(self, done: bool) -> None:
        """It has, or never will be."""
        self._done = done
        self._known.set()
        self._stored.set()

    @property
    def failed(self) -> bool:
        """Whether it is known that it never will be."""
        return self._known.is_set() and not self._done

    @property
    def whole(self) -> bool:
        """Whether it was committed with its end, so that there is nothing left to do."""
        return self._done and self.taken

    def wait_stored(self) -> bool:
        """Return once what was submitted is in the archive, or never will be; whether it is: an
        end without its beginning would look like one that was lost."""
        self._stored.wait()
        return not self.failed

    def wait(self) -> bool:
        """Return once it is known whether."""
        self._known.wait()
        return self._done


class LocalDispatch:
    """Runs claims on one local provider; a claim a call, several calls at once."""

    def __init__(
        self,
        provider: LocalProvider,
        *,
        preparing: Preparing,
        endings: Endings,
        holding: Holding,
        hints: JobHints,
        calibrations: Calibrations,
    ) -> None:
        self._provider = provider
        self._calibrations = calibrations
        self._preparing = preparing
        self._endings = endings
        self._holding = holding
        self._hints = hints
        self._lock = Lock()
        self._batches: dict[str, _Batch] = {}
        self._targets: dict[str, str | None] = {}

    def run(self, claim: Claim, resource: Resource, commit: Commit | None = None) -> None:
        """Do all that is claimed. A claim lost on the way is left to who has it now. One that is
        still to be committed is run ahead, and written down once ``commit`` says so."""
        batch = _Batch(tasks=frozenset(task.id for task in claim.tasks))
        with self._lock:
            self._batches[claim.id] = batch
        try:
            self._run(claim, resource, batch, commit)
        except Conflict as error:
            log.warning("%s: %d tasks will be done again", error, len(claim.tasks))
        except Exception:
            log.exception("%s: a batch broke, and is given back", claim.id)
            self._holding.give_back(claim.id)
        finally:
            with self._lock:
                del self._batches[claim.id]
            self._holding.drop(claim.id)
            self._hints.give_up(claim.id)

    def cancel(self, task_ids: Collection[str]) -> None:
        """Ask that these end soon, whichever batches they are in."""
        with self._lock:
            batches = list(self._batches.values())
        for batch in batches:
            wanted = batch.tasks.intersection(task_ids) - batch.cancelled
            if not wanted:
                continue
            with self._lock:
                batch.cancelled |= wanted
                running = batch.running
            if running is not None:
                running.cancel(sorted(wanted))

    def cancel_all(self) -> None:
        """Ask that everything ends soon: the worker stops, and the claims are given up."""
        with self._lock:
            started = [(b.running, b.tasks) for b in self._batches.values()]
        for running, tasks in started:
            if running is not None:
                running.cancel(sorted(tasks))

    def _run(self, claim: Claim, resource: Resource, batch: _Batch, commit: Commit | None) -> None:
        began_at = datetime.now(UTC)
        outcomes = None
        if commit is not None:
            if commit.failed:
                return  # before this began, so that nobody could cancel it
            outcomes = self._run_ahead(claim.tasks, resource, batch)
            kept = None
            if commit.wait_stored():
                kept = self._kept(claim, outcomes, resource, batch, began_at)
            commit.end(None if kept is None else kept.endings)
            if not commit.wait() or commit.whole:
                return
            if kept is not None:
                write = partial(self._endings.write, claim.id, kept, frees=resource.bounded)
                if _could(write, claim.id, len(claim.tasks)):
                    return
        if outcomes is None:
            outcomes = self._run_now(claim.id, claim.tasks, resource, batch)
        if claim.id not in self._holding:
            raise Conflict(f"{claim.id} is lost")
        done = _judged_all(claim.tasks, outcomes, batch)
        self._end(claim.id, done, resource, began_at, self._target(batch, resource.name))

    def _kept(
        self,
        claim: Claim,
        outcomes: Sequence[Outcome] | None,
        resource: Resource,
        batch: _Batch,
        began_at: datetime,
    ) -> Kept | None:
        """The ends of tasks that are not committed yet, kept in the archive; ``None`` where any
        of them is not completed, or they cannot be kept now."""
        if outcomes is None or any(outcome.error is not None for outcome in outcomes):
            return None
        done = _judged_all(claim.tasks, outcomes, batch)
        try:
            calibration = self._calibrations.of_emulator(self._provider, resource.name)
            target = self._target(batch, resource.name)
            return self._endings.keep(
                self._ends(claim.id, done, resource, began_at, target, calibration)
            )
        except QuanopyError as error:
            log.info("%s: %s; its ends are kept once it is committed", claim.id, error)
        except Exception:
            log.exception("%s: the ends of %d tasks cannot be kept", claim.id, len(done))
        return None

    def _target(self, batch: _Batch, resource: str) -> str | None:
        """Digest of what the batch was compiled for, or fitted. An emulator is always the same
        machine, so it is asked once."""
        if batch.target is not None:
            return batch.target
        if resource not in self._targets:
            self._targets[resource] = target_digest(self._provider, resource)
        return self._targets[resource]

    def _end(
        self,
        claim_id: str,
        done: Sequence[_Done],
        resource: Resource,
        began_at: datetime,
        target: str | None,
    ) -> None:
        """Write down what became of tasks; where that breaks, of each by itself. One whose own
        end breaks has had an attempt that failed."""

        def write(some: Sequence[_Done]) -> None:
            calibration = self._holding.persist(
                claim_id, lambda: self._calibrations.of_emulator(self._provider, resource.name)
            )
            ends = self._ends(claim_id, some, resource, began_at, target, calibration)
            self._endings.end(claim_id, ends, frees=resource.bounded)

        if _could(partial(write, done), claim_id, len(done)):
            return
        for one in done:
            broken = _judged(one[0].task, _UNWRITTEN)
            if not any(_could(partial(write, [end]), claim_id, 1) for end in (one, broken)):
                self._holding.give_back(claim_id)

    def _ends(
        self,
        claim_id: str,
        done: Sequence[_Done],
        resource: Resource,
        began_at: datetime,
        target: str | None,
        calibration: Binding,
    ) -> Ends:
        return by_account(
            [verdict for verdict, _ in done],
            [outcome for _, outcome in done],
            resource=resource.name,
            provider=self._provider.name,
            claim_id=claim_id,
            began_at=began_at,
            calibration=calibration,
            target=target,
        )

    def _run_now(
        self, claim_id: str, tasks: Sequence[Task], resource: Resource, batch: _Batch
    ) -> list[Outcome]:
        """What became of tasks. Where that breaks, each is done by itself, and what breaks then
        is an attempt that failed."""
        try:
            prepared = self._holding.persist(claim_id, lambda: self._prepare(tasks, resource))
            return self._outcomes(tasks, prepared, batch)
        except Conflict:
            raise
        except Exception:
            log.exception("%s: a batch of %d tasks broke", claim_id, len(tasks))
        if len(tasks) == 1:
            return [_BROKEN]
        return [self._run_now(claim_id, [task], resource, batch)[0] for task in tasks]

    def _run_ahead(
        self, tasks: Sequence[Task], resource: Resource, batch: _Batch
    ) -> list[Outcome] | None:
        """What became of tasks that are not committed yet; ``None`` where anything was amiss: it
        may be due to that."""
        try:
            prepared = self._prepare(tasks, resource)
            if any(isinstance(work, QuanopyError) for work in prepared):
                return None
            return self._outcomes(tasks, prepared, batch)
        except QuanopyError:
            return None
        except Exception:
            log.exception("a batch of %d tasks broke", len(tasks))
            return None

    def _prepare(self, tasks: Sequence[Task], resource: Resource) -> list[Prepared]:
        try:
            prepared = self._preparing.prepare(
                tasks, resource, lambda: self._provider.target(resource.name)
            )
        except (Unavailable, Transient):
            raise
        except QuanopyError as error:
            return [error] * len(tasks)
        return [
            self._demanded(task, one) if isinstance(one, Ready) else one
            for task, one in zip(tasks, checked(self._provider, prepared), strict=True)
        ]

    def _demanded(self, task: Task, ready: Ready) -> Prepared:
        """The same, or why its resource's calibration is not what it asks for."""
        if not demands(ready.work.options):
            return ready
        standing = self._calibrations.current(self._provider, ready.work.resource)
        verdict = self._calibrations.demands.verdict(task, ready.work.options, standing)
        if verdict is None or verdict.problem is None:
            return ready
        return TaskFailed(verdict.problem.message, hint=verdict.problem.hint)

    def _outcomes(
        self, tasks: Sequence[Task], prepared: Sequence[Prepared], batch: _Batch
    ) -> list[Outcome]:
        """One outcome a task: what the provider says, or why it was never asked."""
        ready = [one for one in prepared if isinstance(one, Ready)]
        for one in ready:
            if one.ran:
                batch.ran[one.work.task_id] = one.ran
            batch.target = one.target or batch.target
        works = [one.work for one in ready if one.work.task_id not in batch.cancelled]
        ran = dict(zip([work.task_id for work in works], self._emulate(works, batch), strict=True))
        return [_outcome(task, work, ran) for task, work in zip(tasks, prepared, strict=True)]

    def _emulate(self, works: Sequence[Work], batch: _Batch) -> Sequence[Outcome]:
        if not works:
            return []
        try:
            running = self._provider.start(works)
            self._target(batch, works[0].resource)  # learnt while others work
            with self._lock:
                batch.running = running
                cancelled = sorted(batch.cancelled)
            if cancelled:
                running.cancel(cancelled)
            self._look(works[0].resource)
            return running.wait()
        except QuanopyError as error:
            return [Outcome(error=error)] * len(works)
        except Exception as error:
            # A provider is a plugin: what it breaks is its tasks, not the worker.
            log.exception("provider %s broke", self._provider.name)
            broken = TaskFailed(f"the provider broke: {type(error).__name__}: {error}")
            return [Outcome(error=broken)] * len(works)

    def _look(self, resource: str) -> None:
        """Have the calibration at hand by the time it is needed: the first time takes a while,
        in which the batch runs."""
        try:
            self._calibrations.of_emulator(self._provider, resource)
        except Unavailable as error:
            log.info("%s: %s; tried again once its batch has run", resource, error)


def _outcome(task: Task, work: Prepared, ran: Mapping[str, Outcome]) -> Outcome:
    if isinstance(work, QuanopyError):
        return Outcome(error=work)
    return ran.get(task.id) or Outcome(error=TaskFailed("cancelled before it was started"))


def _could(write: Callable[[], None], claim_id: str, tasks: int) -> bool:
    """Whether the ends of so many tasks could be written down."""
    try:
        write()
    except Conflict:
        raise
    except Exception:
        log.exception("%s: the ends of %d tasks cannot be written down", claim_id, tasks)
        return False
    return True


def _judged_all(tasks: Sequence[Task], outcomes: Sequence[Outcome], batch: _Batch) -> list[_Done]:
    done = [
        _judged(task, outcome, cancelled=task.id in batch.cancelled)
        for task, outcome in zip(tasks, outcomes, strict=True)
    ]
    if not batch.ran:
        return done
    return [(replace(v, ran=batch.ran.get(v.task.id, ())), outcome) for v, outcome in done]


def _judged(task: Task, outcome: Outcome, *, cancelled: bool = False) -> _Done:
    """What an outcome means for its task; one that means nothing is the task's failure."""
    try:
        return judge(task, outcome, cancelled=cancelled), outcome
    except Exception:
        log.exception("%s: what came back cannot be judged", task.id)
        failure = Outcome(error=TaskFailed("what came back for it is no outcome", hint=_LOG))
        return judge(task, failure), failure
