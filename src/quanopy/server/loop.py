"""Between the event loop and threads: calls out of it, answers into it."""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")
THREADS = 8
"""How many blocking calls are under way at once, unless told otherwise."""


class Mailbox(Generic[T]):
    """Answers from threads for futures of a loop; a burst of them wakes the loop once."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._items: deque[tuple[asyncio.Future[T], T | Exception]] = deque()
        self._scheduled = False

    def future(self) -> asyncio.Future[T]:
        """A future of the loop, to be answered by :meth:`post`."""
        return self._loop.create_future()

    def post(self, future: asyncio.Future[T], answer: T | Exception) -> None:
        """Answer a future from any thread; a second answer, or a late one, is dropped."""
        self._items.append((future, answer))
        # Without a lock: at worst the loop is woken once too often, and finds nothing.
        if not self._scheduled:
            self._scheduled = True
            try:
                self._loop.call_soon_threadsafe(self._deliver)
            except RuntimeError:  # the loop is closed: nobody waits any more
                self._items.clear()

    def _deliver(self) -> None:
        self._scheduled = False
        while self._items:
            future, answer = self._items.popleft()
            if future.done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)


class Calls:
    """Blocking calls in a few threads, awaited from the loop."""

    def __init__(self, threads: int = THREADS) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="call")

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call it in a thread and await what it returns or raises."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: call(*args, **kwargs))

    def close(self) -> None:
        """Start nothing more; idempotent."""
        self._pool.shutdown(wait=False, cancel_futures=True)
