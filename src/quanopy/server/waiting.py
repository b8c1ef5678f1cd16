"""Long polls: callers that wait for jobs hold no thread, no connection and ask nothing again."""

import asyncio
from collections.abc import Collection, Sequence

from quanopy.domain.accounts import Identity
from quanopy.domain.jobs import Job
from quanopy.domain.states import FINAL_JOB_STATES, JobState
from quanopy.server.web import Web

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
    if not wait_s:
        return await web.reads.owned(ids, identity)
    deadline = asyncio.get_running_loop().time() + wait_s
    with web.feed.watch(ids, until, first=first) as watch:
        await web.feed.following()
        jobs = await web.reads.owned(ids, identity)
        for job in jobs:
            watch.note(job.id, job.state)
        if watch.over:
            return jobs
        await watch.wait(deadline - asyncio.get_running_loop().time())
    return await web.reads.owned(ids, identity)
