"""The event feed: one reader of history a server, however many callers wait or follow.

A thread reads new events once, in order, when a wake-up comes (or a slow sweep, for hints that
were lost), and hands them to the event loop, which resolves waiters and fans out to followers.
While nobody waits or follows, nothing is read; nor for those alone who wait for jobs that ended in
this process: they have been told to look (:mod:`quanopy.services.hints`).
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from threading import Event as Signal
from threading import Lock, Thread

from quanopy.domain.errors import Unavailable
from quanopy.domain.events import Event, Position
from quanopy.domain.states import FINAL_JOB_STATES, JobState
from quanopy.ports.events import EventQuery, EventStore
from quanopy.ports.wakeups import Topic, Wakeups
from quanopy.services.hints import JobHints, Told
from quanopy.services.results import Wanted

SWEEP_S = 2.0
"""How late a lost hint makes a waiter, at most."""
LINGER_S = 10.0
"""How long events are still read after the last waiter has gone: another may come."""
PAGE = 1000
logger = logging.getLogger(__name__)


class Watch:
    """Someone's wait for jobs to come to one of some states."""

    def __init__(
        self, ids: Collection[str], until: Collection[JobState], *, first: bool = False
    ) -> None:
        """``first``: over once any of them is there, not all."""
        self.pending = set(ids)
        self.hinted: set[str] = set()
        """Those of them that may have changed since they were looked at."""
        self.known: dict[str, Wanted] = {}
        """The jobs as they were last looked at, or shown."""
        self._shown: dict[str, Wanted] = {}
        """What was shown since :meth:`wait` was called."""
        self._until = until
        self._first = first
        self._count = len(self.pending)
        self._over = False
        self._woken = asyncio.Event()

    def found(self, jobs: Iterable[Wanted]) -> None:
        """Take note of jobs as they were read: that alone ends the wait."""
        for one in jobs:
            self.known[one.job.id] = one
            if one.job.state in self._until:
                self.pending.discard(one.job.id)
                self.hinted.discard(one.job.id)
        if not self.pending or (self._first and len(self.pending) < self._count):
            self.release()
        elif self.served:
            self._woken.set()

    def note(self, id: str, state: str) -> None:
        """A job came to a state, perhaps long ago: it may have left it since."""
        if state in self._until:
            self.hint(id)

    def hint(self, id: str, shown: Wanted | None = None) -> None:
        """A job may have changed; who waits looks once this is so of all that is pending.
        ``shown``: what there is to see."""
        if id in self.pending:
            self.hinted.add(id)
            if shown is not None:
                self._shown[id] = shown
        if self.served:
            self._woken.set()

    @property
    def served(self) -> bool:
        """Whether a hint has said all that is waited for."""
        return bool(self.hinted) and (self._first or len(self.hinted) == len(self.pending))

    @property
    def over(self) -> bool:
        """Whether there is nothing more to wait for."""
        return self._over

    def release(self) -> None:
        """End the wait, whatever is still pending."""
        self._over = True
        self._woken.set()

    async def wait(self, seconds: float) -> None:
        """Return when it is over, when it is time to look again, or after so many seconds."""
        # What was shown before may be older than what was read meanwhile.
        self._shown.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        self._woken.clear()
        self.hinted.clear()
        self.found(self._shown.values())


class Subscription:
    """Events for one follower, held in a bounded queue."""

    def __init__(self, wanted: Callable[[Event], bool], most: int) -> None:
        self._wanted = wanted
        self._queue: asyncio.Queue[Event | None] = asyncio.Queue(most)
        self.lagging = False
        """Some were dropped because they were not taken in time: catch up from the store."""
        self._ended = False

    def offer(self, event: Event) -> None:
        """Queue an event that is wanted, or drop it and mark the follower as lagging."""
        if self.lagging or not self._wanted(event):
            return
        try:
            self._queue.put_nowait(event)
        except asyncio.QueueFull:
            self.lagging = True

    def end(self) -> None:
        """Tell the follower that the feed ends."""
        self._ended = True
        self.restart()

    def restart(self) -> None:
        """Forget what is queued, before catching up; not that the feed has ended."""
        while not self._queue.empty():
            self._queue.get_nowait()
        self.lagging = False
        if self._ended:
            self._queue.put_nowait(None)

    async def next(self) -> Event | None:
        """The next event; ``None``: the feed has ended."""
        return await self._queue.get()


class Feed:
    """Reads events for everybody; its methods, save ``close``, belong to the event loop."""

    def __init__(self, store: EventStore, wakeups: Wakeups, hints: JobHints) -> None:
        self._store = store
        self._signal = Signal()
        self._lock = Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready: asyncio.Future[None] | None = None
        self._interest = 0
        self._left_at = 0.0
        self._watches: dict[str, set[Watch]] = {}
        self._subscriptions: set[Subscription] = set()
        self._closed = False
        self._thread = Thread(target=self._run, name="feed", daemon=True)
        self._thread.start()
        self._unsubscribe = wakeups.subscribe(Topic.EVENTS, partial(self._post, self._look))
        hints.listen(self)
        self._hints = hints

    @property
    def waiting(self) -> int:
        """How many callers wait or follow now."""
        return self._interest

    @contextmanager
    def watch(
        self, ids: Collection[str], until: Collection[JobState], *, first: bool = False
    ) -> Iterator[Watch]:
        """Take note of these jobs' states from :meth:`following` on: wait for that, then read
        the states there are, then wait for later ones; so none is lost between."""
        watch = Watch(ids, until, first=first)
        for job_id in ids:
            self._watches.setdefault(job_id, set()).add(watch)
        try:
            with self._interested():
                if self._closed:
                    watch.release()
                yield watch
        finally:
            for job_id in ids:
                self._forget(job_id, watch)

    @contextmanager
    def subscribe(
        self, wanted: Callable[[Event], bool], *, most: int = PAGE
    ) -> Iterator[Subscription]:
        """Queue events that are wanted, from :meth:`following` on."""
        subscription = Subscription(wanted, most)
        self._subscriptions.add(subscription)
        try:
            with self._interested():
                if self._closed:
                    subscription.end()
                yield subscription
        finally:
            self._subscriptions.discard(subscription)

    def is_told_all(self, ids: Collection[str], account: str, until: Collection[JobState]) -> bool:
        """Whether who watches for these states need not look first: none of these jobs of this
        account is final, and the worker of this process will say what becomes of them."""
        return FINAL_JOB_STATES.issuperset(until) and all(
            self._hints.holds(job_id, account) for job_id in ids
        )

    async def following(self) -> None:
        """Return once every later event will be seen; raises ``Unavailable``."""
        with self._lock:
            ready = self._ready
        if ready is not None and not self._closed:
            await asyncio.shield(ready)

    def release(self) -> None:
        """End every wait and every follower's stream: the server stops."""
        self._closed = True
        for watch in {watch for watches in self._watches.values() for watch in watches}:
            watch.release()
        for subscription in self._subscriptions:
            subscription.end()

    def close(self) -> None:
        """Stop reading; idempotent."""
        self._closed = True
        self._unsubscribe()
        self._signal.set()
        self._thread.join(10)

    def _forget(self, id: str, watch: Watch) -> None:
        watches = self._watches.get(id, set())
        watches.discard(watch)
        if not watches:
            self._watches.pop(id, None)

    @contextmanager
    def _interested(self) -> Iterator[None]:
        with self._lock:
            self._interest += 1
            if self._ready is None:
                self._loop = asyncio.get_running_loop()
                self._ready = self._loop.create_future()
                self._signal.set()
        try:
            yield
        finally:
            with self._lock:
                self._interest -= 1
                self._left_at = time.monotonic()

    def waits_for(self, job_ids: Collection[str]) -> set[str]:
        """See :meth:`~quanopy.services.hints.Listener.waits_for`."""
        return {job_id for job_id in job_ids if job_id in self._watches}

    def tell(self, told: Told) -> None:
        """See :meth:`~quanopy.services.hints.Listener.tell`."""
        self._post(partial(self._hint, told))

    def _hint(self, told: Told) -> None:
        for job_id, shown in told.items():
            for watch in tuple(self._watches.get(job_id, ())):
                watch.hint(job_id, shown)

    def _look(self) -> None:
        """Have new events read, unless all who are there know already where to look."""
        if self._subscriptions or any(
            not watch.served for watches in self._watches.values() for watch in watches
        ):
            self._signal.set()

    def _deliver(self, events: Sequence[Event]) -> None:
        for event in events:
            if event.after is not None:
                for watch in tuple(self._watches.get(event.subject, ())):
                    watch.note(event.subject, event.after)
            for subscription in self._subscriptions:
                subscription.offer(event)

    # -- the thread ---------------------------------------------------------------------------
    def _run(self) -> None:
        position: Position | None = None
        pause = SWEEP_S
        while not self._closed:
            self._signal.wait(pause)
            self._signal.clear()
            try:
                position, held_back = self._step(position)
                pause = _pause(pause) if held_back else SWEEP_S
            except Exception as error:  # noqa: BLE001 - logged; the next look may succeed
                position = self._failed(error, position)
                pause = SWEEP_S / 4

    def _failed(self, error: Exception, position: Position | None) -> Position | None:
        if isinstance(error, Unavailable):
            logger.warning("cannot read events: %s", error)
        else:
            logger.error("reading events failed", exc_info=error)
        if position is None:
            self._tell_ready(error)
        return position

    def _step(self, position: Position | None) -> tuple[Position | None, bool]:
        """Read what is new since ``position``; ``None``: nobody was interested until now."""
        with self._lock:
            if self._ready is None:
                return None, False
            if not self._interest and time.monotonic() - self._left_at > LINGER_S:
                self._ready = None
                return None, False
            if not self._interest and position is not None:
                return position, False  # whoever comes next is told what has happened meanwhile
        if position is None:
            position = self._store.horizon()
            self._tell_ready(None)
        while True:
            page = self._store.events(EventQuery(after=position, limit=PAGE))
            position = page.position
            if page.events:
                self._post(partial(self._deliver, page.events))
            if len(page.events) < PAGE:
                return position, page.held_back

    def _tell_ready(self, error: Exception | None) -> None:
        with self._lock:
            ready = self._ready
            if error is not None:
                self._ready = None
        if ready is not None:
            self._post(partial(_resolve, ready, error))

    def _post(self, call: Callable[[], None]) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call)


def _pause(last: float) -> float:
    """Seconds until the next look while an open transaction holds events back: 1 ms at first,
    then longer each time."""
    return 0.001 if last >= SWEEP_S / 4 else min(last * 2, 0.1)


def _resolve(ready: asyncio.Future[None], error: Exception | None) -> None:
    if ready.done():
        return
    if error is None:
        ready.set_result(None)
    else:
        ready.set_exception(error)
        ready.exception()  # it may be that nobody waits for it
