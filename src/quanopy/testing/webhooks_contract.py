"""What every catalogue does with webhooks."""

from typing import Any

import pytest

from quanopy.domain.errors import Conflict, InvalidTransition, NotFound
from quanopy.domain.events import Event, Position
from quanopy.domain.groups import GroupAction
from quanopy.domain.ids import new_id
from quanopy.domain.webhooks import PATIENCE, PING, Webhook, WebhookChange, WebhookState
from quanopy.ports.events import EventQuery
from quanopy.ports.store import Store
from quanopy.ports.webhooks import Step, Taking
from quanopy.testing.catalogue import MovableClock, job, submission
from quanopy.testing.groups import fill, group
from quanopy.testing.store_cases import StoreCases

TTL = 15.0
URL = "https://lab.example/quanopy?key=1"


def webhook(clock: MovableClock, **changes: Any) -> Webhook:
    """One that an account adds now."""
    given: dict[str, Any] = {"account": "alice", "url": URL, "created_at": clock()}
    return Webhook(id=new_id("hook"), **given | changes)


def added(store: Store, clock: MovableClock, **changes: Any) -> Webhook:
    """The same, kept."""
    made, new = store.add_webhook(webhook(clock, **changes))
    assert new
    return made


def claimed(store: Store, made: Webhook, wanted: Position | None = None) -> tuple[str, Taking]:
    """A claim that was tried, and what came of it."""
    claim_id = new_id("claim")
    (taking,) = store.claim_webhooks(claim_id, {made.id: wanted}, ttl_s=TTL)
    return claim_id, taking


def settled(store: Store, claim_id: str, made: Webhook, **what: Any) -> Webhook:
    """A step that was taken note of."""
    (after,) = store.settle_webhooks(claim_id, [Step(webhook_id=made.id, **what)], ttl_s=TTL)
    return after


def fail(store: Store, made: Webhook, retry_in_s: float = 10.0) -> Webhook:
    """One attempt that failed."""
    claim_id, taking = claimed(store, made)
    assert taking.taken
    return settled(store, claim_id, made, problem="it answered 500", retry_in_s=retry_in_s)


def told(store: Store, made: Webhook) -> list[Event]:
    """The events about a webhook."""
    return [event for event in store.events(EventQuery()).events if event.subject == made.id]


class WebhooksContract(StoreCases):
    """The checks of :class:`~quanopy.testing.store_contract.StoreContract` about these; its
    fixtures ``store`` and ``clock`` are used."""

    def test_a_webhook_is_kept_and_stands_at_what_has_happened(
        self, store: Store, clock: MovableClock
    ) -> None:
        store.submit([submission(job())])
        made = added(store, clock, kinds=("job.*",), label="lab", job_id="job_1")
        assert (made.kinds, made.label, made.job_id, made.url) == (
            ("job.*",),
            "lab",
            "job_1",
            URL,
        )
        assert made.state is WebhookState.ACTIVE
        assert store.webhooks() == [made]
        later = store.events(EventQuery(after=made.position)).events
        assert [event.kind for event in later] == ["webhook.created"]

    def test_webhooks_are_found_by_account_and_id_the_newest_first(
        self, store: Store, clock: MovableClock
    ) -> None:
        one, two = added(store, clock), added(store, clock)
        others = added(store, clock, account="bob")
        assert store.webhooks(account="alice") == [two, one]
        assert store.webhooks(ids=[one.id, others.id]) == [others, one]
        assert store.webhooks(ids=[one.id], account="bob") == []
        assert store.webhooks(ids=[]) == []

    def test_a_repeated_request_gives_the_webhook_of_the_first_time(
        self, store: Store, clock: MovableClock
    ) -> None:
        made, new = store.add_webhook(webhook(clock), idempotency_key="k", request_digest="d")
        assert new
        again = store.add_webhook(webhook(clock), idempotency_key="k", request_digest="d")
        assert again == (made, False)
        with pytest.raises(Conflict):
            store.add_webhook(webhook(clock), idempotency_key="k", request_digest="other")
        _, new = store.add_webhook(
            webhook(clock, account="bob"), idempotency_key="k", request_digest="d"
        )
        assert new

    def test_a_webhook_that_was_removed_is_gone(self, store: Store, clock: MovableClock) -> None:
        made = added(store, clock)
        for account in ("bob", ""):
            with pytest.raises(NotFound):
                store.remove_webhook(made.id, account=account, actor=account)
        assert store.remove_webhook(made.id, account="alice", actor="alice") == made
        assert store.webhooks() == []
        with pytest.raises(NotFound):
            store.remove_webhook(made.id, account=None, actor="op")
        assert store.claim_webhooks(new_id("claim"), {made.id: None}, ttl_s=TTL) == []
        assert [event.kind for event in told(store, made)] == ["webhook.created", "webhook.removed"]

    # -- claims -------------------------------------------------------------------------------
    def test_one_worker_at_a_time_delivers_for_a_webhook(
        self, store: Store, clock: MovableClock
    ) -> None:
        made = added(store, clock)
        claim_id, taking = claimed(store, made)
        assert taking.taken
        _, other = claimed(store, made)
        assert not other.taken
        assert other.look_at is not None
        assert (other.look_at - clock()).total_seconds() == TTL
        settled(store, claim_id, made)
        assert claimed(store, made)[1].taken

    def test_a_claim_of_a_worker_that_died_ends(self, store: Store, clock: MovableClock) -> None:
        made = added(store, clock)
        dead, _ = claimed(store, made)
        clock.move(TTL + 1)
        alive, taking = claimed(store, made)
        assert taking.taken
        late = Step(webhook_id=made.id, position=Position(9, 9), delivered=True)
        assert store.settle_webhooks(dead, [late], ttl_s=TTL) == []
        assert settled(store, alive, made).position == made.position

    def test_a_claim_goes_on_while_there_is_more_to_deliver(
        self, store: Store, clock: MovableClock
    ) -> None:
        made = added(store, clock)
        claim_id, _ = claimed(store, made)
        clock.move(TTL - 1)
        settled(store, claim_id, made, position=made.position, delivered=True, keep=True)
        clock.move(TTL - 1)
        assert not claimed(store, made)[1].taken

    def test_a_webhook_that_has_come_past_what_is_wanted_is_left_alone(
        self, store: Store, clock: MovableClock
    ) -> None:
        made = added(store, clock)
        _, taking = claimed(store, made, made.position)
        assert (taking.taken, taking.look_at) == (False, None)
        later = Position(made.position.tx, made.position.seq + 1)
        assert claimed(store, made, later)[1].taken

    def test_a_claim_holds_against_one_whose_clock_is_behind(
        self, store: Store, clock: MovableClock
    ) -> None:
        made = added(store, clock)
        assert claimed(store, made)[1].taken
        clock.move(-0.001)
        assert not claimed(store, made)[1].taken

    def test_a_clock_that_was_set_back_holds_nothing_up(
        self, store: Store, clock: MovableClock
    ) -> None:
        held, rests = added(store, clock), added(store, clock)
        claimed(store, held)
        fail(store, rests, retry_in_s=100)
        clock.move(-30 * 24 * 3600)
        assert claimed(store, held)[1].taken
        assert claimed(store, rests)[1].taken

    # -- what comes of it ---------------------------------------------------------------------
    def test_what_was_delivered_moves_its_position(self, store: Store, clock: MovableClock) -> None:
        made = added(store, clock)
        claim_id, _ = claimed(store, made)
        after = settled(store, claim_id, made, position=Position(3, 7), delivered=True)
        assert after.position == Position(3, 7)
        assert after.delivered_at is not None
        assert store.webhooks() == [after]

    def test_a_failure_is_shown_and_tried_again_at_its_time(
        self, store: Store, clock: MovableClock
    ) -> None:
        made = added(store, clock)
        failed = fail(store, made)
        assert (failed.state, failed.attempts) == (WebhookState.FAILING, 1)
        assert (failed.problem, failed.position) == ("it answered 500", made.position)
        _, taking = claimed(store, made)
        assert not taking.taken
        assert taking.look_at == failed.next_at
        clock.move(10)
        again = fail(store, made)
        assert (again.attempts, again.failing_since) == (2, failed.failing_since)
        clock.move(10)
        claim_id, _ = claimed(store, made)
        well = settled(store, claim_id, made, position=Position(3, 7), delivered=True)
        assert (well.state, well.attempts, well.problem) == (WebhookState.ACTIVE, 0, None)
        assert (well.failing_since, well.next_at) == (None, None)

    def test_what_fails_for_days_is_paused_and_goes_on_from_where_it_stood(
        self, store: Store, clock: MovableClock
    ) -> None:
        made = added(store, clock)
        fail(store, made)
        clock.move(PATIENCE.total_seconds() - 1)
        assert fail(store, made, retry_in_s=1).state is WebhookState.FAILING
        clock.move(1)
        paused = fail(store, made)
        assert paused.state is WebhookState.PAUSED
        assert "7 days" in (paused.reason or "")
        assert "it answered 500" in (paused.reason or "")
        (_, event) = told(store, made)
        assert (event.kind, event.data["reason"]) == ("webhook.paused", paused.reason)
        assert store.webhooks(unpaused=True) == []
        assert not claimed(store, made)[1].taken
        resumed = self._changed(store, made, WebhookChange.RESUME)
        assert (resumed.state, resumed.reason) == (WebhookState.ACTIVE, None)
        assert resumed.position == made.position
        assert claimed(store, made)[1].taken

    def test_one_that_is_gone_is_paused_at_once(self, store: Store, clock: MovableClock) -> None:
        made = added(store, clock)
        claim_id, _ = claimed(store, made)
        gone = settled(store, claim_id, made, problem="it answered 410", gone=True)
        assert (gone.state, gone.reason) == (WebhookState.PAUSED, "it answered 410")

    # -- what is asked of it ------------------------------------------------------------------
    def test_one_that_is_paused_meanwhile_loses_its_claim(
        self, store: Store, clock: MovableClock
    ) -> None:
        made = added(store, clock)
        claim_id, _ = claimed(store, made)
        paused = self._changed(store, made, WebhookChange.PAUSE)
        assert paused.reason == "alice paused it"
        after = settled(store, claim_id, made, position=Position(0, 9), delivered=True, keep=True)
        assert (after.paused, after.position) == (True, Position(0, 9))
        self._changed(store, made, WebhookChange.RESUME)
        assert claimed(store, made)[1].taken

    def test_doing_it_twice_tells_it_once(self, store: Store, clock: MovableClock) -> None:
        made = added(store, clock)
        for change in (*[WebhookChange.PAUSE] * 2, *[WebhookChange.RESUME] * 2):
            self._changed(store, made, change)
        assert [event.kind for event in told(store, made)] == [
            "webhook.created",
            "webhook.paused",
            "webhook.resumed",
        ]

    def test_a_test_is_an_event_and_tries_again_at_once(
        self, store: Store, clock: MovableClock
    ) -> None:
        made = added(store, clock)
        failed = fail(store, made, retry_in_s=300)
        after = self._changed(store, made, WebhookChange.PING)
        assert (after.next_at, after.attempts) == (None, failed.attempts)
        assert told(store, made)[-1].kind == PING
        assert claimed(store, made)[1].taken
        self._changed(store, made, WebhookChange.PAUSE)
        with pytest.raises(InvalidTransition):
            self._changed(store, made, WebhookChange.PING)

    def test_a_new_secret_is_another_generation(self, store: Store, clock: MovableClock) -> None:
        made = added(store, clock)
        assert made.generations(clock()) == (1,)
        after = self._changed(store, made, WebhookChange.ROTATE)
        assert (after.generation, after.rotated_at) == (2, clock())
        assert after.generations(clock()) == (2, 1)
        clock.move(24 * 3600)
        assert after.generations(clock()) == (2,)

    def test_only_its_account_and_operators_change_it(
        self, store: Store, clock: MovableClock
    ) -> None:
        made = added(store, clock)
        with pytest.raises(NotFound):
            store.change_webhook(made.id, WebhookChange.PAUSE, account="bob", actor="bob")
        paused = store.change_webhook(made.id, WebhookChange.PAUSE, account=None, actor="op")
        assert paused.reason == "op paused it"

    # -- which events -------------------------------------------------------------------------
    def test_events_are_found_by_kind(self, store: Store, clock: MovableClock) -> None:
        made = added(store, clock)
        store.submit([submission(job(), job())])
        self._changed(store, made, WebhookChange.PING)

        def kinds(*patterns: str) -> list[str]:
            query = EventQuery(account="alice", kinds=patterns)
            return [event.kind for event in store.events(query).events]

        assert kinds("job.queued") == ["job.queued"] * 2
        assert kinds("job.*", PING) == ["job.queued", "job.queued", PING]
        assert kinds("*") == ["webhook.created", "job.queued", "job.queued", PING]
        assert kinds("job.queue", "jo*b.queued", "job", "") == []

    def test_events_of_a_job_come_with_those_of_a_subject(
        self, store: Store, clock: MovableClock
    ) -> None:
        one, other = job(), job()
        made = added(store, clock)
        store.submit([submission(one, other)])
        query = EventQuery(account="alice", job_ids=[one[0].id], subject=made.id)
        assert [event.subject for event in store.events(query).events] == [made.id, one[0].id]
        foreign = EventQuery(account="bob", job_ids=[one[0].id], subject=made.id)
        assert store.events(foreign).events == []

    def test_events_of_a_group_come_with_those_of_a_subject(
        self, store: Store, clock: MovableClock
    ) -> None:
        one, _ = store.create_group(group())
        (inside,) = fill(store, one.id, 1)
        store.submit([submission(job())])
        made = added(store, clock, group_id=one.id)
        self._changed(store, made, WebhookChange.PING)
        store.act_on_group(one.id, GroupAction.RUN, actor="alice")
        kinds = ["job.*", "group.running", PING]
        query = EventQuery(account="alice", group_id=one.id, subject=made.id, kinds=kinds)
        found = store.events(query).events
        assert [event.kind for event in found] == ["job.queued", PING, "group.running"]
        assert [event.job_id for event in found] == [inside.id, None, None]

    def _changed(self, store: Store, made: Webhook, change: WebhookChange) -> Webhook:
        return store.change_webhook(made.id, change, account="alice", actor="alice")
