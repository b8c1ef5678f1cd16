"""What a webhook is told, and what becomes of it where that does not go well."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from quanopy import webhooks
from quanopy.domain.errors import Denied, Unavailable
from quanopy.domain.ids import new_id
from quanopy.domain.webhooks import PING, Webhook, WebhookChange, WebhookState
from quanopy.ports.sender import Answer, Refused
from quanopy.ports.store import Store
from quanopy.server.notes import note
from quanopy.services.delivering import CLAIM_S, LONGEST_PAUSE_S, PAGE, Delivering
from quanopy.services.webhook_secrets import WebhookSecrets
from quanopy.storage.store import open_store
from quanopy.testing.catalogue import MovableClock, job, submission
from tests.catalogues import new_catalogue

DAY_S = 24 * 3600.0
OK = Answer(status=204)
BAD = Answer(status=500)


@dataclass
class Target:
    """A server as its line shows it: what came, and what it answers."""

    answers: list[Answer | Exception] = field(default_factory=list)
    """One a request, then ``usual``."""
    usual: Answer | Exception = OK
    came: list[tuple[Mapping[str, str], dict[str, Any]]] = field(default_factory=list)
    taken: list[tuple[str, str]] = field(default_factory=list)
    """Ids and kinds of what was answered with 2xx."""
    before: Callable[[], object] = lambda: None
    """Done before each answer."""

    def line(self, url: str) -> "Line":
        return Line(self)

    def close(self) -> None:
        self.usual = Refused("closed")

    def post(self, headers: Mapping[str, str], body: bytes) -> Answer:
        event = json.loads(body)
        self.came.append((headers, event))
        answer = self.answers.pop(0) if self.answers else self.usual
        self.before()
        if isinstance(answer, Exception):
            raise answer
        if 200 <= answer.status < 300:
            self.taken.append((headers[webhooks.ID], event["type"]))
        return answer

    @property
    def kinds(self) -> list[str]:
        """Of what was taken."""
        return [kind for _, kind in self.taken]


class Line:
    """A connection to it."""

    def __init__(self, target: Target) -> None:
        self.post = target.post

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def store(tmp_path: Path, clock: MovableClock) -> Iterator[Store]:
    store = open_store(new_catalogue(tmp_path / "catalogue.db"), clock=clock)
    yield store
    store.close()


@pytest.fixture
def target() -> Target:
    return Target()


SECRETS = WebhookSecrets(lambda: "a key of these tests")


def worker(store: Store, target: Target, clock: MovableClock, **how: Any) -> Delivering:
    """One that delivers there."""
    given: dict[str, Any] = {"secrets": SECRETS, "render": note, "agent": "Quanopy/test"}
    given |= {"clock": clock, "jitter": lambda: 1.0, "sender": lambda: target}
    return Delivering(store=store, **given | how)


@pytest.fixture
def delivering(store: Store, target: Target, clock: MovableClock) -> Delivering:
    return worker(store, target, clock)


def added(store: Store, clock: MovableClock, **changes: Any) -> Webhook:
    """A webhook of all events of jobs."""
    given: dict[str, Any] = {"account": "alice", "url": "https://x.example", "kinds": ("job.*",)}
    made = Webhook(id=new_id("hook"), created_at=clock(), **given | changes)
    return store.add_webhook(made)[0]


def submit(store: Store, count: int = 1, account: str = "alice", **changes: Any) -> list[str]:
    """So many jobs, which makes so many events."""
    made = [job(account, **changes) for _ in range(count)]
    store.submit([submission(*made)])
    return [one.id for one, _ in made]


def stands(store: Store, hook: Webhook) -> Webhook:
    """As it is now."""
    return store.webhooks(ids=[hook.id])[0]


# -- what is sent -----------------------------------------------------------------------------
def test_each_event_is_sent_once_in_order(
    store: Store, target: Target, clock: MovableClock, delivering: Delivering
) -> None:
    hook = added(store, clock)
    jobs = submit(store, 5)
    assert delivering.deliver(hook.id, None).at is None
    assert [event["data"]["subject"] for _, event in target.came] == jobs
    assert len({headers[webhooks.ID] for headers, _ in target.came}) == 5
    delivering.deliver(hook.id, None)
    assert len(target.came) == 5


def test_an_event_is_as_history_shows_it_with_its_job(
    store: Store, target: Target, clock: MovableClock, delivering: Delivering
) -> None:
    hook = added(store, clock)
    (job_id,) = submit(store, name="bell")
    delivering.deliver(hook.id, None)
    ((headers, event),) = target.came
    assert event["type"] == "job.queued"
    data = event["data"]
    assert (data["job_id"], data["after"], data["kind"]) == (job_id, "queued", "job.queued")
    assert data["job"] == {"id": job_id, "name": "bell", "state": "queued", "resource": "aer"}
    assert event["timestamp"] == data["at"]
    assert headers["Content-Type"] == "application/json"
    assert "url" not in str(event)


def test_requests_are_signed_at_the_time_of_the_attempt(
    store: Store, target: Target, clock: MovableClock, delivering: Delivering
) -> None:
    hook = added(store, clock)
    submit(store)
    target.answers = [BAD]
    delivering.deliver(hook.id, None)
    clock.move(60)
    delivering.deliver(hook.id, None)
    (first, _), (second, _) = target.came
    assert first[webhooks.ID] == second[webhooks.ID]
    assert int(second[webhooks.TIMESTAMP]) - int(first[webhooks.TIMESTAMP]) == 60
    assert first[webhooks.SIGNATURE] != second[webhooks.SIGNATURE]


def test_after_a_rotation_both_secrets_sign_for_a_day(
    store: Store, target: Target, clock: MovableClock
) -> None:
    bodies: list[bytes] = []

    def keep(*about: Any) -> bytes:
        bodies.append(note(*about))
        return bodies[-1]

    delivering = worker(store, target, clock, render=keep)
    hook = added(store, clock)
    old = SECRETS.newest(hook)
    rotated = store.change_webhook(hook.id, WebhookChange.ROTATE, account="alice", actor="alice")
    new = SECRETS.newest(rotated)
    assert old != new

    def believed(secret: str) -> bool:
        submit(store)
        delivering.deliver(hook.id, None)
        at = clock().timestamp()
        try:
            webhooks.verify(secret, target.came[-1][0], bodies[-1], now=at)
        except Denied:
            return False
        return True

    assert believed(old)
    assert believed(new)
    clock.move(DAY_S + 1)
    assert not believed(old)
    assert believed(new)


def test_a_secret_is_its_webhooks_own_and_stays_the_same(store: Store, clock: MovableClock) -> None:
    one, other = added(store, clock), added(store, clock)
    assert SECRETS.newest(one) != SECRETS.newest(other)
    again = WebhookSecrets(lambda: "a key of these tests")
    assert again.newest(one) == SECRETS.newest(one)
    assert WebhookSecrets(lambda: "a key of other tests").newest(one) != SECRETS.newest(one)
    with pytest.raises(Denied):
        WebhookSecrets(lambda: "short").newest(one)


def test_only_what_it_wants_is_sent(
    store: Store, target: Target, clock: MovableClock, delivering: Delivering
) -> None:
    first, second = submit(store, 2)
    of_job = added(store, clock, job_id=second, kinds=("*",))
    ends = added(store, clock, kinds=("job.cancelled",))
    store.cancel([first, second], actor="alice")
    submit(store, account="bob")
    delivering.deliver(of_job.id, None)
    told = {event["data"]["job_id"] for _, event in target.came}
    assert told == {second}
    assert {event["type"] for _, event in target.came} == {"job.cancelled", "task.cancelled"}
    target.came.clear()
    delivering.deliver(ends.id, None)
    assert [event["data"]["subject"] for _, event in target.came] == [first, second]


def test_a_test_is_sent_to_its_webhook_alone(
    store: Store, target: Target, clock: MovableClock, delivering: Delivering
) -> None:
    job_id = submit(store)[0]
    hooks = [added(store, clock, kinds=("*",)), added(store, clock, kinds=("group.*",))]
    hooks.append(added(store, clock, job_id=job_id))
    for hook in hooks:
        store.change_webhook(hook.id, WebhookChange.PING, account="alice", actor="alice")
    for hook in hooks:
        delivering.deliver(hook.id, None)
    pings = [event["data"]["subject"] for _, event in target.came if event["type"] == PING]
    assert pings == [hook.id for hook in hooks]


def test_many_events_are_sent_page_by_page(
    store: Store, target: Target, clock: MovableClock, delivering: Delivering
) -> None:
    hook = added(store, clock)
    jobs = submit(store, 2 * PAGE + 1)
    delivering.deliver(hook.id, None)
    assert [event["data"]["subject"] for _, event in target.came] == jobs
    assert stands(store, hook).position == store.horizon()


# -- what goes wrong --------------------------------------------------------------------------
def run_for(seconds: float, delivering: Delivering, hook: Webhook, clock: MovableClock) -> None:
    """Deliver whenever it is time to, for so long."""
    until = clock().timestamp() + seconds
    while clock().timestamp() < until:
        look_at = delivering.deliver(hook.id, None).at
        if look_at is None:
            return
        clock.move((look_at - clock()).total_seconds())


def test_a_target_that_fails_for_a_day_loses_nothing(
    store: Store, target: Target, clock: MovableClock, delivering: Delivering
) -> None:
    hook = added(store, clock)
    jobs = submit(store, 3)
    target.usual = BAD
    run_for(DAY_S, delivering, hook, clock)
    assert len(target.came) > DAY_S / LONGEST_PAUSE_S
    assert {event["data"]["subject"] for _, event in target.came} == {jobs[0]}
    assert len({headers[webhooks.ID] for headers, _ in target.came}) == 1
    jobs += submit(store, 2)
    target.usual = OK
    target.came.clear()
    run_for(DAY_S, delivering, hook, clock)
    assert [event["data"]["subject"] for _, event in target.came] == jobs
    assert stands(store, hook).state is WebhookState.ACTIVE


def test_pauses_double_up_to_five_minutes(
    store: Store, target: Target, clock: MovableClock, delivering: Delivering
) -> None:
    hook = added(store, clock)
    submit(store)
    target.usual = Refused("nobody accepts connections there")
    pauses = []
    for _ in range(11):
        look_at = delivering.deliver(hook.id, None).at
        assert look_at is not None
        pauses.append((look_at - clock()).total_seconds())
        clock.move(pauses[-1])
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


def test_pauses_are_not_all_alike(store: Store, target: Target, clock: MovableClock) -> None:
    hook = added(store, clock)
    submit(store)
    target.usual = BAD
    early = worker(store, target, clock, jitter=lambda: 0.0)
    look_at = early.deliver(hook.id, None).at
    assert look_at is not None
    assert (look_at - clock()).total_seconds() == 0.5


@pytest.mark.parametrize(
    ("asked", "waited"),
    [(120.0, 120), (0.1, 1), (DAY_S, 3600), (float("inf"), 3600), (float("nan"), 1)],
)
def test_a_target_is_left_alone_as_long_as_it_asks_within_reason(
    store: Store,
    target: Target,
    clock: MovableClock,
    delivering: Delivering,
    asked: float,
    waited: float,
) -> None:
    hook = added(store, clock)
    submit(store)
    target.answers = [Answer(status=429, retry_after_s=asked)]
    look_at = delivering.deliver(hook.id, None).at
    assert look_at is not None
    assert (look_at - clock()).total_seconds() == waited


@pytest.mark.parametrize("status", [100, 301, 308, 400, 404, 500, 599])
def test_what_is_no_2xx_is_tried_again(
    store: Store, target: Target, clock: MovableClock, delivering: Delivering, status: int
) -> None:
    hook = added(store, clock)
    submit(store)
    target.answers = [Answer(status=status)]
    delivering.deliver(hook.id, None)
    failed = stands(store, hook)
    assert str(status) in (failed.problem or "")
    assert ("redirects are not followed" in (failed.problem or "")) == (300 <= status < 400)
    clock.move(1)
    delivering.deliver(hook.id, None)
    assert target.kinds == ["job.queued"]


def test_410_pauses_it_and_what_happened_meanwhile_is_sent_once_it_is_resumed(
    store: Store, target: Target, clock: MovableClock, delivering: Delivering
) -> None:
    hook = added(store, clock)
    jobs = submit(store)
    target.answers = [Answer(status=410)]
    assert delivering.deliver(hook.id, None).at is None
    assert stands(store, hook).state is WebhookState.PAUSED
    jobs += submit(store)
    assert delivering.deliver(hook.id, None).at is None
    assert len(target.came) == 1
    store.change_webhook(hook.id, WebhookChange.RESUME, account="alice", actor="alice")
    delivering.deliver(hook.id, None)
    assert [event["data"]["subject"] for _, event in target.came[1:]] == jobs


def test_after_a_week_of_failing_it_is_paused_and_goes_on_from_where_it_stood(
    store: Store, target: Target, clock: MovableClock, delivering: Delivering
) -> None:
    hook = added(store, clock)
    jobs = submit(store, 2)
    target.answers = [OK]
    target.usual = Answer(status=500, retry_after_s=3600.0)
    run_for(8 * DAY_S, delivering, hook, clock)
    paused = stands(store, hook)
    assert paused.state is WebhookState.PAUSED
    assert "7 days: it answered 500" in (paused.reason or "")
    target.usual = OK
    target.came.clear()
    store.change_webhook(hook.id, WebhookChange.RESUME, account="alice", actor="alice")
    delivering.deliver(hook.id, None)
    assert [event["data"]["subject"] for _, event in target.came] == jobs[1:]


def test_a_reply_that_is_lost_has_the_event_sent_again_under_its_id(
    store: Store, target: Target, clock: MovableClock, delivering: Delivering
) -> None:
    hook = added(store, clock)
    submit(store, 2)
    target.answers = [Refused("the connection broke before it answered")]
    delivering.deliver(hook.id, None)
    clock.move(1)
    delivering.deliver(hook.id, None)
    ids = [headers[webhooks.ID] for headers, _ in target.came]
    assert ids[0] == ids[1] != ids[2]
    assert len(ids) == 3


def test_a_worker_that_dies_after_a_delivery_has_it_repeated_by_another(
    store: Store, target: Target, clock: MovableClock
) -> None:
    class Died(BaseException):
        """As a process that is killed."""

    def die() -> None:
        raise Died

    hook = added(store, clock)
    jobs = submit(store, 2)
    target.before = die
    with pytest.raises(Died):
        worker(store, target, clock).deliver(hook.id, None)
    target.before = lambda: None
    other = worker(store, target, clock)
    look_at = other.deliver(hook.id, None).at
    assert look_at is not None
    assert (look_at - clock()).total_seconds() == CLAIM_S
    clock.move(CLAIM_S)
    other.deliver(hook.id, None)
    assert [event["data"]["subject"] for _, event in target.came] == [jobs[0], *jobs]
    ids = [headers[webhooks.ID] for headers, _ in target.came]
    assert ids[0] == ids[1]


def test_a_worker_that_lost_its_claim_sends_nothing_more(
    store: Store, target: Target, clock: MovableClock
) -> None:
    hook = added(store, clock)
    submit(store, 3)
    other = Target()

    def stall() -> None:
        target.before = lambda: None
        clock.move(CLAIM_S + 1)
        worker(store, other, clock).deliver(hook.id, None)

    target.before = stall
    worker(store, target, clock).deliver(hook.id, None)
    assert len(target.came) == 1
    assert len(other.came) == 3
    assert stands(store, hook).attempts == 0


def test_a_worker_that_stops_counts_no_attempt(
    store: Store, target: Target, clock: MovableClock, delivering: Delivering
) -> None:
    hook = added(store, clock)
    submit(store)
    target.answers = [Refused("cut off")]
    target.before = delivering.close
    delivering.deliver(hook.id, None)
    assert stands(store, hook).state is WebhookState.ACTIVE
    target.before = lambda: None
    target.usual = OK
    worker(store, target, clock).deliver(hook.id, None)
    assert target.kinds == ["job.queued"]


def test_one_that_is_paused_meanwhile_is_sent_nothing_more(
    store: Store, target: Target, clock: MovableClock, delivering: Delivering
) -> None:
    hook = added(store, clock)
    submit(store, 3)
    target.before = lambda: store.change_webhook(
        hook.id, WebhookChange.PAUSE, account="alice", actor="alice"
    )
    delivering.deliver(hook.id, None)
    assert len(target.came) == 1
    store.change_webhook(hook.id, WebhookChange.RESUME, account="alice", actor="alice")
    delivering.deliver(hook.id, None)
    assert len(target.came) == 2


def test_one_that_is_removed_meanwhile_is_sent_nothing_more(
    store: Store, target: Target, clock: MovableClock, delivering: Delivering
) -> None:
    hook = added(store, clock)
    submit(store, 3)
    target.before = lambda: store.remove_webhook(hook.id, account="alice", actor="alice")
    delivering.deliver(hook.id, None)
    assert len(target.came) == 1


def test_where_nothing_can_be_signed_nothing_is_sent(
    store: Store, target: Target, clock: MovableClock
) -> None:
    def no_key() -> str:
        raise Denied("others may read it", where="/a/path/of/the/broker")

    hook = added(store, clock)
    submit(store)
    broken = worker(store, target, clock, secrets=WebhookSecrets(no_key))
    assert broken.deliver(hook.id, None).rests
    assert target.came == []
    assert "/a/path" not in (stands(store, hook).problem or "")


def test_a_key_that_is_long_in_coming_sends_nothing_twice(
    store: Store, target: Target, clock: MovableClock, delivering: Delivering
) -> None:
    """A command may tell it, for longer than a claim lasts: others deliver meanwhile."""

    def slow_key() -> str:
        clock.move(2 * CLAIM_S)
        delivering.deliver(hook.id, None)
        return "a key of these tests"

    hook = added(store, clock)
    submit(store, 3)
    worker(store, target, clock, secrets=WebhookSecrets(slow_key)).deliver(hook.id, None)
    assert len(target.came) == 3


def test_the_key_is_read_once_for_all_that_is_sent(
    store: Store, target: Target, clock: MovableClock
) -> None:
    read: list[str] = []

    def key() -> str:
        read.append("a key of these tests")
        return read[-1]

    hook = added(store, clock)
    submit(store, 3)
    worker(store, target, clock, secrets=WebhookSecrets(key)).deliver(hook.id, None)
    assert (len(target.came), len(read)) == (3, 1)


def test_a_clock_that_is_set_back_delays_nothing(
    store: Store, target: Target, clock: MovableClock, delivering: Delivering
) -> None:
    hook = added(store, clock)
    submit(store)
    target.answers = [BAD]
    delivering.deliver(hook.id, None)
    clock.move(-365 * DAY_S)
    delivering.deliver(hook.id, None)
    submit(store)
    delivering.deliver(hook.id, None)
    assert len(target.taken) == 2


def test_a_database_that_goes_away_is_no_failure_of_the_target(
    store: Store, target: Target, clock: MovableClock
) -> None:
    class Away:
        """The catalogue, until something is to be noted."""

        def __getattr__(self, name: str) -> Any:
            if name == "settle_webhooks":
                raise Unavailable("the database is away")
            return getattr(store, name)

    hook = added(store, clock)
    submit(store)
    with pytest.raises(Unavailable):
        worker(Away(), target, clock).deliver(hook.id, None)
    assert stands(store, hook).attempts == 0
    clock.move(CLAIM_S)
    worker(store, target, clock).deliver(hook.id, None)
    ids: Sequence[str] = [headers[webhooks.ID] for headers, _ in target.came]
    assert len(ids) == 2
    assert len(set(ids)) == 1
