"""An emulator that emulates nothing: answers zeros at once, or what a test tells it."""

import json
from collections.abc import Callable, Mapping, Sequence
from threading import Event, Lock

from quanopy.domain.calibration import Snapshot
from quanopy.domain.errors import NotFound, TaskFailed
from quanopy.domain.jobs import JobKind, Pub
from quanopy.domain.resources import Capabilities, Resource, Target
from quanopy.ports.providers import Outcome, Work

_GATES = ("h", "x", "y", "z", "rx", "ry", "rz", "cx", "cz")
_ONE_CBIT = [{"name": "c", "bits": 1}]


class FakeEmulator:
    """A local provider. ``decide`` answers a work (``None``: zeros); while ``gate`` is clear,
    batches wait, and works that are cancelled meanwhile fail."""

    def __init__(
        self,
        *,
        name: str = "noop",
        processes: int = 1,
        lanes: int | None = None,
        decide: Callable[[Work], Outcome | None] | None = None,
    ) -> None:
        self.name = name
        self.processes = processes
        self.gate = Event()
        self.gate.set()
        self._lanes = lanes
        self._decide = decide or (lambda work: None)
        self._lock = Lock()
        self._ran: dict[str, int] = {}
        self._cancelled: set[str] = set()
        self._now = self._most = 0

    @property
    def ran(self) -> Mapping[str, int]:
        """How often each task was begun."""
        with self._lock:
            return dict(self._ran)

    @property
    def cancelled(self) -> frozenset[str]:
        """The tasks whose end was asked for while their batch was there."""
        with self._lock:
            return frozenset(self._cancelled)

    @property
    def most_at_once(self) -> int:
        """The most batches that have run at the same time."""
        return self._most

    def resources(self) -> Sequence[Resource]:
        """One emulator, named as the provider."""
        return [
            Resource(
                name=self.name,
                provider=self.name,
                lanes=self._lanes,
                capabilities=Capabilities(gates=_GATES),
            )
        ]

    def target(self, resource: str) -> Target:
        """A machine without instructions: nothing is ever compiled for it."""
        if resource != self.name:
            raise NotFound(f"{self.name} has no resource {resource}")
        return Target(data=b'{"dt":null,"format":"quanopy.target/1","instructions":{},"qubits":99}')

    def calibration(self, resource: str) -> Snapshot | None:
        """None is published."""
        return None

    def check(self, work: Work) -> None:
        """It takes everything."""

    def warm(self) -> None:
        """Nothing takes long to start."""

    def start(self, works: Sequence[Work]) -> "_Batch":
        """Begin a batch."""
        with self._lock:
            self._now += 1
            self._most = max(self._most, self._now)
            for work in works:
                self._ran[work.task_id] = self._ran.get(work.task_id, 0) + 1
        return _Batch(works, self.gate, self._decide, self._asked, self._ended)

    def close(self) -> None:
        """Let whatever waits go."""
        self.gate.set()

    def _asked(self, task_ids: Sequence[str]) -> None:
        with self._lock:
            self._cancelled |= set(task_ids)

    def _ended(self) -> None:
        with self._lock:
            self._now -= 1


class _Batch:
    def __init__(
        self,
        works: Sequence[Work],
        gate: Event,
        decide: Callable[[Work], Outcome | None],
        asked: Callable[[Sequence[str]], None],
        ended: Callable[[], None],
    ) -> None:
        self._works = works
        self._gate = gate
        self._decide = decide
        self._asked = asked
        self._ended = ended
        self._cancelled: set[str] = set()

    def wait(self) -> list[Outcome]:
        """Every work's outcome, once the gate is open or all of them are cancelled."""
        everything = {work.task_id for work in self._works}
        while not self._gate.wait(0.01) and not everything <= self._cancelled:
            pass
        try:
            return [self._outcome(work) for work in self._works]
        finally:
            self._ended()

    def cancel(self, task_ids: Sequence[str]) -> None:
        """These fail instead."""
        self._cancelled |= set(task_ids)
        self._asked(task_ids)

    def _outcome(self, work: Work) -> Outcome:
        if work.task_id in self._cancelled:
            return Outcome(error=TaskFailed("cancelled"))
        return self._decide(work) or zeros(work)


def zeros(work: Work) -> Outcome:
    """A result of zeros for all pubs of a work."""
    pubs = [_zero(work.kind, pub) for pub in work.pubs]
    shots = sum(pub.shots or 0 for pub in work.pubs)
    return Outcome(
        result=json.dumps(pubs, separators=(",", ":")).encode(),
        usage={"seconds": 1e-6 * len(pubs), "shots": shots},
    )


def _zero(kind: JobKind, pub: Pub) -> dict[str, object]:
    if kind is JobKind.ESTIMATE:
        return {"shape": [], "evs": [0.0], "stds": [0.0], "precision": pub.precision}
    return {
        "shape": [],
        "shots": pub.shots,
        "registers": _ONE_CBIT,
        "counts": [{"0x0": pub.shots}],
    }
