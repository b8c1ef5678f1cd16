"""Long polls: callers that wait for jobs hold no thread, no connection and ask nothing again."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from typing import TypeVar

from quanopy.domain.accounts import Identity
from quanopy.domain.jobs import Job
from quanopy.domain.states import FINAL_JOB_STATES, JobState
from quanopy.ports.wakeups import Topic
from quanopy.server.feed import SWEEP_S
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
    found = await _wait(web, identity, ids, wait_s, until, first=first, tasks=False)
    return [one.job for one in found]


async def wait_for_results(
    web: Web, identity: Identity, ids: Sequence[str], wait_s: float
) -> list[Wanted]:
    """These jobs with their tasks, once each is final, or as they are after so many seconds."""
    return await _wait(web, identity, ids, wait_s, FINAL_JOB_STATES, first=False, tasks=True)


async def _wait(
    web: Web,
    identity: Identity,
    ids: Sequence[str],
    wait_s: float,
    until: Collection[JobState],
    *,
    first: bool,
    tasks: bool,
) -> list[Wanted]:
    if not wait_s:
        return await web.reads.find(ids, identity, tasks=tasks)
    clock = asyncio.get_running_loop().time
    deadline = clock() + wait_s
    with web.feed.watch(ids, until, first=first) as watch:
        await web.feed.following()
        if not web.feed.is_told_all(ids, identity.account, until):
            watch.found(await web.reads.find(ids, identity, tasks=tasks))
        while not watch.over and clock() < deadline:
            await watch.wait(deadline - clock())
            if not watch.over:
                pending = sorted(watch.pending)
                watch.found(await web.reads.find(pending, identity, tasks=tasks))
        unknown = [job_id for job_id in ids if job_id not in watch.known]
        if unknown:
            watch.found(await web.reads.find(unknown, identity, tasks=tasks))
        return [watch.known[job_id] for job_id in ids]


async def wait_for_try(
    web: Web, id: str, look: Callable[[], Awaitable[T]], over: Callable[[T], bool], wait_s: float
) -> T:
    """What there is to see once ``over`` says so of it, or after so many seconds: looked at again
    whenever something was tried, and every few seconds, for hints may be lost."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait_s

    def hint() -> None:
        with suppress(RuntimeError):  # The loop has ended.
            loop.call_soon_threadsafe(watch.hint, id)

    with web.feed.watch([id], ()) as watch:
        unsubscribe = web.wakeups.subscribe(Topic.TRIED, hint)
        try:
            while not over(found := await look()):
                left = deadline - loop.time()
                if watch.over or left <= 0:
                    break
                await watch.wait(min(left, SWEEP_S))
            return found
        finally:
            unsubscribe()
