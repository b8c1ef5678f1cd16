"""Recovery: executions whose reply was lost, or whose worker died before it came."""

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

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
from quanopy.ports.providers import RemoteProvider, Work
from quanopy.ports.store import Due, ExecutionChange
from quanopy.services.ending import Endings, Verdict, problem_of
from quanopy.services.holding import Holding
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
        holding: Holding,
        sending: Sending,
        sent: Callable[[Execution, Sequence[Task], Resource], list[Work]],
    ) -> None:
        """``sent`` tells what an execution was sent with; it raises why it cannot."""
        self._provider = provider
        self._endings = endings
        self._holding = holding
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
        known: dict[str, str] = {}
        try:
            ids = {e.id: e.provider_job_id for e in executions if e.provider_job_id is not None}
            reports = self._provider.poll(list(ids.values())) if ids else {}
            known = {key: name for key, name in ids.items() if name in reports}
            keys = [e.id for e in executions if e.provider_job_id is None]
            if keys and self._provider.capabilities.searchable:
                known |= self._provider.find(keys)
        except QuanopyError as error:
            log.warning("looking for stranded executions: %s", error)
        else:
            missing = [e for e in executions if e.id not in known]
            self._sending.advance(due.claim_id, [self._not_found(e) for e in missing])
            executions = [e for e in executions if e.id in known]
        changes = [
            self._found(e, known[e.id]) if e.id in known else ExecutionChange(execution_id=e.id)
            for e in executions
        ]
        self._sending.advance(due.claim_id, changes)

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
        so it is stranded."""
        resources = {resource.name: resource for resource in self._provider.resources()}
        intents, stranded = [], []
        for execution in executions:
            tasks = due.tasks[execution.id]
            works = self._works(due, execution, tasks, resources.get(execution.resource))
            if works is None:
                stranded.append(_stranded(execution))
            else:
                intents.append(Intent(execution=execution, tasks=tasks, works=works))
        self._sending.advance(due.claim_id, stranded)
        if intents:
            self._sending.send(due.claim_id, intents, repeated=True)

    def _works(
        self, due: Due, execution: Execution, tasks: Sequence[Task], resource: Resource | None
    ) -> list[Work] | None:
        if resource is None:
            return None
        try:
            return self._holding.persist(
                due.claim_id, lambda: self._sent(execution, tasks, resource)
            )
        except (Unavailable, Conflict):
            raise
        except QuanopyError as error:
            log.warning("%s cannot be sent again: %s", execution.id, error)
            return None

    def _search(self, due: Due, executions: Sequence[Execution]) -> None:
        early = [e for e in executions if self._too_early_s(e) > 0]
        changes = [ExecutionChange(execution_id=e.id, due_in_s=self._too_early_s(e)) for e in early]
        ready = [e for e in executions if e not in early]
        try:
            found = self._provider.find([e.id for e in ready]) if ready else {}
        except QuanopyError as error:
            log.warning("searching: %s", error)
            pause = self._pause_s(error)
            changes += [ExecutionChange(execution_id=e.id, due_in_s=pause) for e in ready]
            self._sending.advance(due.claim_id, changes)
            return
        changes += [self._found(e, found[e.id]) for e in ready if e.id in found]
        missing = [e for e in ready if e.id not in found]
        changes += [self._once_more(e) for e in missing if e.searches + 1 < _SEARCHES]
        self._sending.advance(due.claim_id, changes)
        self._give_up(due, [e for e in missing if e.searches + 1 >= _SEARCHES])

    def _too_early_s(self, execution: Execution) -> float:
        age = (datetime.now(UTC) - execution.created_at).total_seconds()
        return search_delay_s(self._provider) - age

    def _found(self, execution: Execution, provider_job_id: str) -> ExecutionChange:
        return ExecutionChange(
            execution_id=execution.id,
            state=ExecutionState.SUBMITTED,
            provider_job_id=provider_job_id,
            due_in_s=0.0,
            searched=True,
        )

    def _once_more(self, execution: Execution) -> ExecutionChange:
        pause = max(self._provider.capabilities.visibility_delay_s, _SHORTEST_SEARCH_PAUSE_S)
        return ExecutionChange(execution_id=execution.id, due_in_s=pause, searched=True)

    def _pause_s(self, error: QuanopyError) -> float:
        asked = getattr(error, "retry_after_s", None) or 0.0
        return max(asked, self._provider.capabilities.poll_interval_s)

    def _give_up(self, due: Due, executions: Sequence[Execution]) -> None:
        """Searched for often enough: it never arrived, so its tasks may be sent anew."""
        error = Transient("the provider never received it")
        ends: list[tuple[Execution, list[Verdict]]] = [
            refusal(execution, due.tasks[execution.id], error) for execution in executions
        ]
        if ends:
            self._endings.end(due.claim_id, ends, frees=True)


def _stranded(execution: Execution) -> ExecutionChange:
    error = OutcomeUnknown(
        "the provider may or may not have accepted it",
        hint="Look it up with the provider; Quanopy will not send it again on its own.",
    )
    return ExecutionChange(
        execution_id=execution.id, state=ExecutionState.STRANDED, problem=problem_of(error)
    )
