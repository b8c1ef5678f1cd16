"""Tracking: remote executions followed to their end, by whichever worker finds them due."""

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from quanopy.domain.errors import (
    Conflict,
    NotFound,
    NotReady,
    QuanopyError,
    Rejected,
    TaskFailed,
    Unavailable,
    retry_after,
)
from quanopy.domain.jobs import Execution, Task
from quanopy.domain.resources import Resource
from quanopy.domain.states import ExecutionState, TaskState
from quanopy.ports.providers import Outcome, RemoteProvider, Report, Work
from quanopy.ports.store import Due, ExecutionChange, Store
from quanopy.services.calibrate import Calibrations
from quanopy.services.ending import Endings, Verdict, ended, failed, problem_of, usage_of
from quanopy.services.holding import Holding
from quanopy.services.identity import estranged, strangers
from quanopy.services.recover import Recovery
from quanopy.services.remote import Sending, search_delay_s

log = logging.getLogger(__name__)

_ROUGHLY_S = 0.25
_SLOWEST = 16
_ACTIVE = (ExecutionState.SUBMITTED, ExecutionState.RUNNING)
_GONE = "the provider does not know this execution any more"


class Tracking:
    """Follows executions of one remote provider."""

    def __init__(
        self,
        provider: RemoteProvider,
        *,
        worker: str,
        store: Store,
        endings: Endings,
        holding: Holding,
        sending: Sending,
        recovery: Recovery,
        calibrations: Calibrations,
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
        self._sent = sent
        self._ttl_s = ttl_s
        self._odd: dict[str, str] = {}

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
        except QuanopyError as error:
            changes = [self._later(e, error) for e in due.executions]
            self._sending.advance(due.claim_id, changes)
            return []
        self._sending.advance(due.claim_id, [estranged(e) for e in others])
        return [e for e in due.executions if e not in others]

    def _follow(self, due: Due, executions: Sequence[Execution]) -> None:
        ids = {e.id: e.provider_job_id for e in executions if e.provider_job_id is not None}
        self._stop([ids[e.id] for e in executions if e.stop_requested and e.id in ids])
        try:
            reports = self._provider.poll(list(ids.values()))
        except QuanopyError as error:
            self._sending.advance(due.claim_id, [self._later(e, error) for e in executions])
            return
        changes, ends = self._sort(due, executions, reports)
        self._sending.advance(due.claim_id, self._recognised(executions, reports))
        self._sending.advance(due.claim_id, changes)
        if ends:
            self._endings.end(due.claim_id, ends, frees=True)
            for execution, _ in ends:
                self._odd.pop(execution.id, None)

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
        return [
            ExecutionChange(execution_id=one.id, fingerprint=self._provider.fingerprint())
            for one in executions
            if one.fingerprint is None and one.provider_job_id in reports
        ]

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
            return self._unseen(execution, Report(state=None, detail=_broke(error)))

    def _stepped(
        self, due: Due, execution: Execution, reports: Mapping[str, Report]
    ) -> ExecutionChange | tuple[Execution, list[Verdict]]:
        tasks = due.tasks[execution.id]
        report = reports.get(execution.provider_job_id or "")
        if report is None:
            return self._missing(execution)
        if report.state is None:
            return self._unseen(execution, report)
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
            else self._pause_s(execution),
        )

    def _missing(self, execution: Execution) -> ExecutionChange:
        """Unknown to the provider: not seen yet, or forgotten and left to an operator."""
        if _age_s(execution) < search_delay_s(self._provider):
            return ExecutionChange(execution_id=execution.id, due_in_s=self._pause_s(execution))
        return _stranded(execution)

    def _unseen(self, execution: Execution, report: Report) -> ExecutionChange:
        """A status nobody has seen before is noted once, and waited out."""
        new = self._odd.get(execution.id) != report.detail
        self._odd[execution.id] = report.detail
        return ExecutionChange(
            execution_id=execution.id,
            due_in_s=self._pause_s(execution),
            detail={"status": report.detail} if new else {},
        )

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
            return self._later(execution, error)
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

    def _later(self, execution: Execution, error: QuanopyError) -> ExecutionChange:
        """The provider did not answer: the execution is what it was, and is asked for again."""
        log.warning("%s: %s", execution.id, error)
        return ExecutionChange(
            execution_id=execution.id,
            due_in_s=max(retry_after(error) or 0.0, self._pause_s(execution)),
        )

    def _pause_s(self, execution: Execution) -> float:
        """Until the next look: as long as nothing has changed so far, so it doubles each time."""
        base = self._provider.capabilities.poll_interval_s
        since = execution.started_at or execution.created_at
        unchanged = (datetime.now(UTC) - since).total_seconds()
        return in_step(min(max(base, unchanged), _SLOWEST * base), base)


def in_step(pause_s: float, base_s: float) -> float:
    """A pause, cut by a quarter at most so that it ends when those of others that wait about as
    long do: one request then tells of many."""
    step_s: float = base_s / 4 * 2 ** int(math.log2(pause_s / base_s))
    # So roughly that those looked at together, one by one, are given the very same time.
    now = math.floor(time.time() / _ROUGHLY_S) * _ROUGHLY_S
    return max(base_s, math.floor((now + pause_s) / step_s) * step_s - now)


def _broke(error: Exception) -> str:
    return f"the provider broke: {type(error).__name__}"


def _age_s(execution: Execution) -> float:
    return (datetime.now(UTC) - execution.created_at).total_seconds()


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
