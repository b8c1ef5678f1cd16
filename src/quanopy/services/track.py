"""Tracking: remote executions followed to their end, by whichever worker finds them due."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from quanopy.domain.errors import (
    Conflict,
    NotFound,
    NotReady,
    QuanopyError,
    Rejected,
    TaskFailed,
    Unavailable,
)
from quanopy.domain.jobs import Execution, Task
from quanopy.domain.resources import Resource
from quanopy.domain.states import ExecutionState, TaskState
from quanopy.ports.executions import Due, ExecutionChange, ExecutionStore
from quanopy.ports.providers import Outcome, RemoteProvider, Report, Work
from quanopy.services.calibrate import Calibrations
from quanopy.services.ending import Endings, Verdict, ended, failed, problem_of, usage_of
from quanopy.services.holding import Holding
from quanopy.services.identity import estranged, strangers
from quanopy.services.looks import Looks, ask_of_many, pause_s
from quanopy.services.recover import Recovery
from quanopy.services.remote import Sending, search_delay_s

log = logging.getLogger(__name__)

_ACTIVE = (ExecutionState.SUBMITTED, ExecutionState.RUNNING)
_GONE = "the provider does not know this execution any more"


class Tracking:
    """Follows executions of one remote provider."""

    def __init__(
        self,
        provider: RemoteProvider,
        *,
        worker: str,
        store: ExecutionStore,
        endings: Endings,
        holding: Holding,
        sending: Sending,
        recovery: Recovery,
        calibrations: Calibrations,
        looks: Looks,
        sent: Callable[[Execution, Sequence[Task], Resource], list[Work]],
        ttl_s: float,
    ) -> None:
        """``sent`` tells what an execution was sent with; it raises why it cannot."""
        self._provider = provider
        self._worker = worker
        self._store = store
        self._endings = endings
        self._holding = holding
        self._sending = sending
        self._recovery = recovery
        self._calibrations = calibrations
        self._looks = looks
        self._sent = sent
        self._ttl_s = ttl_s

    def look(self) -> bool:
        """Look after a batch of what is due; whether there was any. Raises ``Unavailable``."""
        batch = self._provider.capabilities.batch
        found = self._store.due(self._worker, [self._provider.name], limit=batch, ttl_s=self._ttl_s)
        for due in found:
            self._holding.add(due.claim_id)
        for due in found:
            self._handle(due)
        return bool(found)

    def _handle(self, due: Due) -> None:
        try:
            own = self._own(due)
            lost = [e for e in own if e.state is ExecutionState.SUBMITTING]
            if lost:
                self._recovery.recover(due, lost)
            active = [e for e in own if e.state in _ACTIVE]
            if active:
                self._follow(due, active)
            stranded = [e for e in own if e.state is ExecutionState.STRANDED]
            if stranded:
                self._recovery.revisit(due, stranded)
        except Conflict as error:
            log.warning("%s: somebody else goes on with its executions", error)
        except Exception:
            log.exception("%s: following broke; its executions are given back", due.claim_id)
            self._holding.give_back(due.claim_id)
        finally:
            self._holding.drop(due.claim_id)

    def _own(self, due: Due) -> list[Execution]:
        """Those of the account that the provider speaks for; the others are stranded. None while
        nobody can say whose they are."""
        try:
            others = strangers(self._provider, due.executions)
        except Exception as error:
            log.warning("whose executions these are is not known", exc_info=error)
            changes = [self._looks.failed(e, error) for e in due.executions]
            self._sending.advance(due.claim_id, changes)
            return []
        self._sending.advance(due.claim_id, [estranged(e) for e in others])
        return [e for e in due.executions if e not in others]

    def _follow(self, due: Due, executions: Sequence[Execution]) -> None:
        ids = {e.id: e.provider_job_id for e in executions if e.provider_job_id is not None}
        self._stop([ids[e.id] for e in executions if e.stop_requested and e.id in ids])
        reports, silent = ask_of_many(
            self._provider.poll,
            list(dict.fromkeys(ids.values())),
            sound=lambda one: isinstance(one, Report),
        )
        self._sending.advance(due.claim_id, self._recognised(executions, reports))
        changes = [
            self._looks.failed(e, silent[ids[e.id]]) for e in executions if ids.get(e.id) in silent
        ]
        told = [e for e in executions if ids.get(e.id) not in silent]
        moved, ends = self._sort(due, told, reports)
        self._sending.advance(due.claim_id, [*changes, *moved])
        if ends:
            self._end(due, ends)

    def _end(self, due: Due, ends: Sequence[tuple[Execution, list[Verdict]]]) -> None:
        """Write ends down, together; where that breaks each by itself, and one that cannot be
        written down is looked at again."""
        try:
            self._endings.end(due.claim_id, ends, frees=True)
            for execution, _ in ends:
                self._looks.forget(execution)
            return
        except Conflict:
            raise
        except Exception as error:
            log.exception("%s: %d ends cannot be written down", due.claim_id, len(ends))
            if len(ends) == 1:
                self._sending.advance(due.claim_id, [self._looks.failed(ends[0][0], error)])
                return
        for one in ends:
            self._end(due, [one])

    def _stop(self, ids: Sequence[str]) -> None:
        """Ask for an end, again at every look. What cannot be stopped keeps no other from its end,
        nor from being looked at."""
        try:
            if ids:
                self._provider.stop(ids)
        except QuanopyError as error:
            log.warning("stopping %s: %s", ", ".join(ids), error)
            for one in ids if len(ids) > 1 else ():
                self._stop([one])
        except Exception:
            log.exception("stopping %s: provider %s broke", ", ".join(ids), self._provider.name)

    def _recognised(
        self, executions: Sequence[Execution], reports: Mapping[str, Report]
    ) -> list[ExecutionChange]:
        """Executions of which it was not known which account has them: this one has."""
        found = [e for e in executions if e.fingerprint is None and e.provider_job_id in reports]
        try:
            own = self._provider.fingerprint() if found else ""
        except Exception as error:
            log.warning("which account has them is not known", exc_info=error)
            return []
        return [ExecutionChange(execution_id=one.id, fingerprint=own) for one in found]

    def _sort(
        self, due: Due, executions: Sequence[Execution], reports: Mapping[str, Report]
    ) -> tuple[list[ExecutionChange], list[tuple[Execution, list[Verdict]]]]:
        """What goes on, and what has ended."""
        changes, ends = [], []
        for execution in executions:
            step = self._step(due, execution, reports)
            if isinstance(step, ExecutionChange):
                changes.append(step)
            else:
                ends.append(step)
        return changes, ends

    def _step(
        self, due: Due, execution: Execution, reports: Mapping[str, Report]
    ) -> ExecutionChange | tuple[Execution, list[Verdict]]:
        """What becomes of one. A provider is a plugin: what it breaks is this execution's look,
        not that of all those that it was looked at with."""
        try:
            return self._stepped(due, execution, reports)
        except Conflict:
            raise
        except Exception as error:
            log.exception("%s: provider %s broke", execution.id, self._provider.name)
            return self._looks.failed(execution, error)

    def _stepped(
        self, due: Due, execution: Execution, reports: Mapping[str, Report]
    ) -> ExecutionChange | tuple[Execution, list[Verdict]]:
        tasks = due.tasks[execution.id]
        report = reports.get(execution.provider_job_id or "")
        if report is None:
            return self._missing(execution, due.ages_s[execution.id])
        if report.state is None:
            return self._looks.told(execution, report.detail)
        if report.state is ExecutionState.COMPLETED:
            return self._completed(due, execution, tasks)
        if report.state in (ExecutionState.FAILED, ExecutionState.CANCELLED):
            return _without_result(self._bound(due, execution, []), tasks, report)
        return self._unfinished(execution, report)

    def _unfinished(self, execution: Execution, report: Report) -> ExecutionChange:
        forward = (
            execution.state is ExecutionState.SUBMITTED and report.state is ExecutionState.RUNNING
        )
        return ExecutionChange(
            execution_id=execution.id,
            state=ExecutionState.RUNNING if forward else None,
            due_in_s=self._provider.capabilities.poll_interval_s
            if forward
            else pause_s(self._provider, execution, report.queue_position),
        )

    def _missing(self, execution: Execution, age_s: float) -> ExecutionChange:
        """Unknown to the provider: not seen yet, or forgotten and left to an operator."""
        if age_s < search_delay_s(self._provider):
            return ExecutionChange(
                execution_id=execution.id, due_in_s=pause_s(self._provider, execution)
            )
        return _stranded(execution)

    def _completed(
        self, due: Due, execution: Execution, tasks: Sequence[Task]
    ) -> ExecutionChange | tuple[Execution, list[Verdict]]:
        try:
            outcomes = self._provider.result(
                execution.provider_job_id or "",
                None if execution.adopted else lambda: self._works(execution, tasks),
            )
            if len(outcomes) != len(tasks):
                raise Rejected(f"{len(outcomes)} results came back for {len(tasks)} tasks")
        except NotReady:
            return ExecutionChange(
                execution_id=execution.id, due_in_s=self._provider.capabilities.poll_interval_s
            )
        except NotFound:
            return _stranded(execution)
        except Rejected as error:
            return ended(execution, ExecutionState.FAILED, error), [failed(t, error) for t in tasks]
        except QuanopyError as error:
            return self._looks.failed(execution, error)
        return _with_result(self._bound(due, execution, outcomes), tasks, outcomes)

    def _bound(self, due: Due, execution: Execution, outcomes: Sequence[Outcome]) -> Execution:
        """The execution with what it ran under, as is known now that it has ended; nothing of one
        that was made elsewhere, unless its vendor says so with the result."""
        if execution.adopted and not any(outcome.calibration for outcome in outcomes):
            return execution
        calibration = self._holding.persist(
            due.claim_id,
            lambda: self._calibrations.concluded(self._provider, execution, outcomes),
        )
        return replace(execution, calibration=calibration)

    def _works(self, execution: Execution, tasks: Sequence[Task]) -> Sequence[Work]:
        """What was sent; raises why it cannot be told."""
        resources = {one.name: one for one in self._provider.resources()}
        if execution.resource not in resources:
            raise Unavailable(f"{self._provider.name} has no resource {execution.resource} now")
        return self._sent(execution, tasks, resources[execution.resource])


def _stranded(execution: Execution) -> ExecutionChange:
    return ExecutionChange(
        execution_id=execution.id,
        state=ExecutionState.STRANDED,
        problem=problem_of(NotFound(_GONE, hint="Look it up with the provider.")),
    )


def _with_result(
    execution: Execution, tasks: Sequence[Task], outcomes: Sequence[Outcome]
) -> tuple[Execution, list[Verdict]]:
    """Each slice by its own outcome; an error here was billed, so it is never tried again."""
    verdicts = [
        Verdict(task=task, state=TaskState.COMPLETED, result=outcome.result)
        if outcome.error is None
        else failed(task, outcome.error)
        for task, outcome in zip(tasks, outcomes, strict=True)
    ]
    done = ended(execution, ExecutionState.COMPLETED, None)
    return replace(done, usage=usage_of(outcomes)), verdicts


def _without_result(
    execution: Execution, tasks: Sequence[Task], report: Report
) -> tuple[Execution, list[Verdict]]:
    """Failed or cancelled by the provider: for good, for it may have been billed."""
    if report.state is ExecutionState.CANCELLED and execution.stop_requested:
        verdicts = [Verdict(task=task, state=TaskState.CANCELLED) for task in tasks]
        return ended(execution, ExecutionState.CANCELLED, None), verdicts
    error = TaskFailed(report.detail or f"the provider says it is {report.state}")
    state = report.state or ExecutionState.FAILED
    return ended(execution, state, error), [failed(task, error) for task in tasks]
