"""Jobs by id for many requests at once: whatever is asked while a query runs shares the next."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from quanopy.domain.accounts import Identity, Scope
from quanopy.domain.errors import NotFound, QuanopyError
from quanopy.domain.ids import is_id
from quanopy.domain.jobs import Job
from quanopy.ports.jobs import JobStore
from quanopy.server.loop import Mailbox
from quanopy.services.batching import Batching
from quanopy.services.results import Wanted, with_tasks

Found = Mapping[str, Wanted]


@dataclass(frozen=True, slots=True, eq=False)
class _Ask:
    ids: Collection[str]
    tasks: bool
    mailbox: Mailbox[Found]
    future: asyncio.Future[Found]

    def answer(self, found: Found | Exception) -> None:
        self.mailbox.post(self.future, found)


class JobReads:
    """Reads jobs in batches, in a thread of its own."""

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._mailbox: Mailbox[Found] | None = None
        self._batches = Batching("job-reads", self._read, failed=self._fail)

    async def owned(self, ids: Sequence[str], identity: Identity) -> list[Job]:
        """These jobs, in the order asked.

        Raises :class:`NotFound` alike for an id that does not exist and for another account's.
        """
        return [one.job for one in await self.find(ids, identity, tasks=False)]

    async def find(self, ids: Sequence[str], identity: Identity, *, tasks: bool) -> list[Wanted]:
        """The same, each job with its tasks where these are asked for."""
        if self._mailbox is None:
            self._mailbox = Mailbox(asyncio.get_running_loop())
        future = self._mailbox.future()
        # What is no id at all is not asked: PostgreSQL refuses some texts, and with them the batch.
        known = [job_id for job_id in ids if is_id(job_id, "job")]
        self._batches.put(_Ask(known, tasks, self._mailbox, future))
        found = await future
        return [_owned(found.get(job_id), job_id, identity) for job_id in ids]

    def close(self) -> None:
        """Answer what was asked, then stop; idempotent."""
        self._batches.close()

    def _read(self, asks: Sequence[_Ask]) -> None:
        ids = {job_id for ask in asks for job_id in ask.ids}
        parts = {job_id for ask in asks if ask.tasks for job_id in ask.ids}
        try:
            jobs, tasks = self._store.jobs_with_tasks(ids, parts)
        except QuanopyError as error:
            self._fail(asks, error)
            return
        found = {one.job.id: one for one in with_tasks(jobs, tasks)}
        for ask in asks:
            ask.answer(found)

    def _fail(self, asks: Sequence[_Ask], error: Exception) -> None:
        for ask in asks:
            ask.answer(error)


def _owned(found: Wanted | None, id: str, identity: Identity) -> Wanted:
    stranger = found is not None and found.job.account != identity.account
    if found is None or (stranger and identity.scope is Scope.USER):
        raise NotFound(
            f"there is no job {id[:60]!r}",
            where="id",
            hint="List yours: `quanopy jobs`, or GET /v1/jobs.",
        )
    return found
