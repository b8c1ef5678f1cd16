"""Recovery: executions whose reply was lost, or whose worker died before it came."""

import logging
from collections.abc import Callable, Mapping, Sequence

from quanopy.domain.errors import (
    Conflict,
    OutcomeUnknown,
    QuanopyError,
    Transient,
    Unavailable,
)
from quanopy.domain.jobs import Execution, Task
from quanopy.domain.resources import Resource
from quanopy.domain.states import ExecutionState
from quanopy.ports.executions import Due, ExecutionChange
from quanopy.ports.providers import RemoteProvider, Report, Work
from quanopy.services.ending import Endings, Verdict, problem_of
from quanopy.services.looks import Looks, ask_of_many, broke, is_provider_id
from quanopy.services.remote import Intent, Sending, refusal, search_delay_s

log = logging.getLogger(__name__)

_SEARCHES = 2
_SHORTEST_SEARCH_PAUSE_S = 0.5


class Recovery:
    """Settles executions that may or may not have been accepted, as the vendor allows.

    Sent again with the same key where that gives one execution; searched for, twice, where the
    provider can; else stranded: work that may have been billed is never sent again on its own.
    """

    def __init__(
        self,
        provider: RemoteProvider,
        *,
        endings: Endings,
        sending: Sending,
        looks: Looks,
        sent: Callable[[Execution, Sequence[Task], Resource], list[Work]],
    ) -> None:
        """``sent`` tells what an execution was sent with; it raises why it cannot."""
        self._provider = provider
        self._looks = looks
        self._endings = endings
        self._sending = sending
        self._sent = sent

    def recover(self, due: Due, executions: Sequence[Execution]) -> None:
        """Settle these, which are ``submitting``. Raises ``Conflict`` when the claim is lost."""
        able = self._provider.capabilities
        if able.idempotent:
            self._send_again(due, executions)
        elif able.searchable:
            self._search(due, executions)
        else:
            self._sending.advance(due.claim_id, [_stranded(e) for e in executions])

    def revisit(self, due: Due, executions: Sequence[Execution]) -> None:
        """Stranded executions that somebody asks about: those that the provider knows after all
        go on, the others are put down as they were; so are those of another account. Raises as
        :meth:`recover`."""
        ids = {e.id: e.provider_job_id for e in executions if e.provider_job_id is not None}
        reports, silent = ask_of_many(
            self._provider.poll,
            list(dict.fromkeys(ids.values())),
            sound=lambda one: isinstance(one, Report),
        )
        known = {key: name for key, name in ids.items() if name in reports}
        failures = {key: silent[name] for key, name in ids.items() if name in silent}
        if self._provider.capabilities.searchable:
            keys = [e.id for e in executions if e.id not in ids]
            found, missed = ask_of_many(self._provider.find, keys, sound=is_provider_id)
            known |= found
            failures |= missed
        self._sending.advance(
            due.claim_id, [self._revisited(e, known, failures) for e in executions]
        )

    def _revisited(
        self, execution: Execution, known: Mapping[str, str], failures: Mapping[str, Exception]
    ) -> ExecutionChange:
        if execution.id in known:
            return self._found(execution, known[execution.id])
        if execution.id not in failures:
            return self._not_found(execution)
        error = failures[execution.id]
        log.warning("looking for %s, which is stranded: %s", execution.id, error)
        told = {} if isinstance(error, QuanopyError) else {"status": broke(error)}
        return ExecutionChange(execution_id=execution.id, detail=told)

    def _not_found(self, execution: Execution) -> ExecutionChange:
        """It stays stranded; that it was looked for is told."""
        asked = execution.provider_job_id is not None or self._provider.capabilities.searchable
        status = "does not know it" if asked else "cannot be asked for it: it has no id there"
        return ExecutionChange(
            execution_id=execution.id,
            searched=asked,
            detail={"status": f"{self._provider.name} {status}"},
        )

    def _send_again(self, due: Due, executions: Sequence[Execution]) -> None:
        """The same key again. What can no longer be prepared may still have been sent before,
        so it is stranded; so is what is refused now, unless it can be searched for."""
        intents, changes = [], []
        for execution in executions:
            step = self._again(due, execution)
            if isinstance(step, Intent):
                intents.append(step)
            else:
                changes.append(step)
        self._sending.advance(due.claim_id, changes)
        refused = self._sending.send_again(due.claim_id, intents) if intents else []
        if self._provider.capabilities.searchable:
            self._search(due, [intent.execution for intent, _ in refused])
        else:
            stranded = [_stranded(intent.execution, error) for intent, error in refused]
            self._sending.advance(due.claim_id, stranded)

    def _again(self, due: Due, execution: Execution) -> Intent | ExecutionChange:
        """What it is sent with again, or what becomes of it instead."""
        tasks = due.tasks[execution.id]
        try:
            resources = {resource.name: resource for resource in self._provider.resources()}
            if execution.resource not in resources:
                return _stranded(execution)
            works = self._sent(execution, tasks, resources[execution.resource])
        except (Transient, Unavailable) as error:
            return self._looks.failed(execution, error)
        except Conflict:
            raise
        except QuanopyError as error:
            log.warning("%s cannot be sent again: %s", execution.id, error)
            return _stranded(execution, error)
        except Exception as error:
            log.exception("%s cannot be sent again now", execution.id)
            return self._looks.failed(execution, error)
        return Intent(execution=execution, tasks=tasks, works=works)

    def _search(self, due: Due, executions: Sequence[Execution]) -> None:
        early_s = {e.id: self._too_early_s(e, due.ages_s[e.id]) for e in executions}
        changes = [
            ExecutionChange(execution_id=early, due_in_s=left)
            for early, left in early_s.items()
            if left > 0
        ]
        ready = [e for e in executions if early_s[e.id] <= 0]
        found, silent = ask_of_many(
            self._provider.find, [e.id for e in ready], sound=is_provider_id
        )
        changes += [self._looks.failed(e, silent[e.id]) for e in ready if e.id in silent]
        changes += [self._found(e, found[e.id]) for e in ready if e.id in found]
        missing = [e for e in ready if e.id not in found and e.id not in silent]
        changes += [self._once_more(e) for e in missing if e.searches + 1 < _SEARCHES]
        self._sending.advance(due.claim_id, changes)
        self._give_up(due, [e for e in missing if e.searches + 1 >= _SEARCHES])

    def _too_early_s(self, execution: Execution, age_s: float) -> float:
        return search_delay_s(self._provider) + execution.searches * self._pause_s - age_s

    def _found(self, execution: Execution, provider_job_id: str) -> ExecutionChange:
        return ExecutionChange(
            execution_id=execution.id,
            state=ExecutionState.SUBMITTED,
            provider_job_id=provider_job_id,
            due_in_s=0.0,
            searched=True,
        )

    def _once_more(self, execution: Execution) -> ExecutionChange:
        return ExecutionChange(execution_id=execution.id, due_in_s=self._pause_s, searched=True)

    @property
    def _pause_s(self) -> float:
        """Between two searches."""
        return max(self._provider.capabilities.visibility_delay_s, _SHORTEST_SEARCH_PAUSE_S)

    def _give_up(self, due: Due, executions: Sequence[Execution]) -> None:
        """Searched for often enough: it never arrived, so its tasks may be sent anew."""
        error = Transient("the provider never received it")
        ends: list[tuple[Execution, list[Verdict]]] = [
            refusal(execution, due.tasks[execution.id], error) for execution in executions
        ]
        if ends:
            self._endings.end(due.claim_id, ends, frees=True)


def _stranded(execution: Execution, refused: QuanopyError | None = None) -> ExecutionChange:
    """``refused``: why it was not taken when it was sent again."""
    then = "" if refused is None else f"; sent again, it was refused: {refused.message}"
    error = OutcomeUnknown(
        f"the provider may or may not have accepted it{then}",
        hint="Look it up with the provider; Quanopy will not send it again on its own.",
    )
    return ExecutionChange(
        execution_id=execution.id, state=ExecutionState.STRANDED, problem=problem_of(error)
    )
