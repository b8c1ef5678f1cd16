"""What every catalogue must do with resources that are parts of one device: those that overlap are
never run on at the same time. Part of :class:`~quanopy.testing.store_contract.StoreContract`."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from random import Random

import pytest

from quanopy.domain.resources import Resource, overlapping
from quanopy.domain.states import ResourceState
from quanopy.ports.claims import Claim, Offer
from quanopy.ports.store import Store
from quanopy.testing.accepting_contract import accept, offering
from quanopy.testing.catalogue import MovableClock, ending, execution, job, submission
from quanopy.testing.store_cases import StoreCases

TTL = 30.0


def part(name: str, *units: str, lanes: int | None = 1) -> Resource:
    """A part of one machine; without units, all of it."""
    return Resource(name=name, provider="fake", device="machine", part=units or None, lanes=lanes)


LOW = part("low", "q0", "q1")
HIGH = part("high", "q2", "q3", lanes=2)
MIDDLE = part("middle", "q1", "q2")
TWIN = part("twin", "q3", "q2", lanes=2)
WHOLE = part("whole")
FREE = part("free", "q1", lanes=None)
PARTS: Mapping[str, Resource] = {one.name: one for one in (LOW, HIGH, MIDDLE, TWIN, WHOLE, FREE)}


def claim(store: Store, name: str, *, claims: int = 1, worker: str = "worker_1") -> list[Claim]:
    """What is got of a resource, in claims of one task."""
    return store.claim(worker, [Offer(resource=name, tasks=claims, claims=claims)], ttl_s=TTL)


def end(store: Store, taken: Claim) -> None:
    """Complete what was claimed."""
    store.finish(taken.id, [ending(execution(taken))])


class PartsContract(StoreCases):
    """Cases over the ``store`` of the contract."""

    @pytest.fixture
    def machine(self, store: Store) -> Store:
        """The catalogue with a machine in parts, for each of which ten jobs wait."""
        store.register("worker_1", list(PARTS.values()), ttl_s=TTL)
        store.submit([submission(*[job(resource=name) for name in PARTS for _ in range(10)])])
        return store

    def test_parts_and_devices_read_back_as_they_were(self, machine: Store) -> None:
        found = {s.resource.name: s.resource for s in machine.resources()}
        assert {n: found[n].device for n in PARTS} == dict.fromkeys(PARTS, "machine")
        kept = {n: set(found[n].part or ()) for n in PARTS}
        assert kept == {n: set(PARTS[n].part or ()) for n in PARTS}
        assert found["whole"].part is None

    @pytest.mark.parametrize(("first", "second"), list(combinations(PARTS, 2)))
    def test_two_parts_run_together_unless_they_overlap(
        self, machine: Store, first: str, second: str
    ) -> None:
        one, other = PARTS[first], PARTS[second]
        apart = not overlapping(one.part, other.part)
        same = set(one.part or ()) == set(other.part or ())
        (held,) = claim(machine, first)
        assert len(claim(machine, second)) == (1 if apart or same else 0)
        end(machine, held)

    def test_what_overlaps_runs_once_the_other_has_ended(self, machine: Store) -> None:
        (held,) = claim(machine, "low")
        assert claim(machine, "middle") == []
        end(machine, held)
        assert len(claim(machine, "middle")) == 1

    def test_lanes_of_a_part_are_its_own_and_those_of_the_same_part_are_shared(
        self, machine: Store
    ) -> None:
        assert len(claim(machine, "low", claims=5)) == 1
        assert len(claim(machine, "high", claims=5)) == 2
        assert claim(machine, "twin") == []

    def test_a_part_without_lanes_of_its_own_still_waits_for_what_overlaps(
        self, machine: Store
    ) -> None:
        (held,) = claim(machine, "low")
        assert claim(machine, "free") == []
        end(machine, held)
        assert len(claim(machine, "free", claims=3)) == 3
        assert len(claim(machine, "free", claims=3)) == 3
        assert claim(machine, "low") == []

    def test_an_open_execution_holds_its_part_too(self, machine: Store) -> None:
        (held,) = claim(machine, "middle")
        sent = execution(held, provider="fake")
        machine.begin(held.id, [sent], ttl_s=TTL)
        assert [claim(machine, name) for name in ("low", "high", "whole")] == [[], [], []]
        machine.finish(held.id, [ending(sent)])
        assert len(claim(machine, "low")) == 1

    def test_the_part_of_a_dead_worker_is_free_when_its_claim_has_expired(
        self, machine: Store, clock: MovableClock
    ) -> None:
        claim(machine, "low")
        clock.move(TTL + 1)
        assert len(claim(machine, "middle", worker="worker_2")) == 1

    def try_for_long(self, machine: Store, clock: MovableClock, name: str) -> None:
        """Try to run on a resource for over half a minute, while what runs goes on."""
        for _ in range(4):
            assert claim(machine, name) == []
            clock.move(10)
            machine.renew("worker_1", ttl_s=TTL)

    def test_what_needs_much_of_a_device_gets_its_turn_in_the_end(
        self, machine: Store, clock: MovableClock
    ) -> None:
        (held,) = claim(machine, "low")
        end(machine, *claim(machine, "high"))
        self.try_for_long(machine, clock, "whole")
        assert [claim(machine, name) for name in ("high", "low", "twin")] == [[], [], []]
        end(machine, held)
        assert [claim(machine, name) for name in ("high", "low", "twin")] == [[], [], []]
        (whole,) = claim(machine, "whole")
        end(machine, whole)
        assert [len(claim(machine, name)) for name in ("high", "low")] == [1, 1]

    def test_what_waits_holds_up_only_what_overlaps_it(
        self, machine: Store, clock: MovableClock
    ) -> None:
        claim(machine, "low")
        self.try_for_long(machine, clock, "free")
        assert claim(machine, "middle") == []
        assert len(claim(machine, "high")) == 1

    def test_who_does_not_try_any_more_holds_nobody_up(
        self, machine: Store, clock: MovableClock
    ) -> None:
        claim(machine, "low")
        self.try_for_long(machine, clock, "whole")
        clock.move(25)
        assert len(claim(machine, "high")) == 1

    def test_nobody_is_held_up_for_what_has_no_task(
        self, store: Store, clock: MovableClock
    ) -> None:
        store.register("worker_1", list(PARTS.values()), ttl_s=TTL)
        store.submit([submission(*[job(resource=name) for name in ("low", "high")])])
        claim(store, "low")
        self.try_for_long(store, clock, "whole")
        assert len(claim(store, "high")) == 1

    def test_what_is_in_maintenance_keeps_nobody_out(self, machine: Store) -> None:
        machine.set_resource_state("whole", ResourceState.MAINTENANCE, "helium", actor="op")
        assert claim(machine, "whole") == []
        assert len(claim(machine, "low")) == 1

    def test_a_device_can_be_divided_while_all_of_it_runs(self, store: Store) -> None:
        store.register("worker_1", [WHOLE], ttl_s=TTL)
        store.submit([submission(job(resource="whole"))])
        (held,) = claim(store, "whole")
        store.register("worker_2", [LOW], ttl_s=TTL)
        store.submit([submission(job(resource="low"))])
        assert claim(store, "low", worker="worker_2") == []
        end(store, held)
        assert len(claim(store, "low", worker="worker_2")) == 1

    def test_nothing_is_taken_as_it_is_submitted_where_a_part_may_be_in_use(
        self, machine: Store
    ) -> None:
        claim(machine, "low")
        _, claims = accept(machine, job(resource="middle"), to=offering("middle"))
        assert claims == []

    def test_threads_never_run_overlapping_parts_together(self, machine: Store) -> None:
        running: dict[str, str] = {}
        clashes: list[tuple[str, str]] = []

        def work(number: int) -> int:
            dice, done = Random(number), 0
            for _ in range(40):
                name = dice.choice(sorted(PARTS))
                for taken in claim(machine, name, worker=f"worker_{number}"):
                    running[taken.id] = name
                    machine.resources()  # something that takes a while
                    clashes.extend(_clashing(name, list(running.values())))
                    del running[taken.id]
                    end(machine, taken)
                    done += 1
            return done

        with ThreadPoolExecutor(4) as pool:
            done = list(pool.map(work, range(4)))
        assert clashes == []
        assert sum(done) > 10


def _clashing(name: str, others: Sequence[str]) -> list[tuple[str, str]]:
    own = PARTS[name].part
    return [
        (name, other)
        for other in others
        if set(PARTS[other].part or ()) != set(own or ()) and overlapping(PARTS[other].part, own)
    ]
