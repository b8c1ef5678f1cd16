"""Adopting: a vendor's jobs that were made elsewhere become jobs here, and are followed like any.

A worker asks the vendor, never the server: the worker has the SDK and the credential.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from quanopy.codecs.records import TaskRecord
from quanopy.domain.adoptions import Adoption
from quanopy.domain.errors import (
    Conflict,
    InvalidTransition,
    NotFound,
    QuanopyError,
    Rejected,
    Transient,
    Unavailable,
)
from quanopy.domain.ids import new_id
from quanopy.domain.jobs import Execution, JobSpec, Slice
from quanopy.domain.states import ExecutionState, JobState, TaskState, WayOut
from quanopy.ports.objects import Objects
from quanopy.ports.providers import Foreign, RemoteProvider
from quanopy.ports.store import Store
from quanopy.ports.submissions import Submission
from quanopy.ports.wakeups import Topic, Wakeups
from quanopy.services.drafting import pack
from quanopy.services.ending import problem_of
from quanopy.services.packing import pack_executions
from quanopy.services.recording import Accepted, Sent
from quanopy.services.settling import Settlement, settle

log = logging.getLogger(__name__)

_AT_ONCE = 5
_PAGE = 200
_SOME = 5
_CLOCKS_APART = timedelta(minutes=10)
"""How far a vendor's clock may be behind ours."""


class Adopting:
    """Answers what is asked of one provider."""

    def __init__(
        self, provider: RemoteProvider, *, store: Store, objects: Objects, wakeups: Wakeups
    ) -> None:
        self._provider = provider
        self._store = store
        self._objects = objects
        self._wakeups = wakeups
        self._asked_at: dict[str, float] = {}
        """When the vendor was last asked for those that are open."""

    def look(self) -> None:
        """Adopt what is to be adopted. What the vendor cannot answer now is asked again at the
        next look. Raises ``Unavailable``: database or object store are away."""
        for asked in self._next():
            try:
                foreign = self._provider.describe(asked.provider_job_id)
                fingerprint = self._provider.fingerprint()
            except (Transient, Unavailable) as error:
                log.warning("%s cannot be adopted yet: %s", asked.provider_job_id, error)
                continue
            except NotFound as error:
                self._refuse(asked, _not_there(asked, error))
                continue
            except QuanopyError as error:
                self._refuse(asked, error)
                continue
            except Exception as error:
                log.exception("provider %s broke", self._provider.name)
                self._broken(asked, error)
                continue
            try:
                if not self._may_be_ours(asked, foreign, fingerprint):
                    self._adopt(asked, foreign, fingerprint)
            except (Transient, Unavailable):
                raise
            except Exception as error:
                log.exception("provider %s broke", self._provider.name)
                self._broken(asked, error)

    def _next(self) -> Sequence[Adoption]:
        """A few of those that are open, in turn: what the vendor cannot answer, however long,
        keeps no other waiting."""
        found: list[Adoption] = []
        new: list[Adoption] = []
        for page in self._open():
            found += page
            new += [one for one in page if one.provider_job_id not in self._asked_at]
            if len(new) >= _AT_ONCE:
                break
        else:
            known = {one.provider_job_id for one in found}
            self._asked_at = {one: at for one, at in self._asked_at.items() if one in known}
            new = sorted(found, key=lambda one: self._asked_at.get(one.provider_job_id, 0.0))
        for one in new[:_AT_ONCE]:
            self._asked_at[one.provider_job_id] = time.monotonic()
        return new[:_AT_ONCE]

    def _open(self) -> Iterator[Sequence[Adoption]]:
        """All that are open, the oldest first, a page at a time."""
        after: Adoption | None = None
        while page := self._store.open_adoptions(self._provider.name, after=after, limit=_PAGE):
            yield page
            if len(page) < _PAGE:
                return
            after = page[-1]

    def _broken(self, asked: Adoption, error: Exception) -> None:
        """A provider is a plugin: what it breaks, or says that cannot be kept, is this adoption,
        not the others."""
        broken = Rejected(f"the provider broke: {type(error).__name__}")
        self._refuse(asked, broken)

    def _refuse(self, asked: Adoption, error: QuanopyError) -> None:
        self._store.refuse_adoption(asked, problem_of(error))
        self._wakeups.notify(Topic.TRIED)

    def _may_be_ours(self, asked: Adoption, foreign: Foreign, fingerprint: str) -> bool:
        """Whether it is, or may be, what was sent from here and never answered for. Such an
        execution goes on with it, where the vendor shows whose it is; one that is only just being
        sent is waited for; and where nobody can tell, an operator has to say."""
        lost = [
            one
            for one in self._store.unanswered(self._provider.name)
            if one.fingerprint in (None, fingerprint) and _could_be(one, foreign)
        ]
        if not lost:
            return False
        if any(one.state is ExecutionState.SUBMITTING for one in lost):
            log.info("%s may be what is being sent: it is asked for later", asked.provider_job_id)
        elif foreign.key is None:
            self._refuse(asked, _perhaps(asked, lost))
        else:
            self._goes_on(asked, lost[0])
        return True

    def _goes_on(self, asked: Adoption, execution: Execution) -> None:
        """The execution that was lost is found by this."""
        found = Settlement(
            way=WayOut.FOUND,
            reason=f"{asked.provider_job_id} was to be adopted, and was sent for it",
            provider_job_id=asked.provider_job_id,
        )
        try:
            settle(self._store, self._objects, execution.id, found, actor=asked.actor)
        except (Conflict, InvalidTransition) as error:
            log.info("%s is settled by somebody else: %s", execution.id, error)
            return
        (jobs,) = self._store.jobs_of([execution.id]).values()
        ours = Conflict(
            f"{asked.provider} had {asked.provider_job_id} from here: it is {', '.join(jobs)}",
            hint=f"Its execution {execution.id}, which was {execution.state}, goes on with it.",
        )
        self._refuse(asked, ours)
        self._wakeups.notify(Topic.EVENTS, Topic.CANCEL)

    def _adopt(self, asked: Adoption, foreign: Foreign, fingerprint: str) -> None:
        """The archive first, then the rows. Two workers at it at once leave one job: the packs
        of the other are orphans."""
        now = datetime.now(UTC)
        key, data, [made] = pack([[_accepted(asked, foreign, now)]], now)
        (job,), (task,) = made.jobs, made.tasks
        execution = Execution(
            id=new_id("exec"),
            resource=foreign.resource,
            provider=self._provider.name,
            account=asked.account,
            state=ExecutionState.SUBMITTED,
            tasks=(task.id,),
            created_at=min(foreign.created_at or now, now),
            provider_job_id=asked.provider_job_id,
            due_at=now,
            fingerprint=fingerprint,
            adopted=True,
        )
        sent = Sent(execution=execution, tasks=[task], ran=[()])
        sent_key, sent_data, records = pack_executions([sent], now)
        self._objects.put({key: data, sent_key: sent_data})
        self._store.adopt(
            asked,
            Submission(
                account=asked.account,
                jobs=[replace(job, state=JobState.RUNNING, started_at=now)],
                tasks=[
                    replace(
                        task,
                        state=TaskState.EXECUTING,
                        ready_at=None,
                        attempt=1,
                        execution_id=execution.id,
                        started_at=now,
                    )
                ],
            ),
            replace(execution, record=records[execution.id]),
        )
        self._wakeups.notify(Topic.EVENTS, Topic.TRIED)


def _not_there(asked: Adoption, error: NotFound) -> NotFound:
    hint = f"Check the id, and that its account is the one whose key {asked.provider} has."
    return NotFound(error.message, hint=error.hint or hint)


def _could_be(execution: Execution, foreign: Foreign) -> bool:
    """Whether a vendor's job may be that execution, for all that it tells."""
    if foreign.key is not None:
        return foreign.key == execution.id
    made = foreign.created_at
    early = made is not None and made < execution.created_at - _CLOCKS_APART
    return foreign.resource == execution.resource and not early


def _perhaps(asked: Adoption, lost: Sequence[Execution]) -> Conflict:
    some = ", ".join(one.id for one in lost[:_SOME])
    return Conflict(
        f"{asked.provider_job_id} may be what was sent from here as {some}, and not answered for",
        hint="Say first what became of it (`quanopy stranded --help`): `found` with this id, "
        "or that it is lost; then adopt it.",
    )


def _accepted(asked: Adoption, foreign: Foreign, now: datetime) -> Accepted:
    """A job of one part. Its program, where the vendor gives it, is kept as it is, unread."""
    return Accepted(
        id=new_id("job"),
        account=asked.account,
        created_at=now,
        spec=JobSpec(
            kind=foreign.kind,
            resource=foreign.resource,
            programs=() if foreign.program is None else (foreign.program,),
            name=asked.name,
            tags=asked.tags,
        ),
        tasks=[TaskRecord(id=new_id("task"), slice=Slice(first=0, count=0), solo=True)],
        shots=foreign.shots,
    )
