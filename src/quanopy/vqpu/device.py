"""The device at work: submissions in a queue, lanes that run them in child processes at its pace.

What has ended is kept for a while, so that an answer that was lost can be fetched again.
"""

import secrets
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from quanopy.domain.errors import Conflict, NotFound, QuanopyError, TaskFailed, Unavailable
from quanopy.sandbox.confinement import Confinement
from quanopy.sandbox.pool import Call, ChildCancelled, ChildDied, Children, ChildTimedOut
from quanopy.vqpu import child
from quanopy.vqpu.machine import GATES, Machine
from quanopy.vqpu.runs import Run, Taken

MOST_WAITING = 10_000
KEPT = 10_000
KEPT_S = 3600.0
KEPT_SHOTS = 20_000_000
"""Outcomes of single shots that are kept, over all that has ended."""


class State(StrEnum):
    """Where a submission is."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = frozenset({State.DONE, State.FAILED, State.CANCELLED})


@dataclass(slots=True, kw_only=True, eq=False)
class Submission:
    """Circuits that were sent together."""

    id: str
    runs: Sequence[Run]
    normal: bool
    """Whether each shot's bits are wanted, not counts."""
    single: bool
    """Whether it was sent as one circuit, and is answered so."""
    key: str | None = None
    digest: str = ""
    """Of the request's body: a key stands for one."""
    created_at: datetime
    state: State = State.QUEUED
    started_at: datetime | None = None
    ended_at: datetime | None = None
    taken: Sequence[Taken | str] = ()
    """By circuit: what came of it, or why nothing did."""
    error: str | None = None
    seconds: float = 0.0
    """How long it was on its lane."""
    ended_tick: float = 0.0
    fetched: bool = False
    """Whether its result was asked for."""
    call: Call[Taken | QuanopyError] | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    """Set when it is cancelled, or the device closes: its pace is waited out no longer."""

    @property
    def shots(self) -> int:
        """Outcomes of single shots that are kept of it."""
        return sum(len(one.memory or ()) for one in self.taken if isinstance(one, Taken))


class Device:
    """Runs what is submitted; safe for threads."""

    def __init__(self, machine: Machine, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Lanes start at once, and run circuits when the device is warm."""
        self.machine = machine
        self._clock = clock
        self._condition = threading.Condition()
        self._queue: deque[Submission] = deque()
        self._all: OrderedDict[str, Submission] = OrderedDict()
        self._ended: deque[Submission] = deque()
        self._keys: dict[str, Submission] = {}
        self._shots = 0
        self._running = 0
        self._draining = self._closed = self._held = self._given_up = False
        self._warm_at = self._clock() + machine.pace.warm_up_s
        confinement = Confinement(
            threads=machine.threads,
            memory_bytes=2 * machine.memory_bytes + 2**30,
            warm_up=child.warm_up,
        )
        lanes = machine.pace.lanes
        self._children = Children(lanes, confinement, child.emulate, name="vqpu")
        self._children.warm()
        self._lanes = [
            threading.Thread(target=self._lane, name=f"lane-{i}", daemon=True) for i in range(lanes)
        ]
        for lane in self._lanes:
            lane.start()

    @property
    def warm(self) -> bool:
        """Whether it runs circuits yet."""
        return self._clock() >= self._warm_at

    @property
    def draining(self) -> bool:
        """Whether it takes nothing more."""
        return self._draining

    @property
    def busy(self) -> tuple[int, int]:
        """How many submissions wait, and how many run."""
        with self._condition:
            return len(self._queue), self._running

    def submit(
        self,
        runs: Sequence[Run],
        *,
        normal: bool,
        single: bool,
        key: str | None = None,
        digest: str = "",
    ) -> Submission:
        """Take circuits in. The same key gives the submission of the first time; with another
        digest it is a ``Conflict``. ``Unavailable`` where the queue is full or the device stops."""
        with self._condition:
            if key is not None and (known := self._keys.get(key)) is not None:
                if known.digest != digest:
                    raise Conflict("this key was used with another body", where="Idempotency-Key")
                return known
            if self._draining:
                raise Unavailable(f"{self.machine.name} stops", retry_after_s=5.0)
            if len(self._queue) >= MOST_WAITING:
                raise Unavailable("the queue is full", retry_after_s=1.0)
            made = Submission(
                id=secrets.token_hex(12),
                runs=runs,
                normal=normal,
                single=single,
                key=key,
                digest=digest,
                created_at=datetime.now(UTC),
            )
            self._all[made.id] = made
            if key is not None:
                self._keys[key] = made
            self._queue.append(made)
            self._condition.notify()
            return made

    def probe(self) -> None:
        """Run a circuit of one gate; raises :class:`Unavailable` where the emulator cannot."""
        gate, places = next(iter(self.machine.places.items()))
        qubits = min(places) if places else tuple(range(GATES[gate][0]))
        run = Run(
            shots=1,
            instructions=((gate, qubits, (0.0,) * GATES[gate][1]),),
            measure=((qubits[0], 0),),
        )
        try:
            (answer,) = self._children.submit(
                child.emulate, self.machine.emulated, [run], timeout_s=self.machine.time_limit_s
            ).result()
        except Exception as error:
            raise self._does_not_run(_said(error)) from error
        if isinstance(answer, QuanopyError):
            raise self._does_not_run(str(answer))

    def _does_not_run(self, why: str) -> Unavailable:
        hint = (
            "It needs qiskit-aer-gpu in place of qiskit-aer, a GPU of NVIDIA's and its driver; "
            "or use --device cpu."
        )
        return Unavailable(
            f"the emulator does not run: {why}", hint=hint if self.machine.gpu else None
        )

    def find(self, id: str) -> Submission:
        """The submission of this id; ``NotFound``."""
        with self._condition:
            self._forget()
            found = self._all.get(id)
        if found is None:
            raise NotFound(f"there is no circuit {id[:60]!r}")
        return found

    def cancel(self, id: str) -> None:
        """End a submission that has not ended; ``NotFound``."""
        found = self.find(id)
        with self._condition:
            if found.state in ENDED:
                return
            if found.state is State.QUEUED:
                self._queue.remove(found)
            self._end(found, State.CANCELLED)
            call = found.call
        found.stop.set()
        if call is not None:
            call.cancel()

    def forget(self, id: str) -> None:
        """Know a submission that has ended no more; ``NotFound``."""
        found = self.find(id)
        with self._condition:
            if found.state in ENDED:
                self._drop(found)
                self._ended.remove(found)

    def accepted(self, key: str) -> int:
        """How many submissions there are under a key."""
        with self._condition:
            return sum(one.key == key for one in self._all.values())

    def hold(self, held: bool) -> None:
        """Run nothing more for now, or again."""
        with self._condition:
            self._held = held
            self._condition.notify_all()

    def fetched(self, one: Submission) -> None:
        """Its result has been asked for."""
        with self._condition:
            one.fetched = True
            self._condition.notify_all()

    def drain(self, grace_s: float, linger_s: float) -> None:
        """Take nothing more; wait so long for what waits and runs, then so long for results to be
        fetched, or until somebody gives up."""
        with self._condition:
            self._draining = True
            self._condition.notify_all()
            self._condition.wait_for(
                lambda: self._given_up or not (self._queue or self._running), grace_s
            )
            self._condition.wait_for(
                lambda: (
                    self._given_up
                    or all(one.fetched for one in self._ended if one.state is State.DONE)
                ),
                linger_s,
            )

    def give_up(self) -> None:
        """Whoever drains it waits no longer."""
        with self._condition:
            self._given_up = True
            self._condition.notify_all()

    def close(self) -> None:
        """End everything; what has not ended is cancelled. Idempotent."""
        with self._condition:
            if self._closed:
                return
            self._draining = self._closed = True
            open_ = [one for one in self._all.values() if one.state not in ENDED]
            self._queue.clear()
            for one in open_:
                self._end(one, State.CANCELLED)
                one.stop.set()
            self._condition.notify_all()
        self._children.close()
        for lane in self._lanes:
            lane.join()

    # -- lanes --------------------------------------------------------------------------------
    def _lane(self) -> None:
        while (one := self._next()) is not None:
            began = self._clock()
            answers, error = self._run(one)
            with self._condition:
                one.seconds = self._clock() - began
                self._running -= 1
                if one.state not in ENDED:
                    one.taken = answers
                    one.error = error
                    self._end(one, State.DONE if error is None else State.FAILED)
                self._condition.notify_all()

    def _next(self) -> Submission | None:
        with self._condition:
            while not self._closed:
                left = self._warm_at - self._clock()
                if left <= 0 and self._queue and not self._held:
                    one = self._queue.popleft()
                    one.state, one.started_at = State.RUNNING, datetime.now(UTC)
                    self._running += 1
                    return one
                self._condition.wait(left if left > 0 else None)
        return None

    def _run(self, one: Submission) -> tuple[list[Taken | str], str | None]:
        """What came of each circuit, or why nothing did of any."""
        least_s = sum(run.shots for run in one.runs) * self.machine.pace.shot_s
        began = self._clock()
        try:
            with self._condition:
                if one.stop.is_set():
                    return [], "cancelled"
                one.call = self._children.submit(
                    child.emulate,
                    self.machine.emulated,
                    one.runs,
                    timeout_s=self.machine.time_limit_s,
                )
            answers = one.call.result()
            one.call = None
        except Exception as error:  # noqa: BLE001 - whatever its child met is its answer
            return [], _said(error)
        if (left := least_s - (self._clock() - began)) > 0:
            one.stop.wait(left)
        found = [answer if isinstance(answer, Taken) else str(answer) for answer in answers]
        if any(isinstance(answer, Taken) for answer in found):
            return found, None
        return [], str(found[0])

    # -- what is kept, with the condition held ------------------------------------------------
    def _end(self, one: Submission, state: State) -> None:
        one.state, one.ended_at, one.ended_tick = state, datetime.now(UTC), self._clock()
        one.runs = ()
        self._shots += one.shots
        self._ended.append(one)
        self._forget()

    def _forget(self) -> None:
        before = self._clock() - KEPT_S
        while len(self._ended) > 1 and (
            len(self._ended) > KEPT
            or self._shots > KEPT_SHOTS
            or self._ended[0].ended_tick < before
        ):
            self._drop(self._ended.popleft())

    def _drop(self, old: Submission) -> None:
        self._shots -= old.shots
        self._all.pop(old.id, None)
        if old.key is not None:
            self._keys.pop(old.key, None)


def _said(error: Exception) -> str:
    match error:
        case ChildCancelled():
            return "cancelled"
        case ChildTimedOut():
            return f"the emulation was not done in time: {error}"
        case ChildDied():
            return "the emulation was ended, most likely for want of memory"
        case QuanopyError():
            return str(error)
    return str(TaskFailed(f"the emulation broke: {type(error).__name__}"))
