"""Who follows history for webhooks: sees what is for whom, and when it is time; and else rests."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from threading import Event as Signal
from threading import Lock, Thread
from typing import Any

import pytest

from quanopy.domain.events import Event, Position
from quanopy.domain.ids import new_id
from quanopy.domain.webhooks import PING, Webhook, WebhookChange
from quanopy.ports.events import EventPage, EventQuery
from quanopy.ports.sender import Sender
from quanopy.ports.store import Store
from quanopy.ports.wakeups import Topic, Wakeups
from quanopy.ports.webhooks import Taking
from quanopy.server.notes import note
from quanopy.services.delivering import Delivering, Later
from quanopy.services.egress import Egress
from quanopy.services.notifying import OF_ONE_ACCOUNT, Notifying
from quanopy.services.webhook_secrets import WebhookSecrets
from quanopy.storage.store import open_store
from quanopy.storage.wakeups_sqlite import SqliteWakeups
from quanopy.testing.catalogue import MovableClock, job, submission
from tests.catalogues import new_catalogue
from tests.servers.receiver import Call, Receiver, says

PATIENCE_S = 60.0


class Counting:
    """A catalogue that counts what is asked of it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.asked: Counter[str] = Counter()
        self.read: list[Event] = []
        """What was read of history."""
        self.wanted: list[tuple[str, Position | None]] = []
        """Which webhooks were to be delivered for, up to where."""

    def __getattr__(self, name: str) -> Any:
        self.asked[name] += 1
        return getattr(self._store, name)

    def events(self, query: EventQuery) -> EventPage:
        page = self._store.events(query)
        self.read += page.events
        return page

    def claim_webhooks(
        self, claim_id: str, wanted: Mapping[str, Position | None], *, ttl_s: float
    ) -> list[Taking]:
        self.wanted += wanted.items()
        return self._store.claim_webhooks(claim_id, wanted, ttl_s=ttl_s)

    def claims_of(self, hook: Webhook) -> list[Position | None]:
        """What was wanted of one, each time."""
        return [position for one, position in self.wanted if one == hook.id]


class Place:
    """A catalogue with its wake-ups, and workers that deliver from it."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.clock = MovableClock()
        self.store = open_store(new_catalogue(folder / "catalogue.db"), clock=self.clock)
        stack.callback(self.store.close)
        self.wakeups: Wakeups = SqliteWakeups(folder / "catalogue.db")
        stack.callback(self.wakeups.close)
        self._stack = stack
        self.counted = Counting(self.store)

    def worker(self, kind: type[Delivering] = Delivering) -> Notifying:
        """One at work, until the test ends or stops it."""

        def sender() -> Sender:
            from quanopy.outbound.sender import HttpSender

            return HttpSender(Egress(["127.0.0.0/8"]), total_s=PATIENCE_S)

        made = Notifying(
            store=self.counted,
            wakeups=self.wakeups,
            delivering=kind(
                store=self.counted,
                sender=sender,
                secrets=WebhookSecrets(lambda: "a key of these tests"),
                render=note,
                agent="Quanopy/test",
                clock=self.clock,
            ),
            clock=self.clock,
        )
        made.start()
        self._stack.callback(made.stop)
        return made

    def add(self, receiver: Receiver, account: str = "alice", **changes: Any) -> Webhook:
        """A webhook of all jobs of an account."""
        given: dict[str, Any] = {"kinds": ("job.*",), "url": receiver.url, "account": account}
        made = Webhook(id=new_id("hook"), created_at=self.clock(), **given | changes)
        made, _ = self.store.add_webhook(made)
        self.wakeups.notify(Topic.HOOKS, Topic.EVENTS)
        return made

    def change(self, hook: Webhook, change: WebhookChange) -> None:
        """As a route does."""
        self.store.change_webhook(hook.id, change, account=None, actor="alice")
        self.wakeups.notify(Topic.HOOKS, Topic.EVENTS)

    def submit(self, account: str = "alice", count: int = 1) -> None:
        """So many jobs, each an event."""
        self.store.submit([submission(*[job(account) for _ in range(count)])])
        self.wakeups.notify(Topic.WORK, Topic.EVENTS)

    def await_attempts(self, count: int) -> None:
        """Until the only webhook has been tried so often in vain."""
        self.await_that(lambda: self.store.webhooks()[0].attempts == count)

    def await_that(self, holds: Callable[[], bool]) -> None:
        """Wait until something comes true in a thread that says nothing of it."""
        until = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < until
            time.sleep(0.005)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with ExitStack() as stack:
        yield Place(tmp_path, stack)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def test_an_event_is_sent_when_it_happens(place: Place, receiver: Receiver) -> None:
    place.worker()
    place.add(receiver)
    for number in range(1, 4):
        place.submit()
        receiver.await_requests(number)


def test_what_happened_while_nobody_worked_is_sent_too(place: Place, receiver: Receiver) -> None:
    place.add(receiver)
    place.submit(count=3)
    place.worker()
    receiver.await_requests(3)


class Endless(Counting):
    """A catalogue in which more has happened, however much was followed."""

    def events(self, query: EventQuery) -> EventPage:
        page = self._store.events(replace(query, after=Position()))
        if query.account is not None:
            return page
        self.asked["followed"] += 1
        return replace(page, events=[page.events[0]] * query.limit)


def test_it_stops_however_much_is_left_to_read(place: Place, receiver: Receiver) -> None:
    place.submit()
    place.add(receiver, account="bob")
    place.counted = Endless(place.store)
    worker = place.worker()
    place.await_that(lambda: place.counted.asked["followed"] > 2)
    stopping = Thread(target=worker.stop, daemon=True)
    stopping.start()
    stopping.join(PATIENCE_S)
    assert not stopping.is_alive()


def test_where_there_is_no_webhook_nothing_is_read(place: Place, receiver: Receiver) -> None:
    """The way of an ordinary job is as long as it was."""
    place.worker()
    place.await_that(lambda: place.counted.asked["webhooks"] == 1)
    for _ in range(20):
        place.submit()
    hook = place.add(receiver)
    place.change(hook, WebhookChange.PING)
    receiver.await_requests(1)
    assert {event.kind for event in place.counted.read} <= {"webhook.created", PING}
    # Once for each that may have changed something of it.
    assert place.counted.asked["webhooks"] <= 3


def test_others_events_wake_nobody(place: Place, receiver: Receiver) -> None:
    place.worker()
    hook = place.add(receiver)
    with Receiver() as other:
        place.add(other, account="bob")
        for number in range(1, 6):
            place.submit("bob")
            other.await_requests(number)
    place.submit()
    receiver.await_requests(1)
    others = {event.position for event in place.counted.read if event.account == "bob"}
    assert len(others) >= 5
    assert others.isdisjoint(place.counted.claims_of(hook))


def test_two_workers_send_each_event_once_and_in_order(place: Place, receiver: Receiver) -> None:
    place.worker()
    place.worker()
    place.add(receiver)
    for _ in range(15):
        place.submit(count=2)
    receiver.await_requests(30)
    place.submit()
    receiver.await_requests(31)
    assert len(set(receiver.ids)) == 31
    numbers = [int(one.rpartition("-")[2]) for one in receiver.ids]
    assert numbers == sorted(numbers)


def test_what_fails_is_tried_again_when_its_time_has_come(place: Place, receiver: Receiver) -> None:
    worker = place.worker()
    receiver.behaviours.extend([says(500), says(500)])
    place.add(receiver)
    place.submit()
    for attempt in (1, 2):
        receiver.await_requests(attempt)
        place.await_attempts(attempt)
        place.clock.move(300)
        worker.look()
    receiver.await_requests(3)
    assert len(set(receiver.ids)) == 1


def test_one_that_fails_is_not_asked_after_at_each_event(place: Place, receiver: Receiver) -> None:
    place.worker()
    receiver.behaviours.append(says(500, "Retry-After: 3000"))
    failing = place.add(receiver)
    place.submit()
    place.await_attempts(1)
    with Receiver() as other:
        place.add(other)
        for number in range(1, 21):
            place.submit()
            other.await_requests(number)
    # It is looked at until all that happened before it failed has been followed.
    assert len(place.counted.claims_of(failing)) <= 10
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("change", [WebhookChange.PING, WebhookChange.RESUME])
def test_whoever_asks_has_what_fails_tried_at_once(
    place: Place, receiver: Receiver, change: WebhookChange
) -> None:
    place.worker()
    receiver.behaviours.append(says(500, "Retry-After: 3000"))
    hook = place.add(receiver)
    place.submit()
    place.await_attempts(1)
    place.change(hook, change)
    requests = receiver.await_requests(3 if change is WebhookChange.PING else 2)
    assert requests[0].id == requests[1].id


def test_one_that_is_resumed_just_as_it_fails_is_tried_at_once(
    place: Place, receiver: Receiver
) -> None:
    class Late(Delivering):
        """Says what came of it only once it has been resumed, and that was seen."""

        def deliver(self, id: str, wanted: Position | None) -> Later:
            later = super().deliver(id, wanted)
            if len(receiver.requests) == 1:
                looked = place.counted.asked["webhooks"]
                place.change(hook, WebhookChange.RESUME)
                place.await_that(lambda: place.counted.asked["webhooks"] > looked)
            return later

    receiver.behaviours.append(says(500, "Retry-After: 3000"))
    hook = place.add(receiver)
    place.submit()
    place.worker(Late)
    first, again = receiver.await_requests(2)
    assert first.id == again.id


def test_one_that_is_resumed_goes_on_from_where_it_stood(place: Place, receiver: Receiver) -> None:
    place.worker()
    hook = place.add(receiver)
    place.change(hook, WebhookChange.PAUSE)
    place.submit(count=3)
    with Receiver() as other:
        place.add(other)
        place.submit()
        other.await_requests(1)
    assert receiver.requests == []
    place.change(hook, WebhookChange.RESUME)
    receiver.await_requests(4)


def test_targets_that_hang_keep_no_other_account_waiting(place: Place, receiver: Receiver) -> None:
    over = Signal()
    with Receiver() as hanging:

        def hang(call: Call) -> None:
            over.wait(PATIENCE_S)

        hanging.usual = hang
        place.worker()
        for _ in range(3 * OF_ONE_ACCOUNT):
            place.add(hanging, "mallory")
        place.submit("mallory")
        hanging.await_requests(OF_ONE_ACCOUNT)
        place.add(receiver)
        place.submit()
        receiver.await_requests(1)
        assert len(hanging.requests) == OF_ONE_ACCOUNT
        over.set()


def test_it_stops_though_a_target_hangs_and_counts_no_attempt(
    place: Place, receiver: Receiver
) -> None:
    receiver.usual = lambda call: call.hang()
    worker = place.worker()
    place.add(receiver)
    place.submit()
    receiver.await_requests(1)
    worker.stop()
    assert place.store.webhooks()[0].attempts == 0
    receiver.usual = says(204)
    place.worker()
    first, again = receiver.await_requests(2)
    assert first.id == again.id


def test_a_worker_outlives_what_its_catalogue_does(place: Place, receiver: Receiver) -> None:
    lock, broken = Lock(), ["events", "claim_webhooks", "webhooks"]
    ask = place.counted.__getattr__

    class Breaking:
        """Fails once at each of these."""

        def __getattr__(self, name: str) -> Any:
            with lock:
                if name in broken:
                    broken.remove(name)
                    raise RuntimeError(name)
            return ask(name)

    place.counted = Breaking()  # type: ignore[assignment]
    worker = place.worker()
    place.add(receiver)
    place.submit()

    def goes_on() -> bool:
        place.clock.move(120)
        worker.look()
        return len(receiver.requests) > 0

    place.await_that(goes_on)
    assert broken == []
