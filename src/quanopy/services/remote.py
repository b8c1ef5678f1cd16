"""Dispatch to a vendor's service: every execution is written down before the vendor is called."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

from quanopy.domain.calibration import Binding
from quanopy.domain.errors import (
    Conflict,
    Denied,
    OutcomeUnknown,
    QuanopyError,
    Transient,
    Unavailable,
    retry_after,
)
from quanopy.domain.ids import made_at, new_id
from quanopy.domain.jobs import Execution, Task
from quanopy.domain.resources import Resource
from quanopy.domain.sightings import Standing
from quanopy.domain.states import ExecutionState
from quanopy.ports.claims import Claim
from quanopy.ports.executions import ExecutionChange, ExecutionStore
from quanopy.ports.objects import Objects
from quanopy.ports.providers import Order, RemoteProvider, Work
from quanopy.services.alarm import Alarm
from quanopy.services.calibrate import Calibrations
from quanopy.services.demands import demands
from quanopy.services.ending import Endings, Verdict, again, ended, failed, problem_of
from quanopy.services.holding import Holding
from quanopy.services.identity import target_digest
from quanopy.services.looks import broke, is_provider_id, pause_s
from quanopy.services.packing import pack_executions
from quanopy.services.preparing import Prepared, Preparing, Ready, checked
from quanopy.services.ran import Ran
from quanopy.services.recording import Sent

log = logging.getLogger(__name__)

Answer = str | QuanopyError
"""A provider's id, or why there is none."""
_LATER = Transient | Unavailable | Denied | OutcomeUnknown
"""What may be asked again, and be answered otherwise then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """An execution about to be sent, or that may have been, with its tasks and their works."""

    execution: Execution
    tasks: Sequence[Task]
    works: Sequence[Work]
    ran: Sequence[Sequence[Ran]] = ()
    """Of each task, its programs that do not run as they were read; as ``works`` has them."""

    @property
    def order(self) -> Order:
        """What the provider is asked."""
        return Order(key=self.execution.id, resource=self.execution.resource, works=self.works)


class Sending:
    """Sends intents to one provider and writes down what it answered."""

    def __init__(
        self,
        provider: RemoteProvider,
        *,
        store: ExecutionStore,
        endings: Endings,
        holding: Holding,
        alarm: Alarm,
    ) -> None:
        """``alarm`` wakes who tracks executions."""
        self._provider = provider
        self._store = store
        self._endings = endings
        self._holding = holding
        self._alarm = alarm

    def send(self, claim_id: str, intents: Sequence[Intent]) -> None:
        """Start these executions, written as ``submitting`` already.

        Raises:
            Conflict: the claim was lost before the answers were written.
        """
        answers = self._answers(intents)
        refused = [
            (intent, answer)
            for intent, answer in answers
            if not isinstance(answer, str | OutcomeUnknown)
        ]
        self._go_on(claim_id, answers, except_of=refused)
        if refused:
            ends = [refusal(i.execution, i.tasks, error) for i, error in refused]
            self._endings.end(claim_id, ends, frees=True)

    def send_again(
        self, claim_id: str, intents: Sequence[Intent]
    ) -> Sequence[tuple[Intent, QuanopyError]]:
        """The same for executions that may have been accepted before: those whose repetition was
        refused for good, which says nothing about the first time. Raises as :meth:`send`."""
        answers = self._answers(intents)
        refused = [
            (intent, answer) for intent, answer in answers if not isinstance(answer, str | _LATER)
        ]
        self._go_on(claim_id, answers, except_of=refused)
        return refused

    def _go_on(
        self,
        claim_id: str,
        answers: Sequence[tuple[Intent, Answer]],
        *,
        except_of: Sequence[tuple[Intent, QuanopyError]],
    ) -> None:
        others = {intent.execution.id for intent, _ in except_of}
        self.advance(
            claim_id,
            [
                _change(intent, answer, self._provider)
                for intent, answer in answers
                if intent.execution.id not in others
            ],
        )

    def advance(self, claim_id: str, changes: Sequence[ExecutionChange]) -> None:
        """Write steps of executions and set the alarm for their next look. Raises as ``send``."""
        if not changes:
            return
        self._holding.persist(claim_id, lambda: self._store.advance(claim_id, changes))
        for due in {change.due_in_s for change in changes if change.due_in_s is not None}:
            self._alarm.ring_in(due)

    def _answers(self, intents: Sequence[Intent]) -> list[tuple[Intent, Answer]]:
        found = self._start([intent.order for intent in intents])
        return list(zip(intents, found, strict=True))

    def _start(self, orders: Sequence[Order]) -> Sequence[Answer]:
        try:
            answers = [_sound(answer) for answer in self._provider.start(orders)]
            if len(answers) != len(orders):
                raise ValueError(f"{len(answers)} answers to {len(orders)} orders")
            return answers
        except QuanopyError as error:
            return [error] * len(orders)
        except Exception as error:
            # Nobody can say how far a broken provider got.
            log.exception("provider %s broke", self._provider.name)
            lost = OutcomeUnknown(f"the provider broke: {type(error).__name__}: {error}")
            return [lost] * len(orders)


def _sound(answer: object) -> Answer:
    """An answer that can be kept: of another nobody knows what it stands for."""
    if isinstance(answer, QuanopyError):
        return answer
    if isinstance(answer, str) and is_provider_id(answer):
        return answer
    return OutcomeUnknown("the provider gave an id that is none")


def _change(intent: Intent, answer: Answer, provider: RemoteProvider) -> ExecutionChange:
    able = provider.capabilities
    if isinstance(answer, str):
        return ExecutionChange(
            execution_id=intent.execution.id,
            state=ExecutionState.SUBMITTED,
            provider_job_id=answer,
            due_in_s=able.poll_interval_s,
        )
    asked = retry_after(answer) or 0.0
    pause = pause_s(provider, intent.execution) if able.idempotent else search_delay_s(provider)
    return ExecutionChange(
        execution_id=intent.execution.id,
        due_in_s=max(asked, pause),
        problem=problem_of(answer),
    )


def known(error: Exception) -> QuanopyError:
    """The error as a task is told it that was not sent: what broke its provider is mended some
    day, and the task waits for that."""
    if isinstance(error, QuanopyError):
        return error
    return Transient(broke(error), hint="The worker's log says why.")


def search_delay_s(provider: RemoteProvider) -> float:
    """How long after sending a lost execution is worth searching: its own request has ended
    by then, and what the vendor accepted can be seen."""
    return provider.capabilities.request_timeout_s + provider.capabilities.visibility_delay_s


def refusal(
    execution: Execution, tasks: Sequence[Task], error: QuanopyError
) -> tuple[Execution, list[Verdict]]:
    """The end of an execution that the provider is known not to have accepted.

    Its tasks queue again where the provider was only busy or away, or did not take the key,
    however often that was: nothing was billed, a vendor's outage may last, and a key that has
    expired is the operator's to renew, not a reason to lose what users have queued.
    """
    later = isinstance(error, Transient | Unavailable | Denied)
    verdict = again if later else failed
    return ended(execution, ExecutionState.FAILED, error), [verdict(task, error) for task in tasks]


class RemoteDispatch:
    """Turns claims on one remote provider into executions and sends them."""

    def __init__(
        self,
        provider: RemoteProvider,
        *,
        worker: str,
        store: ExecutionStore,
        objects: Objects,
        preparing: Preparing,
        endings: Endings,
        holding: Holding,
        sending: Sending,
        calibrations: Calibrations,
        ttl_s: float,
    ) -> None:
        self._provider = provider
        self._calibrations = calibrations
        self._worker = worker
        self._store = store
        self._objects = objects
        self._preparing = preparing
        self._endings = endings
        self._holding = holding
        self._sending = sending
        self._ttl_s = ttl_s

    def run(self, claim: Claim, resource: Resource) -> None:
        """Send all that is claimed. A claim lost on the way is left to who has it now."""
        try:
            self._run(claim, resource)
        except Conflict as error:
            log.warning("%s: somebody else goes on with its executions", error)
        except Exception:
            log.exception("%s: a batch broke, and is given back", claim.id)
            self._holding.give_back(claim.id)
        finally:
            self._holding.drop(claim.id)

    def _run(self, claim: Claim, resource: Resource) -> None:
        prepared = checked(
            self._provider,
            self._holding.persist(claim.id, lambda: self.prepare(claim.tasks, resource)),
        )
        pairs = list(zip(claim.tasks, prepared, strict=True))
        unfit = [(task, error) for task, error in pairs if isinstance(error, QuanopyError)]
        if unfit:
            ends = [self._unfit(task, error, claim) for task, error in unfit]
            self._endings.end(claim.id, ends, frees=resource.bounded)
        ready = [(task, one) for task, one in pairs if isinstance(one, Ready)]
        if ready:
            self._send_under_account(claim, ready, resource)

    def _send_under_account(
        self, claim: Claim, ready: Sequence[tuple[Task, Ready]], resource: Resource
    ) -> None:
        """Nothing is sent while nobody can say under which account."""
        try:
            fingerprint = self._provider.fingerprint()
        except Exception as error:
            log.warning("under which account is not known", exc_info=error)
            ends = [self._unfit(task, known(error), claim) for task, _ in ready]
            self._endings.end(claim.id, ends, frees=resource.bounded)
            return
        name = resource.name
        # What another worker noted has perhaps let these tasks go on: by what is remembered here
        # they would wait again, and for the next one.
        noted = any(demands(one.work.options) for _, one in ready)
        standing = self._holding.persist(
            claim.id, lambda: self._calibrations.current(self._provider, name, noted=noted)
        )
        met = self._met(claim, ready, standing, resource)
        if met:
            bindings = self._bindings(claim, standing)
            self._send(claim, self._intents(met, claim, resource, bindings, fingerprint))

    def _met(
        self,
        claim: Claim,
        ready: Sequence[tuple[Task, Ready]],
        standing: Standing,
        resource: Resource,
    ) -> list[tuple[Task, Ready]]:
        """Those that ask nothing of the calibration, or what it is; the others wait, or fail."""
        if not any(demands(one.work.options) for _, one in ready):
            return list(ready)
        judge = self._calibrations.demands.verdict
        verdicts = [
            self._holding.persist(claim.id, partial(judge, task, one.work.options, standing))
            for task, one in ready
        ]
        unmet = [self._unmet(verdict, claim) for verdict in verdicts if verdict is not None]
        if unmet:
            self._endings.end(claim.id, unmet, frees=resource.bounded)
        return [pair for pair, verdict in zip(ready, verdicts, strict=True) if verdict is None]

    def _bindings(self, claim: Claim, standing: Standing) -> Callable[[datetime], Binding]:
        """What is known of the calibration as these are sent, by when they were submitted."""
        begun = self._calibrations.begun
        return lambda at: self._holding.persist(
            claim.id, lambda: begun(claim.resource, at, standing)
        )

    def prepare(self, tasks: Sequence[Task], resource: Resource) -> list[Prepared]:
        """The works of tasks, or why they cannot be; raises ``Unavailable``."""
        try:
            return self._preparing.prepare(
                tasks, resource, lambda: self._provider.target(resource.name)
            )
        except (Unavailable, Transient):
            raise
        except QuanopyError as error:
            return [error] * len(tasks)
        except Exception as error:
            log.exception("%d tasks for %s cannot be prepared", len(tasks), resource.name)
            if len(tasks) == 1:
                return [known(error)]
        return [self.prepare([task], resource)[0] for task in tasks]

    def sent(self, execution: Execution, tasks: Sequence[Task], resource: Resource) -> list[Work]:
        """What an execution was sent, or is to be sent, with: the very programs, not compiled
        anew. Raises why it cannot be told."""
        if execution.record is not None:
            return self._preparing.recall(tasks, resource, execution.record)
        works = []
        for one in self.prepare(tasks, resource):  # It was sent before that was kept.
            if isinstance(one, QuanopyError):
                raise one
            works.append(one.work)
        return works

    def _send(self, claim: Claim, intents: Sequence[Intent]) -> None:
        kept = [Sent(execution=i.execution, tasks=i.tasks, ran=i.ran) for i in intents]
        key, data, records = pack_executions(kept, datetime.now(UTC))
        intents = [
            replace(i, execution=replace(i.execution, record=records[i.execution.id]))
            for i in intents
        ]
        executions = [intent.execution for intent in intents]
        self._holding.persist(claim.id, lambda: self._objects.put({key: data}))
        self._begin(claim, executions)
        self._sending.send(claim.id, intents)

    def _begin(self, claim: Claim, executions: Sequence[Execution]) -> None:
        """Write these down as about to be sent. Where that took so long that somebody may have
        taken them for lost, and looked for them in vain, it is done again: only who still has them
        sends them. Raises as :meth:`Sending.send`."""
        since = None
        while since is None or abs(datetime.now(UTC) - since).total_seconds() > self._ttl_s:
            since = datetime.now(UTC)
            self._holding.persist(
                claim.id,
                lambda: self._store.begin(claim.id, executions, ttl_s=self._ttl_s),
            )

    def _intents(
        self,
        ready: Sequence[tuple[Task, Ready]],
        claim: Claim,
        resource: Resource,
        binding: Callable[[datetime], Binding],
        fingerprint: str,
    ) -> list[Intent]:
        size = self._provider.capabilities.tasks_per_execution
        compiled_for = (one.target for _, one in ready if one.target is not None)
        target = next(compiled_for, None) or target_digest(self._provider, resource.name)
        return [
            Intent(
                execution=replace(
                    self._execution([task for task, _ in batch], claim, binding),
                    target=target,
                    fingerprint=fingerprint,
                ),
                tasks=[task for task, _ in batch],
                works=[one.work for _, one in batch],
                ran=[one.ran for _, one in batch],
            )
            for group in _groups(ready)
            for batch in (group[i : i + size] for i in range(0, len(group), size))
        ]

    def _execution(
        self, tasks: Sequence[Task], claim: Claim, binding: Callable[[datetime], Binding]
    ) -> Execution:
        return Execution(
            id=new_id("exec"),
            resource=claim.resource,
            provider=self._provider.name,
            account=tasks[0].account,
            state=ExecutionState.SUBMITTING,
            tasks=tuple(task.id for task in tasks),
            created_at=datetime.now(UTC),
            claim_id=claim.id,
            calibration=binding(min(made_at(task.job_id) for task in tasks)),
        )

    def _unmet(self, verdict: Verdict, claim: Claim) -> tuple[Execution, list[Verdict]]:
        """A task whose resource's calibration is not what it asks for."""
        never_sent = self._never_sent(verdict.task, claim)
        now = datetime.now(UTC)
        return replace(never_sent, ended_at=now, problem=verdict.problem), [verdict]

    def _unfit(
        self, task: Task, error: QuanopyError, claim: Claim
    ) -> tuple[Execution, list[Verdict]]:
        """A task that cannot be sent."""
        return refusal(self._never_sent(task, claim), [task], error)

    def _never_sent(self, task: Task, claim: Claim) -> Execution:
        """An execution that only says why."""
        now = datetime.now(UTC)
        return Execution(
            id=new_id("exec"),
            resource=task.resource,
            provider=self._provider.name,
            account=task.account,
            state=ExecutionState.FAILED,
            tasks=(task.id,),
            created_at=now,
            claim_id=claim.id,
        )


def _groups(ready: Sequence[tuple[Task, Ready]]) -> list[list[tuple[Task, Ready]]]:
    """Tasks that may share executions: of one account, alike in kind and options; solo alone."""
    groups: dict[object, list[tuple[Task, Ready]]] = {}
    for task, one in ready:
        alike = (task.account, one.work.kind, one.work.options)
        groups.setdefault(task.id if task.solo else alike, []).append((task, one))
    return list(groups.values())
