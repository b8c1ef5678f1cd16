"""The Aer provider: resources and targets here, emulation in child processes."""

import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from quanopy.domain.errors import NotFound, QuanopyError, TaskFailed
from quanopy.domain.resources import Resource, Target
from quanopy.ports.providers import Outcome, Work
from quanopy.providers.aer import child
from quanopy.providers.aer.devices import Device, devices
from quanopy.providers.aer.emulator import Emulator
from quanopy.providers.aer.methods import METHODS, Method
from quanopy.sandbox.confinement import Confinement
from quanopy.sandbox.pool import (
    Call,
    ChildCancelled,
    ChildDied,
    ChildFailed,
    Children,
    ChildTimedOut,
)

_SHARED_S = 1.0
"""Works estimated to take longer have a child to themselves: cancelling one then ends it."""


class AerProvider:
    """Emulators of Qiskit Aer in processes of our own."""

    name = "aer"

    def __init__(
        self, *, processes: int, threads: int, memory_bytes: int, time_limit_s: float
    ) -> None:
        """See :func:`quanopy.providers.aer.create`."""
        self.processes = processes
        self._threads = threads
        self._memory_bytes = memory_bytes
        self._time_limit_s = time_limit_s
        self._target = cache(self._build_target)
        # Aer's own bound on states is memory_bytes; the rest is for what it does beside them.
        confinement = Confinement(
            threads=threads, memory_bytes=2 * memory_bytes + 2**30, warm_up=child.warm_up
        )
        self._children = Children(processes, confinement, child.emulate, name="aer")

    def resources(self) -> Sequence[Resource]:
        """Aer's methods, and the fake devices with their noise."""
        methods = [
            Resource(
                name=method.resource,
                provider=self.name,
                description=method.description,
                capabilities=method.capabilities(self._memory_bytes),
            )
            for method in METHODS
        ]
        fakes = [
            Resource(
                name=device.resource,
                provider=self.name,
                description=f"Aer with the gates, coupling and noise of fake_{device.name}",
                capabilities=device.capabilities(self._memory_bytes),
            )
            for device in devices()
        ]
        return [*methods, *fakes]

    def target(self, resource: str) -> Target:
        """What programs are compiled for; ``NotFound`` for a resource that is not here."""
        return self._target(resource)

    def warm(self) -> None:
        """Start one process, and let Aer run once in it."""
        self._children.warm()

    def start(self, works: Sequence[Work]) -> "AerRunning":
        """Begin a batch for one resource."""
        found = _find(works[0].resource)
        emulator = Emulator(
            method=found.name if isinstance(found, Method) else "automatic",
            device=found.name if isinstance(found, Device) else None,
            threads=self._threads,
            memory_bytes=self._memory_bytes,
        )
        return AerRunning(works, emulator, self._children, self._time_limit_s)

    def close(self) -> None:
        """End the processes; idempotent."""
        self._children.close()

    def _build_target(self, resource: str) -> Target:
        found = _find(resource)
        return found.target(self._memory_bytes) if isinstance(found, Method) else found.target()


def _find(resource: str) -> Method | Device:
    known: list[Method | Device] = [*METHODS, *devices()]
    for found in known:
        if found.resource == resource:
            return found
    raise NotFound(f"the Aer provider has no resource {resource!r}")


@dataclass(slots=True, kw_only=True, eq=False)
class _Part:
    """Works that share a call of a child, by their places in the batch."""

    places: Sequence[int]
    call: Call[Outcome]


class AerRunning:
    """A batch under way: its short works in one call, each long one in its own."""

    def __init__(
        self,
        works: Sequence[Work],
        emulator: Emulator,
        children: Children,
        time_limit_s: float,
    ) -> None:
        self._works = works
        self._emulator = emulator
        self._children = children
        self._time_limit_s = time_limit_s
        self._lock = threading.Lock()
        self._cancelled: set[str] = set()
        short = [i for i, work in enumerate(works) if work.estimate_s <= _SHARED_S]
        long = [[i] for i, work in enumerate(works) if work.estimate_s > _SHARED_S]
        self._parts = [self._begin(places) for places in (short, *long) if places]

    def wait(self) -> list[Outcome]:
        """Block until all have ended; see the port."""
        outcomes: dict[int, Outcome] = {}
        for part in list(self._parts):
            outcomes |= zip(part.places, self._finish(part), strict=True)
        return [
            Outcome(error=_cancelled()) if work.task_id in self._cancelled else outcomes[place]
            for place, work in enumerate(self._works)
        ]

    def cancel(self, task_ids: Sequence[str]) -> None:
        """Kill calls all of whose works are cancelled; discard results of the others."""
        with self._lock:
            self._cancelled |= set(task_ids) & {work.task_id for work in self._works}
            for part in self._parts:
                if self._is_cancelled(part.places):
                    part.call.cancel()

    def _is_cancelled(self, places: Sequence[int]) -> bool:
        return all(self._works[place].task_id in self._cancelled for place in places)

    def _begin(self, places: Sequence[int]) -> _Part:
        call = self._children.submit(
            child.emulate,
            self._emulator,
            [self._works[place] for place in places],
            timeout_s=self._time_limit_s,
        )
        return _Part(places=places, call=call)

    def _finish(self, part: _Part) -> list[Outcome]:
        try:
            return part.call.result()
        except ChildFailed as failure:
            return self._after(part, failure)

    def _after(self, part: _Part, failure: ChildFailed) -> list[Outcome]:
        """A child was lost: its only work is to blame; of several each is tried once by itself."""
        if len(part.places) == 1:
            return [Outcome(error=_blame(failure, self._time_limit_s))]
        return [self._alone(place) for place in part.places]

    def _alone(self, place: int) -> Outcome:
        with self._lock:
            if self._is_cancelled([place]):
                return Outcome(error=_cancelled())
            part = self._begin([place])
            self._parts.append(part)
        return self._finish(part)[0]


def _cancelled() -> TaskFailed:
    return TaskFailed("cancelled")


def _blame(failure: ChildFailed, time_limit_s: float) -> QuanopyError:
    """Why a work failed whose child was lost under it alone."""
    match failure:
        case ChildCancelled():
            return _cancelled()
        case ChildTimedOut():
            return TaskFailed(
                f"not done after {time_limit_s:g} s", hint="Make it smaller, or split it."
            )
        case ChildDied(signal=signal.SIGKILL):
            return TaskFailed(
                "its emulator was killed, most likely for want of memory",
                hint="Use fewer qubits or another method.",
            )
    return TaskFailed(
        f"it broke its emulator: {failure}", hint="Report it with the program, if you can."
    )
