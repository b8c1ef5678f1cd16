"""Long polls: callers that wait for jobs hold no thread, no connection and ask nothing again."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import TypeVar

from quanopy.domain.accounts import Identity
from quanopy.domain.jobs import Job
from quanopy.domain.states import FINAL_JOB_STATES, JobState
from quanopy.server.web import Web
from quanopy.services.results import Wanted

T = TypeVar("T")

MOST_S = 60.0


async def wait_for_jobs(
    web: Web,
    identity: Identity,
    ids: Sequence[str],
    wait_s: float,
    until: Collection[JobState] = FINAL_JOB_STATES,
    *,
    first: bool = False,
) -> list[Job]:
    """These jobs once each (``first``: once any) is in one of these states, or as they are after
    ``wait_s`` seconds.

    Raises ``NotFound`` for an id that is not one of the caller's.
    """
    return await _wait(
        web, ids, wait_s, lambda: web.reads.owned(ids, identity), lambda job: job, until, first
    )


async def wait_for_results(
    web: Web, identity: Identity, ids: Sequence[str], wait_s: float
) -> list[Wanted]:
    """These jobs with their tasks, once each is final, or as they are after so many seconds."""
    return await _wait(
        web, ids, wait_s, lambda: web.reads.with_tasks(ids, identity), lambda found: found.job
    )


async def _wait(
    web: Web,
    ids: Sequence[str],
    wait_s: float,
    look: Callable[[], Awaitable[list[T]]],
    job_of: Callable[[T], Job],
    until: Collection[JobState] = FINAL_JOB_STATES,
    first: bool = False,
) -> list[T]:
    if not wait_s:
        return await look()
    clock = asyncio.get_running_loop().time
    deadline = clock() + wait_s
    with web.feed.watch(ids, until, first=first) as watch:
        await web.feed.following()
        while True:
            found = await look()
            watch.found({job.id: job.state for job in map(job_of, found)})
            if watch.over or clock() >= deadline:
                return found
            await watch.wait(deadline - clock())
