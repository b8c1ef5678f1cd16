"""What the parts of a catalogue's contract stand on: a catalogue each, and its first steps."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime

import pytest

from quanopy.domain.events import Event
from quanopy.domain.jobs import Job, Task
from quanopy.domain.resources import Resource
from quanopy.ports.claims import Claim, Offer
from quanopy.ports.store import Store
from quanopy.testing.catalogue import MovableClock, execution, job, submission

MakeStore = Callable[[Callable[[], datetime]], Store]
TTL = 30.0
QPU = Resource(name="qpu", provider="fake", lanes=2)
AER = Resource(name="aer", provider="aer")


def accepted(answer: object) -> Sequence[Job]:
    """The jobs of an answer to a submission; fails for an error."""
    assert isinstance(answer, Sequence), answer
    return answer


def take(store: Store, resource: str = "aer", *, worker: str = "worker_1") -> Claim:
    """One claim of all that waits for a resource."""
    (claim,) = store.claim(worker, [Offer(resource=resource, seconds=1e9)], ttl_s=TTL)
    return claim


def kinds(events: Sequence[Event], subject: str) -> list[str]:
    """What happened to a subject, in order."""
    return [event.kind for event in events if event.subject == subject]


class StoreCases:
    """Cases over a fresh, empty catalogue each."""

    @pytest.fixture
    def make_store(self) -> MakeStore:
        """Override: opens the same catalogue again at each call, with the clock given."""
        raise NotImplementedError

    @pytest.fixture
    def clock(self) -> MovableClock:
        """The catalogue's clock."""
        return MovableClock()

    @pytest.fixture
    def store(self, make_store: MakeStore, clock: MovableClock) -> Iterator[Store]:
        """The catalogue, with a worker that serves ``aer`` and ``qpu`` (two lanes)."""
        with ExitStack() as cleanup:
            store = make_store(clock)
            cleanup.callback(store.close)
            store.register("worker_1", [AER, QPU], ttl_s=TTL)
            yield store

    def submit(self, store: Store, *made: tuple[Job, list[Task]]) -> Sequence[Job]:
        """Submit these as one request."""
        return accepted(store.submit([submission(*made)])[0])

    def begun(self, store: Store, *made: tuple[Job, list[Task]]) -> Claim:
        """A claim of the ``qpu`` with one execution that was begun under it."""
        self.submit(store, *(made or (job(resource="qpu"),)))
        claim = take(store, "qpu")
        store.begin(claim.id, [execution(claim, provider="fake")], ttl_s=TTL)
        return claim
