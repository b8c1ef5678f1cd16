"""When somebody who waits for jobs is told to look at them again."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from quanopy.domain.states import FINAL_JOB_STATES, JobState
from quanopy.server.feed import Subscription, Watch
from quanopy.services.results import Wanted
from quanopy.testing.catalogue import job

QUEUED, DONE = JobState.QUEUED, JobState.COMPLETED


def seen(**states: JobState) -> list[Wanted]:
    """Jobs in these states."""
    return [
        Wanted(job=replace(job()[0], id=name, state=state), tasks=[])
        for name, state in states.items()
    ]


async def woken(watch: Watch, *meanwhile: Callable[[], object]) -> bool:
    """Whether a wait ends at once, for whatever reason: within a few turns of the loop.
    ``meanwhile`` is done when it has begun."""
    waiting = asyncio.ensure_future(watch.wait(3600))
    await asyncio.sleep(0)
    for act in meanwhile:
        act()
    for _ in range(10):
        await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    return not waiting.cancelled()


def test_what_was_read_alone_ends_a_wait() -> None:
    async def test() -> None:
        watch = Watch(["a"], FINAL_JOB_STATES)
        watch.note("a", "completed")  # long ago: it was retried since
        assert not watch.over
        assert await woken(watch)
        watch.found(seen(a=QUEUED))
        assert not watch.over
        assert not await woken(watch)
        watch.found(seen(a=DONE))
        assert watch.over

    asyncio.run(test())


def test_many_are_looked_at_once_something_was_heard_of_each() -> None:
    async def test() -> None:
        watch = Watch(["a", "b"], FINAL_JOB_STATES)
        watch.hint("a")
        assert not await woken(watch)
        watch.note("b", "completed")
        assert await woken(watch)
        watch.found(seen(a=QUEUED, b=DONE))
        assert not await woken(watch)
        watch.note("a", "completed")
        assert await woken(watch)

    asyncio.run(test())


def test_what_is_heard_while_others_are_found_final_is_not_lost() -> None:
    async def test() -> None:
        watch = Watch(["a", "b"], FINAL_JOB_STATES)
        watch.hint("a")
        watch.found(seen(a=QUEUED, b=DONE))
        assert watch.served
        assert await woken(watch)

    asyncio.run(test())


@pytest.mark.parametrize("state", ["running", "queued"])
def test_states_that_nobody_waits_for_wake_nobody(state: str) -> None:
    async def test() -> None:
        watch = Watch(["a"], FINAL_JOB_STATES)
        watch.note("a", state)
        watch.hint("b")
        assert not await woken(watch)

    asyncio.run(test())


def test_the_first_is_enough_where_that_was_asked() -> None:
    async def test() -> None:
        watch = Watch(["a", "b"], FINAL_JOB_STATES, first=True)
        watch.hint("b")
        assert await woken(watch)
        watch.found(seen(a=QUEUED, b=DONE))
        assert watch.over

    asyncio.run(test())


def test_what_is_shown_while_waiting_ends_the_wait() -> None:
    async def test() -> None:
        watch = Watch(["a", "b"], FINAL_JOB_STATES)
        a_is_done = partial(watch.hint, "a", *seen(a=DONE))
        b_is_queued = partial(watch.hint, "b", *seen(b=QUEUED))
        assert await woken(watch, a_is_done, b_is_queued)
        assert (watch.over, watch.pending, watch.hinted) == (False, {"b"}, set())
        assert await woken(watch, partial(watch.hint, "b", *seen(b=DONE)))
        assert watch.over
        assert {name: one.job.state for name, one in watch.known.items()} == {"a": DONE, "b": DONE}

    asyncio.run(test())


def test_what_was_shown_before_something_was_read_is_looked_at_again() -> None:
    async def test() -> None:
        watch = Watch(["a"], FINAL_JOB_STATES)
        watch.hint("a", *seen(a=DONE))
        watch.found(seen(a=QUEUED))  # read before it was done, or after it was retried
        assert await woken(watch)
        assert not watch.over

    asyncio.run(test())


def test_who_catches_up_is_told_that_the_feed_has_ended_meanwhile() -> None:
    async def test() -> None:
        subscription = Subscription(lambda event: True, most=1)
        subscription.end()
        subscription.restart()
        ended = asyncio.ensure_future(subscription.next())
        await asyncio.wait([ended], timeout=0)
        assert ended.done()
        assert await ended is None

    asyncio.run(test())
