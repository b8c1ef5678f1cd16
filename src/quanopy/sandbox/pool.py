"""A pool of isolated child processes: whatever one does to itself, its own call alone fails.

Each child has a pebble pool to itself, so that one killed in the middle of a message cannot leave
a lock or half a message behind for the others, and a thread that starts it: the kernel ends a
child when the thread that started it ends (prctl(2), PR_SET_PDEATHSIG), hence with the server,
however that dies.
"""

import ctypes
import gc
import os
import queue
import resource
import signal
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

from pebble import ProcessExpired, ProcessPool

from quanopy.domain.errors import Unavailable
from quanopy.sandbox.spawning import Spawning

_PR_SET_PDEATHSIG = 1
_STARTS = 3
"""How often a child that dies before it takes its call is started again."""


class ChildFailed(Exception):
    """A call ended its child, or was ended with it."""


class ChildDied(ChildFailed):
    """The child crashed or was killed; ``signal`` says by what, where it was a signal."""

    def __init__(self, exit_code: int | None) -> None:
        super().__init__(f"the process ended with exit code {exit_code}")
        self.signal = -exit_code if exit_code is not None and exit_code < 0 else None


class ChildTimedOut(ChildFailed):
    """The call took longer than it was given."""


class ChildCancelled(ChildFailed):
    """The call was cancelled before it ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """What a child may use."""

    threads: int = 1
    """OpenMP, BLAS and Rayon threads."""
    memory_bytes: int | None = None
    """Address space beyond what the child has after its imports."""
    warm_up: Callable[[], None] | None = None
    """Imports, done before the limits are set."""


@dataclass(slots=True, kw_only=True, eq=False)
class Call:
    """A call under way; ``result`` blocks."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    timeout_s: float | None
    future: Future[Any]
    task: Future[Any] | None = None
    cancelled: bool = False

    def result(self, timeout_s: float | None = None) -> Any:
        """What the function returned; raises what it raised, or a :class:`ChildFailed`.

        After ``timeout_s`` (also of waiting for a child) the call is cancelled.
        """
        done, _ = wait([self.future], timeout_s)
        if not done:
            self.cancel()
        return self.future.result()

    def cancel(self) -> None:
        """Kill the child that does this call, or take the call from the queue."""
        self.cancelled = True
        if self.task is not None:
            self.task.cancel()


class Children:
    """So many child processes, started when first needed, each doing one call at a time."""

    def __init__(self, processes: int, confinement: Confinement, *, name: str) -> None:
        self._confinement = confinement
        self._name = name
        self._calls: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._most = processes
        self._open: set[Call] = set()
        self._threads: list[threading.Thread] = []
        self._closed = False

    def submit(
        self, function: Callable[..., Any], *args: Any, timeout_s: float | None = None
    ) -> Call:
        """Have a child call a module's function; ``timeout_s`` counts from its start.

        Raises :class:`Unavailable` once the pool is closed.
        """
        call = Call(function=function, args=args, timeout_s=timeout_s, future=Future())
        with self._lock:
            if self._closed:
                raise Unavailable("the child processes have been ended", hint="Try again later.")
            self._put(call)
        return call

    def warm(self) -> None:
        """Start a child in the background, if none was ever needed; never blocks."""
        call = Call(function=nothing, args=(), timeout_s=None, future=Future())
        with self._lock:
            if not self._closed and not self._threads:
                self._put(call)

    def close(self) -> None:
        """End the children and what they do; idempotent."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            threads = list(self._threads)
            for call in self._open:
                call.cancel()
            for _ in threads:
                self._calls.put(None)
        for thread in threads:
            thread.join()

    def _put(self, call: Call) -> None:
        self._open.add(call)
        if len(self._threads) < min(len(self._open), self._most):
            self._start()
        self._calls.put(call)

    def _start(self) -> None:
        thread = threading.Thread(
            target=self._serve, name=f"{self._name}-{len(self._threads)}", daemon=True
        )
        self._threads.append(thread)
        thread.start()

    def _serve(self) -> None:
        slot = _Slot(self._confinement)
        try:
            while (call := self._calls.get()) is not None:
                slot.do(call)
                with self._lock:
                    self._open.discard(call)
        finally:
            slot.close()


class _Slot:
    """One child, and another after it has died."""

    def __init__(self, confinement: Confinement) -> None:
        self._confinement = confinement
        self._pool: ProcessPool | None = None

    def do(self, call: Call) -> None:
        if call.cancelled:
            call.future.set_exception(ChildCancelled())
            return
        for attempt in range(1, _STARTS + 1):
            try:
                result = self._attempt(call)
            except BrokenProcessPool:
                # It died idle or while it started: the call has not begun.
                self.close()
                if attempt == _STARTS:
                    call.future.set_exception(
                        Unavailable("no child process can be started", hint="See the log.")
                    )
                    return
            except BaseException as error:  # noqa: BLE001 - the caller's answer, whatever it is
                call.future.set_exception(error)
                return
            else:
                call.future.set_result(result)
                return

    def _attempt(self, call: Call) -> Any:
        task = self._scheduled(call)
        call.task = task
        if call.cancelled:  # meanwhile
            task.cancel()
        try:
            return task.result()
        except CancelledError:
            self.close()
            raise ChildCancelled from None
        except ProcessExpired as error:
            self.close()
            raise ChildDied(error.exitcode) from None
        except TimeoutError as error:
            if isinstance(error.__cause__, BaseException):
                raise  # raised by the function itself
            self.close()
            raise ChildTimedOut(f"not done after {call.timeout_s} s") from None

    def _scheduled(self, call: Call) -> Future[Any]:
        pool = self._alive()
        try:
            task: Future[Any] = pool.schedule(call.function, call.args, timeout=call.timeout_s)
        except RuntimeError as error:
            raise BrokenProcessPool from error
        return task

    def _alive(self) -> ProcessPool:
        if self._pool is not None and not self._pool.active:
            self.close()
        if self._pool is None:
            self._pool = ProcessPool(
                max_workers=1,
                context=Spawning(),
                initializer=confine,
                initargs=(self._confinement, os.getpid()),
            )
        return self._pool

    def close(self) -> None:
        if self._pool is not None:
            self._pool.stop()  # type: ignore[no-untyped-call]
            self._pool.join()
            self._pool = None


def nothing() -> None:
    """What a child is called for that shall only be there."""


def confine(confinement: Confinement, parent: int) -> None:
    """In the child: tie it to its parent's life and hold it to its limits."""
    _die_with(parent)
    # A child stuck in native code would never come to pebble's handler in Python.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(confinement.threads)
    os.environ["RAYON_NUM_THREADS"] = str(confinement.threads)
    os.environ["QISKIT_PARALLEL"] = "FALSE"
    if confinement.warm_up is not None:
        confinement.warm_up()
    # What was imported stays: the collector need not walk it again and again.
    gc.freeze()
    gc.set_threshold(50_000)
    if confinement.memory_bytes is not None:
        most = _address_space() + confinement.memory_bytes
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _die_with(parent: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        os._exit(1)


def _address_space() -> int:
    """Bytes of virtual memory now, see proc(5)."""
    with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123 - no Path wanted here
        return int(statm.read().split()[0]) * resource.getpagesize()
