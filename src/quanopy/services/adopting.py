"""Adopting: a vendor's jobs that were made elsewhere become jobs here, and are followed like any.

A worker asks the vendor, never the server: the worker has the SDK and the credential.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from quanopy.codecs.records import TaskRecord
from quanopy.domain.adoptions import Adoption
from quanopy.domain.errors import QuanopyError, Rejected, Transient, Unavailable
from quanopy.domain.ids import new_id
from quanopy.domain.jobs import Execution, JobSpec, Slice
from quanopy.domain.states import ExecutionState, JobState, TaskState
from quanopy.ports.objects import Objects
from quanopy.ports.providers import Foreign, RemoteProvider
from quanopy.ports.store import Store, Submission
from quanopy.ports.wakeups import Topic, Wakeups
from quanopy.services.drafting import pack
from quanopy.services.ending import problem_of
from quanopy.services.packing import Accepted, Sent, pack_executions

log = logging.getLogger(__name__)

_AT_ONCE = 5
_LOOKED_THROUGH = 200


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
            except QuanopyError as error:
                self._store.refuse_adoption(asked, problem_of(error))
                continue
            except Exception as error:
                log.exception("provider %s broke", self._provider.name)
                self._broken(asked, error)
                continue
            try:
                self._adopt(asked, foreign, fingerprint)
            except (Transient, Unavailable):
                raise
            except Exception as error:
                log.exception("provider %s broke", self._provider.name)
                self._broken(asked, error)

    def _next(self) -> Sequence[Adoption]:
        """A few of those that are open, in turn: what the vendor cannot answer, however long,
        keeps no other waiting."""
        found = self._store.open_adoptions(self._provider.name, limit=_LOOKED_THROUGH)
        known = {one.provider_job_id for one in found}
        self._asked_at = {one: at for one, at in self._asked_at.items() if one in known}
        chosen = sorted(found, key=lambda one: self._asked_at.get(one.provider_job_id, 0.0))
        for one in chosen[:_AT_ONCE]:
            self._asked_at[one.provider_job_id] = time.monotonic()
        return chosen[:_AT_ONCE]

    def _broken(self, asked: Adoption, error: Exception) -> None:
        """A provider is a plugin: what it breaks, or says that cannot be kept, is this adoption,
        not the others."""
        broken = Rejected(f"the provider broke: {type(error).__name__}")
        self._store.refuse_adoption(asked, problem_of(broken))

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
        self._wakeups.notify(Topic.EVENTS)


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
