"""A pool of isolated child processes: whatever one does to itself, its own call alone fails.

Each child has a pipe to itself, so that one killed in the middle of a message leaves no lock or
half a message behind for the others, and a thread that starts it and speaks to it: the kernel ends
a child when the thread that started it ends, hence with the server, however that dies.

A call's time limit counts from when its child begins to be sent it, and holds whatever the child
does: one that takes the call slowly, or answers a byte at a time, is ended too. Only a child that
is dead when it is to take the call, or dies before it has taken all of it, is replaced; the call
then has its whole time with the next.
"""

import logging
import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, TypeVarTuple

from quanopy.domain.errors import Unavailable
from quanopy.sandbox.confinement import Confinement
from quanopy.sandbox.isolated import Broken, Gone, Isolated
from quanopy.sandbox.messages import Function, Unsendable

A = TypeVar("A")
Ts = TypeVarTuple("Ts")

_log = logging.getLogger(__name__)
_STARTS = 3
"""How often a child that dies before it takes its call is started again."""


class ChildFailed(Exception):
    """A call has no answer: its child ended under it, or had to be ended."""


class ChildDied(ChildFailed):
    """The child crashed or was killed; ``signal`` says by what, where it was a signal."""

    def __init__(self, exit_code: int | None) -> None:
        super().__init__(f"the process ended with exit code {exit_code}")
        self.signal = -exit_code if exit_code is not None and exit_code < 0 else None


class ChildTimedOut(ChildFailed):
    """The call took longer than it was given."""


class ChildCancelled(ChildFailed):
    """The call was cancelled before it ended."""


class ChildBroken(ChildFailed):
    """The child raised, or gave what is no answer to the call; it was ended."""


class CallUnsendable(ChildFailed):
    """The call's arguments cannot be sent to any child."""


@dataclass(slots=True, kw_only=True, eq=False)
class Call(Generic[A]):
    """A call under way; ``result`` blocks."""

    function: Callable[..., list[A]]
    args: tuple[Any, ...]
    timeout_s: float | None
    future: Future[list[A]] = field(default_factory=Future)
    cancelled: bool = False
    begun: Isolated | None = None
    """The child that has been sent it before its slot's thread took it."""
    _child: Isolated | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def result(self, timeout_s: float | None = None) -> list[A]:
        """The function's answers, one for each of the batch; raises a :class:`ChildFailed`, or
        ``Unavailable`` where no child can be started.

        After ``timeout_s`` (also of waiting for a child) the call is cancelled.
        """
        try:
            return self.future.result(timeout_s)
        except TimeoutError:
            self.cancel()
        return self.future.result()

    def cancel(self) -> None:
        """Kill the child that does this call, or answer it at once: no child takes it then."""
        with self._lock:
            self.cancelled = True
            if self._child is not None:
                self._child.kill()
                return
        self.fail(ChildCancelled())

    def succeed(self, answers: list[A]) -> None:
        """Answer it, unless it was."""
        with self._lock:
            if not self.future.done():
                self.future.set_result(answers)

    def fail(self, error: Exception) -> None:
        """Answer it with an error, unless it was answered."""
        with self._lock:
            if not self.future.done():
                self.future.set_exception(error)

    def enter(self, child: Isolated) -> bool:
        """A child takes the call; not if it has been cancelled."""
        with self._lock:
            if not self.cancelled:
                self._child = child
            return not self.cancelled

    def leave(self) -> None:
        """The child is done with the call: cancelling no longer concerns it."""
        with self._lock:
            self._child = None


class Children:
    """So many child processes, started when first needed, each doing one call at a time."""

    def __init__(
        self, processes: int, confinement: Confinement, *functions: Function, name: str
    ) -> None:
        """``functions`` are what the children can be asked for, see :mod:`.messages`."""
        self._confinement = confinement
        self._functions = functions
        self._name = name
        self._most = processes
        self._lock = threading.Lock()
        self._backlog: deque[Call[Any]] = deque()
        """Calls that no child has taken yet; empty while one is idle."""
        self._idle: list[_Slot] = []
        self._slots: list[_Slot] = []
        self._open: set[Call[Any]] = set()
        self._closed = False

    def submit(
        self,
        function: Callable[[*Ts], list[A]],
        *args: *Ts,
        timeout_s: float | None = None,
    ) -> Call[A]:
        """Have a child call one of its functions; ``timeout_s`` counts from its start.

        Raises :class:`Unavailable` once the pool is closed.
        """
        call = Call(function=function, args=args, timeout_s=timeout_s)
        with self._lock:
            if self._closed:
                raise Unavailable("the child processes have been ended", hint="Try again later.")
            self._open.add(call)
            slot = self._idle.pop() if self._idle else None
            if slot is None:
                self._backlog.append(call)
                if len(self._slots) < min(len(self._open), self._most):
                    self._start()
        if slot is not None:
            slot.give(call)
        return call

    def warm(self) -> None:
        """Start a child in the background, if none was ever needed; never blocks."""
        with self._lock:
            if not self._closed and not self._slots:
                self._start()

    def close(self) -> None:
        """End the children and what they do; idempotent."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for call in self._open:
                call.cancel()
            for slot in self._idle:
                slot.inbox.put(None)
        for slot in self._slots:
            slot.thread.join()

    def _start(self) -> None:
        slot = _Slot(self._confinement, self._functions)
        slot.thread = threading.Thread(
            target=self._serve, args=(slot,), name=f"{self._name}-{len(self._slots)}", daemon=True
        )
        self._slots.append(slot)
        slot.thread.start()

    def _serve(self, slot: "_Slot") -> None:
        try:
            slot.warm()
            while (call := self._next(slot)) is not None:
                slot.do(call)
                with self._lock:
                    self._open.discard(call)
        finally:
            slot.close()

    def _next(self, slot: "_Slot") -> Call[Any] | None:
        with self._lock:
            if self._backlog:
                return self._backlog.popleft()
            if self._closed:
                return None
            self._idle.append(slot)
        return slot.inbox.get()


class _Slot:
    """One child, and another after it has died; a thread that starts it and hears its answers."""

    thread: threading.Thread

    def __init__(self, confinement: Confinement, functions: Sequence[Function]) -> None:
        self._confinement = confinement
        self._functions = functions
        self._child: Isolated | None = None
        self.inbox: queue.SimpleQueue[Call[Any] | None] = queue.SimpleQueue()

    def warm(self) -> None:
        """Start the child before there is a call for it."""
        with suppress(Exception):  # whoever calls it meets it again
            self._alive()

    def give(self, call: Call[Any]) -> None:
        """Have the child begin a call while this slot's thread, idle until now, wakes up."""
        child = self._child
        try:
            if child is not None and child.alive and call.enter(child):
                with suppress(TimeoutError):  # its answer is late then, too
                    child.send(call.function, call.args, call.timeout_s)
                call.begun = child
        except Exception:  # noqa: BLE001 - the thread tries again, and answers what it meets
            call.leave()
        finally:
            self.inbox.put(call)

    def do(self, call: Call[Any]) -> None:
        """Do a call and answer it."""
        try:
            answer = self._attempt(call)
        except Exception as error:  # noqa: BLE001 - the caller's answer, whatever it is
            call.fail(error)
        else:
            call.succeed(answer)

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.close()
            self._child = None

    def _attempt(self, call: Call[Any]) -> list[Any]:
        try:
            try:
                return (call.begun or self._begun(call)).answer()
            finally:
                call.leave()  # before the child is let go of: nobody may cancel it then
        except Unsendable as error:
            raise CallUnsendable(str(error)) from None
        except Gone as gone:
            self.close()
            raise ChildCancelled if call.cancelled else ChildDied(gone.exit_code) from None
        except TimeoutError:
            self.close()
            raise ChildTimedOut(f"not done after {call.timeout_s} s") from None
        except Broken as broken:
            self.close()
            _log.warning("a child process was ended: %.500r", str(broken))
            raise ChildBroken(str(broken)) from None

    def _begun(self, call: Call[Any]) -> Isolated:
        """A child that has been sent the call. One that dies idle, or while it starts, is not
        this call's fault: another takes it."""
        for _ in range(_STARTS):
            try:
                child = self._alive()
                if not call.enter(child):
                    raise ChildCancelled
                child.send(call.function, call.args, call.timeout_s)
            except Gone:
                call.leave()
                self.close()
                if call.cancelled:
                    raise ChildCancelled from None
            else:
                return child
        raise Unavailable("no child process can be started", hint="See the log.")

    def _alive(self) -> Isolated:
        if self._child is not None and not self._child.alive:
            self.close()
        if self._child is None:
            self._child = Isolated(self._confinement, self._functions)
        return self._child
