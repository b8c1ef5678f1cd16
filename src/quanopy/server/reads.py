"""Jobs by id for many requests at once: whatever is asked while a query runs shares the next."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from quanopy.domain.accounts import Identity, Scope
from quanopy.domain.errors import NotFound, QuanopyError
from quanopy.domain.ids import is_id
from quanopy.domain.jobs import Job
from quanopy.ports.store import Store
from quanopy.server.loop import Mailbox
from quanopy.services.batching import Batching

Jobs = Mapping[str, Job]


@dataclass(frozen=True, slots=True, eq=False)
class _Ask:
    ids: Collection[str]
    mailbox: Mailbox[Jobs]
    future: asyncio.Future[Jobs]

    def answer(self, found: Jobs | Exception) -> None:
        self.mailbox.post(self.future, found)


class JobReads:
    """Reads jobs in batches, in a thread of its own."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._mailbox: Mailbox[Jobs] | None = None
        self._batches = Batching("job-reads", self._read, failed=self._fail)

    async def owned(self, ids: Sequence[str], identity: Identity) -> list[Job]:
        """These jobs, in the order asked.

        Raises :class:`NotFound` alike for an id that does not exist and for another account's.
        """
        # What is no id at all is not asked: PostgreSQL refuses some texts, and with them the batch.
        found = await self._jobs([job_id for job_id in ids if is_id(job_id, "job")])
        return [_owned(found.get(job_id), job_id, identity) for job_id in ids]

    async def _jobs(self, ids: Collection[str]) -> Jobs:
        if self._mailbox is None:
            self._mailbox = Mailbox(asyncio.get_running_loop())
        future = self._mailbox.future()
        self._batches.put(_Ask(ids, self._mailbox, future))
        return await future

    def close(self) -> None:
        """Answer what was asked, then stop; idempotent."""
        self._batches.close()

    def _read(self, asks: Sequence[_Ask]) -> None:
        ids = {job_id for ask in asks for job_id in ask.ids}
        try:
            found: Jobs | QuanopyError = {job.id: job for job in self._store.jobs(ids)}
        except QuanopyError as error:
            found = error
        for ask in asks:
            ask.answer(found)

    def _fail(self, asks: Sequence[_Ask], error: Exception) -> None:
        for ask in asks:
            ask.answer(error)


def _owned(job: Job | None, id: str, identity: Identity) -> Job:
    if job is None or (job.account != identity.account and identity.scope is Scope.USER):
        raise NotFound(
            f"there is no job {id[:60]!r}", where="id", hint="List yours with GET /v1/jobs."
        )
    return job
