"""What every catalogue does with resources that register themselves."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from quanopy.codecs.targets import encode_target
from quanopy.domain.errors import Conflict, NotFound, QuotaExceeded
from quanopy.domain.events import Event
from quanopy.domain.ids import new_id
from quanopy.domain.resources import Registration, Resource
from quanopy.domain.sightings import Sighting, Standing
from quanopy.domain.states import ResourceState
from quanopy.ports.claims import Offer
from quanopy.ports.events import EventQuery
from quanopy.ports.store import Store
from quanopy.testing.accepting_contract import offering
from quanopy.testing.calibration_contract import sighting
from quanopy.testing.catalogue import MovableClock, job, submission
from quanopy.testing.store_cases import StoreCases

TTL = 15.0
_TARGET = encode_target(qubits=2, instructions={"rx": {"parameters": 1, "qubits": None}})


def registration(clock: MovableClock, name: str = "vq1", owner: str = "alice") -> Registration:
    """One that an account makes now."""
    return Registration(
        id=new_id("registration"),
        name=name,
        owner=owner,
        url="http://127.0.0.1:4000",
        target=_TARGET,
        lanes=2,
        accounts=(owner,),
        registered_at=clock(),
        seen_at=clock(),
        ttl_s=TTL,
    )


def resource(one: Registration) -> Resource:
    """What is registered."""
    return Resource(name=one.name, provider="vqpu", lanes=8, owner=one.owner, accounts=one.accounts)


def shown(store: Store, name: str = "vq1") -> Resource:
    """A resource as it is listed."""
    found = {one.resource.name: one.resource for one in store.resources()}
    return found[name]


def told(store: Store, name: str = "vq1") -> list[str]:
    """Kinds of events about a resource."""
    events: Sequence[Event] = store.events(EventQuery()).events
    return [event.kind for event in events if event.subject == name]


class RegistrationsContract(StoreCases):
    """The checks of :class:`~quanopy.testing.store_contract.StoreContract` about these; its
    fixtures ``store`` and ``clock`` are used."""

    def enrolled(self, store: Store, one: Registration) -> Registration:
        """Put it there."""
        return store.enrol(one, resource(one))

    def test_a_registered_resource_serves_its_owner_alone(
        self, store: Store, clock: MovableClock
    ) -> None:
        made = self.enrolled(store, registration(clock))
        assert made.accounts == ("alice",)
        assert made.alive
        assert store.registrations() == [made]
        found = shown(store)
        assert (found.owner, found.accounts, found.state) == (
            "alice",
            ("alice",),
            ResourceState.ONLINE,
        )
        assert told(store) == ["resource.registered"]

    def test_work_of_others_is_not_begun_on_it(self, store: Store, clock: MovableClock) -> None:
        self.enrolled(store, registration(clock))
        for account in ("mallory", "alice"):
            store.submit([submission(job(account, resource="vq1"))])
        offer = Offer(resource="vq1", tasks=10, claims=8)
        claims = store.claim("worker_1", [offer], ttl_s=TTL)
        assert {task.account for claim in claims for task in claim.tasks} == {"alice"}

    def test_what_is_submitted_by_others_is_not_begun_at_once_either(
        self, store: Store, clock: MovableClock
    ) -> None:
        self.enrolled(store, registration(clock))
        one = submission(job("mallory", resource="vq1"))
        _, claims = store.accept([one.entry], lambda _: [one], offering("vq1"))
        assert claims == []

    def test_an_operator_opens_it_and_closes_it_again(
        self, store: Store, clock: MovableClock
    ) -> None:
        self.enrolled(store, registration(clock))
        opened = store.open_resource("vq1", ["bob"], actor="op")
        assert opened.accounts == ("alice", "bob")
        assert store.open_resource("vq1", None, actor="op").accounts is None
        assert store.open_resource("vq1", [], actor="op").accounts == ("alice",)
        assert told(store)[1:] == ["resource.opened"] * 3
        with pytest.raises(NotFound):
            store.open_resource("vq2", None, actor="op")

    def test_it_stays_open_when_it_is_registered_anew(
        self, store: Store, clock: MovableClock
    ) -> None:
        self.enrolled(store, registration(clock))
        store.open_resource("vq1", ["bob"], actor="op")
        again = self.enrolled(store, registration(clock))
        assert again.accounts == ("alice", "bob")
        assert shown(store).accounts == ("alice", "bob")

    def test_a_name_is_not_taken_from_its_owner(self, store: Store, clock: MovableClock) -> None:
        first = self.enrolled(store, registration(clock))
        with pytest.raises(Conflict):
            self.enrolled(store, registration(clock, owner="mallory"))
        assert store.registrations() == [first]

    def test_a_name_is_not_taken_from_a_provider(self, store: Store, clock: MovableClock) -> None:
        with pytest.raises(Conflict):
            self.enrolled(store, registration(clock, name="aer"))
        assert shown(store, "aer").owner is None

    def test_a_name_is_not_taken_from_a_machine_that_others_are_parts_of(
        self, store: Store, clock: MovableClock
    ) -> None:
        parts = [
            Resource(name=f"half-{i}", provider="acme", device="fridge", part=(str(i),))
            for i in range(2)
        ]
        store.register("worker_9", parts, ttl_s=TTL)
        with pytest.raises(Conflict):
            self.enrolled(store, registration(clock, name="fridge"))

    def test_a_provider_does_not_take_a_registered_name(
        self, store: Store, clock: MovableClock
    ) -> None:
        self.enrolled(store, registration(clock))
        taken = store.register("worker_9", [Resource(name="vq1", provider="aer")], ttl_s=TTL)
        assert taken == {"vq1"}
        assert (shown(store).provider, shown(store).owner) == ("vqpu", "alice")

    def test_a_worker_does_not_bring_back_what_has_left(
        self, store: Store, clock: MovableClock
    ) -> None:
        made = self.enrolled(store, registration(clock))
        store.withdraw("vq1", made.id, actor="alice")
        assert store.register("worker_9", [resource(made)], ttl_s=TTL) == set()
        assert "vq1" not in {one.resource.name for one in store.resources()}

    def test_a_name_for_which_others_work_waits_is_not_given_away(
        self, store: Store, clock: MovableClock
    ) -> None:
        made = self.enrolled(store, registration(clock))
        store.submit([submission(job("alice", resource="vq1"))])
        store.withdraw("vq1", made.id, actor="alice")
        with pytest.raises(Conflict):
            self.enrolled(store, registration(clock, owner="mallory"))
        assert self.enrolled(store, registration(clock)).owner == "alice"

    def test_registering_again_takes_the_place_of_the_first(
        self, store: Store, clock: MovableClock
    ) -> None:
        first = self.enrolled(store, registration(clock))
        second = self.enrolled(store, registration(clock))
        assert store.registrations() == [second]
        with pytest.raises(NotFound):
            store.beat("vq1", first.id)
        with pytest.raises(NotFound):
            store.withdraw("vq1", first.id, actor="alice")
        store.beat("vq1", second.id)

    def test_without_a_heartbeat_it_goes_offline_and_back_with_one(
        self, store: Store, clock: MovableClock
    ) -> None:
        made = self.enrolled(store, registration(clock))
        clock.move(TTL - 1)
        store.beat("vq1", made.id)
        clock.move(TTL - 1)
        store.sweep()
        assert shown(store).state is ResourceState.ONLINE
        clock.move(2)
        store.sweep()
        assert shown(store).state is ResourceState.OFFLINE
        assert "no heartbeat" in (shown(store).reason or "")
        assert not store.registrations()[0].alive
        store.sweep()
        store.beat("vq1", made.id)
        assert (shown(store).state, shown(store).reason) == (ResourceState.ONLINE, None)
        assert told(store)[1:] == ["resource.offline", "resource.online"]

    def test_a_clock_that_is_put_back_keeps_no_dead_one_alive(
        self, store: Store, clock: MovableClock
    ) -> None:
        made = self.enrolled(store, registration(clock))
        clock.move(-3600)
        assert not store.registrations()[0].alive
        store.sweep()
        assert shown(store).state is ResourceState.OFFLINE
        assert "the clock was put back" in (shown(store).reason or "")
        store.beat("vq1", made.id)
        store.sweep()
        assert (shown(store).state, store.registrations()[0].alive) == (ResourceState.ONLINE, True)

    def test_one_that_is_about_to_end_takes_nothing_more(
        self, store: Store, clock: MovableClock
    ) -> None:
        made = self.enrolled(store, registration(clock))
        store.beat("vq1", made.id, leaving=True)
        assert shown(store).state is ResourceState.MAINTENANCE
        store.withdraw("vq1", made.id, actor="alice")
        assert store.registrations() == []
        assert told(store) == [
            "resource.registered",
            "resource.maintenance",
            "resource.left",
        ]

    def test_what_an_operator_said_outlives_heartbeats_and_registering(
        self, store: Store, clock: MovableClock
    ) -> None:
        made = self.enrolled(store, registration(clock))
        store.set_resource_state("vq1", ResourceState.OFFLINE, "not now", actor="op")
        store.beat("vq1", made.id)
        self.enrolled(store, registration(clock))
        store.register("worker_1", [resource(made)], ttl_s=TTL)
        assert (shown(store).state, shown(store).reason) == (ResourceState.OFFLINE, "not now")

    def test_after_a_day_of_silence_it_has_left(self, store: Store, clock: MovableClock) -> None:
        self.enrolled(store, registration(clock))
        clock.move(timedelta(days=1, minutes=1).total_seconds())
        store.sweep()
        assert store.registrations() == []
        assert told(store)[-1] == "resource.left"

    def test_a_history_is_not_the_next_owners(self, store: Store, clock: MovableClock) -> None:
        made = self.enrolled(store, registration(clock))
        first = self.calibrated(store, clock, "a")
        clock.move(10)
        store.withdraw("vq1", made.id, actor="alice")
        second = self.enrolled(store, registration(clock, owner="mallory"))
        mallorys = Standing(resource="vq1", owner="mallory", registration=second.id)
        assert store.standings(["vq1"]) == [mallorys]
        assert store.sightings("vq1", since=None, until=clock(), limit=10) == []
        # The same again: hers begins with her, though nobody's clock has moved.
        same = self.calibrated(store, clock, "a")
        assert same.seen_from == clock()
        other = self.calibrated(store, clock, "b")
        assert self.history(store, clock) == [other, same]
        events = store.events(EventQuery(account="mallory")).events
        told = [(one.before, one.after) for one in events if one.kind == "resource.calibrated"]
        assert told == [(None, "sha256:a"), ("sha256:a", "sha256:b")]
        # What ran under it finds it by its digest.
        assert store.sighting(first.digest) is not None
        clock.move(10)
        store.withdraw("vq1", second.id, actor="mallory")
        self.enrolled(store, registration(clock))
        assert self.history(store, clock) == [first]
        (standing,) = store.standings(["vq1"])
        assert (standing.asked_at, standing.sighting, standing.owner) == (None, first, "alice")

    def test_a_history_that_was_restored_is_its_owners_alone(
        self, store: Store, clock: MovableClock
    ) -> None:
        kept = replace(sighting(clock), resource="vq1", owner="alice")
        store.restore_sightings([kept])
        made = self.enrolled(store, registration(clock, owner="mallory"))
        assert self.history(store, clock) == []
        store.withdraw("vq1", made.id, actor="mallory")
        self.enrolled(store, registration(clock))
        assert self.history(store, clock) == [kept]

    def test_what_one_was_asked_is_not_the_answer_of_the_next(
        self, store: Store, clock: MovableClock
    ) -> None:
        made = self.enrolled(store, registration(clock))
        (asked,) = store.standings(["vq1"])
        assert asked.registration == made.id
        # Started anew while it was asked, under the same owner; then under another.
        again = self.enrolled(store, registration(clock))
        self.is_not_noted(store, clock, asked)
        store.withdraw("vq1", again.id, actor="alice")
        self.enrolled(store, registration(clock, owner="mallory"))
        self.is_not_noted(store, clock, asked)
        store.withdraw("vq1", store.registrations()[0].id, actor="mallory")
        self.is_not_noted(store, clock, asked)

    def is_not_noted(self, store: Store, clock: MovableClock, asked: Standing) -> None:
        """The answer to a question that was put to another; the one of now is to be asked."""
        store.calibrations_due(["vq1"], hold_s=60.0)
        found = replace(sighting(clock, "old"), resource="vq1")
        standing, released = store.note_calibration(
            "vq1", found, pause_s=300.0, registration=asked.registration
        )
        assert [standing] == store.standings(["vq1"])
        assert (standing.sighting, standing.asked_at, released) == (None, None, 0)
        assert standing.registration != asked.registration
        assert store.calibrations_due(["vq1"], hold_s=60.0) == {"vq1"}

    def calibrated(self, store: Store, clock: MovableClock, name: str) -> Sighting:
        """What is seen of it now."""
        found = replace(sighting(clock, name), resource="vq1")
        (before,) = store.standings(["vq1"])
        standing, _ = store.note_calibration(
            "vq1", found, pause_s=300.0, registration=before.registration, actor="worker_1"
        )
        assert standing.sighting is not None
        return standing.sighting

    def history(self, store: Store, clock: MovableClock) -> Sequence[Sighting]:
        """As its owner is shown it."""
        return store.sightings("vq1", since=None, until=clock() + timedelta(hours=1), limit=10)

    def test_one_account_registers_only_so_many(self, store: Store, clock: MovableClock) -> None:
        for index in range(100):
            self.enrolled(store, registration(clock, f"vq{index}"))
        with pytest.raises(QuotaExceeded):
            self.enrolled(store, registration(clock, "vq100"))
        self.enrolled(store, registration(clock, "vq7"))
        self.enrolled(store, registration(clock, "vq100", owner="bob"))
