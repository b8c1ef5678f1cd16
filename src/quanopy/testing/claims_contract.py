"""What every catalogue must do with claims, and with the fences that they are. Part of
:class:`~quanopy.testing.store_contract.StoreContract`."""

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Event as Signal

import pytest

from quanopy.domain.states import JobState, ResourceState, TaskState
from quanopy.ports.claims import Claim, Offer
from quanopy.ports.events import EventQuery
from quanopy.ports.store import Store
from quanopy.testing.accepting_contract import offering
from quanopy.testing.catalogue import MovableClock, ending, execution, job, submission
from quanopy.testing.store_cases import AER, TTL, MakeStore, StoreCases, kinds, take


class ClaimsContract(StoreCases):
    """Cases over the ``store`` of the contract."""

    # -- claims -------------------------------------------------------------------------------
    def test_a_task_goes_from_queued_to_completed_and_takes_its_job_along(
        self, store: Store
    ) -> None:
        (one,) = self.submit(store, job())
        claim = take(store)
        assert store.jobs([one.id])[0].state is JobState.RUNNING
        run = execution(claim)
        assert store.finish(claim.id, [ending(run)]).taken == {claim.tasks[0].id}
        (after,) = store.jobs([one.id])
        (task,) = store.tasks([one.id])
        assert (after.state, task.state) == (JobState.COMPLETED, TaskState.COMPLETED)
        assert after.started_at is not None
        assert after.ended_at is not None
        assert (task.attempt, task.execution_id, task.claim_id) == (1, run.id, None)
        assert task.result is not None
        assert [e.id for e in store.executions(one.id)] == [run.id]
        events = store.events(EventQuery(account="alice")).events
        assert kinds(events, one.id) == ["job.queued", "job.running", "job.completed"]
        assert kinds(events, task.id) == ["task.claimed", "task.completed"]
        assert store.renew("worker_1", ttl_s=TTL) == set()

    def test_an_end_shows_jobs_as_they_are_then(self, store: Store) -> None:
        one, other = self.submit(store, job(), job(account="bob"))
        claim = take(store)
        done = store.finish(claim.id, [ending(execution(claim))], show=[one.id])
        assert (done.jobs, done.tasks) == store.jobs_with_tasks([one.id], [one.id])
        assert done.jobs[0].state is JobState.COMPLETED
        assert other.id not in {shown.id for shown in done.jobs}

    def test_threads_never_claim_a_task_twice(self, store: Store) -> None:
        self.submit(store, *[job() for _ in range(200)])

        def drain(worker: int) -> list[str]:
            mine: list[str] = []
            offer = Offer(resource="aer", tasks=7, seconds=1e9)
            while claims := store.claim(f"worker_{worker}", [offer], ttl_s=TTL):
                mine += [task.id for claim in claims for task in claim.tasks]
            return mine

        with ThreadPoolExecutor(4) as pool:
            taken = [id_ for ids in pool.map(drain, range(4)) for id_ in ids]
        assert len(taken) == len(set(taken)) == 200

    def test_lanes_hold_over_several_workers(self, store: Store) -> None:
        self.submit(store, *[job(resource="qpu") for _ in range(40)])

        def grab(worker: int) -> list[Claim]:
            offer = Offer(resource="qpu", tasks=1, claims=3)
            return store.claim(f"worker_{worker}", [offer], ttl_s=TTL)

        with ThreadPoolExecutor(6) as pool:
            claims = [claim for claims in pool.map(grab, range(6)) for claim in claims]
        assert len(claims) == 2

    def test_an_execution_keeps_the_lane_of_the_claim_that_began_it(self, store: Store) -> None:
        self.submit(store, *[job(resource="qpu") for _ in range(4)])
        offer = Offer(resource="qpu", tasks=1, claims=1, single=True)
        (claim,) = store.claim("worker_1", [offer], ttl_s=TTL)
        run = execution(claim, provider="fake")
        store.begin(claim.id, [run], ttl_s=TTL)
        assert len(store.claim("worker_1", [replace(offer, claims=5)], ttl_s=TTL)) == 1
        assert store.claim("worker_1", [offer], ttl_s=TTL) == []
        store.finish(claim.id, [ending(run)])
        assert len(store.claim("worker_1", [offer], ttl_s=TTL)) == 1

    def test_nothing_starts_on_a_resource_in_maintenance(self, store: Store) -> None:
        self.submit(store, job())
        store.set_resource_state("aer", ResourceState.MAINTENANCE, "helium", actor="op")
        assert store.claim("worker_1", [Offer(resource="aer")], ttl_s=TTL) == []
        store.register("worker_1", [AER], ttl_s=TTL)
        assert store.claim("worker_1", [Offer(resource="aer")], ttl_s=TTL) == []
        store.set_resource_state("aer", ResourceState.ONLINE, None, actor="op")
        assert len(store.claim("worker_1", [Offer(resource="aer")], ttl_s=TTL)) == 1

    def test_the_account_that_used_less_goes_first(self, store: Store) -> None:
        self.submit(store, *[job("alice", estimate_s=1.0) for _ in range(5)])
        claim = take(store)
        store.finish(claim.id, [ending(execution(claim), seconds=50.0)])
        self.submit(store, *[job("alice", estimate_s=1.0) for _ in range(5)])
        self.submit(store, *[job("bob", estimate_s=1.0) for _ in range(5)])
        (claim,) = store.claim("worker_1", [Offer(resource="aer", tasks=5, seconds=99)], ttl_s=TTL)
        assert [task.account for task in claim.tasks] == ["bob"] * 5

    def test_accounts_that_used_alike_share_alike(self, store: Store) -> None:
        self.submit(store, *[job("alice", estimate_s=1.0) for _ in range(20)])
        self.submit(store, *[job("bob", estimate_s=1.0) for _ in range(20)])
        (claim,) = store.claim("worker_1", [Offer(resource="aer", tasks=10, seconds=99)], ttl_s=TTL)
        assert sorted(t.account for t in claim.tasks) == ["alice"] * 5 + ["bob"] * 5

    def test_a_higher_priority_goes_first(self, store: Store) -> None:
        low, high = job(priority=-1), job(priority=5)
        self.submit(store, low, job(), high)
        (claim,) = store.claim("worker_1", [Offer(resource="aer", tasks=1)], ttl_s=TTL)
        assert [task.job_id for task in claim.tasks] == [high[0].id]

    def test_an_offer_bounds_seconds_but_takes_one_longer_task(self, store: Store) -> None:
        self.submit(store, *[job(estimate_s=2.0) for _ in range(5)])
        (claim,) = store.claim("worker_1", [Offer(resource="aer", seconds=0.5)], ttl_s=TTL)
        assert len(claim.tasks) == 1
        (claim,) = store.claim("worker_1", [Offer(resource="aer", seconds=4.0)], ttl_s=TTL)
        assert len(claim.tasks) == 2

    def test_an_offer_is_spread_over_its_claims(self, store: Store) -> None:
        self.submit(store, *[job() for _ in range(10)])
        claims = store.claim("worker_1", [Offer(resource="aer", claims=2, seconds=9)], ttl_s=TTL)
        assert [len(claim.tasks) for claim in claims] == [5, 5]

    def test_long_tasks_are_taken_by_themselves_and_no_more_than_offered(
        self, store: Store
    ) -> None:
        self.submit(store, *[job("alice", estimate_s=90.0) for _ in range(3)])
        self.submit(store, *[job("bob", estimate_s=0.01) for _ in range(3)])
        offer = Offer(resource="aer", seconds=0.5, claims=3, long_s=30.0, longs=1)
        claims = store.claim("worker_1", [offer, offer], ttl_s=TTL, most=3)
        taken = sorted(tuple(task.account for task in claim.tasks) for claim in claims)
        assert taken == [("alice",), ("bob",), ("bob",)]
        (claim,) = store.claim("worker_1", [replace(offer, longs=0)], ttl_s=TTL)
        assert [task.account for task in claim.tasks] == ["bob"]
        assert len(store.claim("worker_1", [replace(offer, longs=2)], ttl_s=TTL)) == 2

    def test_most_bounds_the_claims_of_all_offers(self, store: Store) -> None:
        self.submit(store, *[job() for _ in range(9)])
        self.submit(store, *[job(resource="qpu") for _ in range(9)])
        offers = [Offer(resource=name, claims=2, tasks=2) for name in ("aer", "qpu")]
        assert len(store.claim("worker_1", offers, ttl_s=TTL, most=3)) == 3

    def test_what_is_worth_a_claim_does_not_join_what_is_short(self, store: Store) -> None:
        estimates = {"alice": 0.001, "bob": 10.0, "carol": 60.0, "dora": 0.001}
        for account, seconds in estimates.items():
            self.submit(store, job(account, estimate_s=seconds))
        offer = Offer(resource="aer", claims=4, seconds=100.0, worth_s=0.02, long_s=30.0, longs=2)
        claims = store.claim("worker_1", [offer], ttl_s=TTL, most=4)
        together = [{task.account for task in claim.tasks} for claim in claims]
        assert together == [{"alice", "dora"}, {"bob"}, {"carol"}]

    def test_a_claim_is_filled_with_what_is_worth_it_before_another_begins(
        self, store: Store
    ) -> None:
        self.submit(store, *[job() for _ in range(9)])
        offer = Offer(resource="aer", claims=3, tasks=8, worth_s=0.035)
        claims = store.claim("worker_1", [offer], ttl_s=TTL)
        assert sorted(len(claim.tasks) for claim in claims) == [4, 4]

    def test_a_single_claim_mixes_no_accounts_and_keeps_solo_tasks_alone(
        self, store: Store
    ) -> None:
        self.submit(store, job("alice"), job("alice", solo=True), job("alice"))
        self.submit(store, job("bob"))
        offer = Offer(resource="aer", claims=1, single=True, seconds=9)
        claims: list[Claim] = []
        while more := store.claim("worker_1", [offer], ttl_s=TTL):
            claims += more
        assert sum(len(claim.tasks) for claim in claims) == 4
        for claim in claims:
            assert len({task.account for task in claim.tasks}) == 1
            assert len(claim.tasks) == 1 or not any(task.solo for task in claim.tasks)

    def test_a_task_waits_until_it_is_ready(self, store: Store, clock: MovableClock) -> None:
        at = clock() + timedelta(seconds=60)
        self.submit(store, job(ready_at=at))
        assert store.claim("worker_1", [Offer(resource="aer")], ttl_s=TTL) == []
        assert store.sweep().next_ready_at == at
        clock.move(61)
        assert len(store.claim("worker_1", [Offer(resource="aer")], ttl_s=TTL)) == 1

    # -- fences -------------------------------------------------------------------------------
    def test_an_expired_claim_is_queued_again_and_its_late_finish_is_not_taken(
        self, store: Store, clock: MovableClock
    ) -> None:
        (one,) = self.submit(store, job())
        late = take(store)
        clock.move(TTL + 1)
        assert store.renew("worker_1", ttl_s=TTL) == set()
        swept = store.sweep()
        assert (swept.tasks_requeued, swept.claims_expired) == (1, 1)
        assert store.jobs([one.id])[0].state is JobState.QUEUED
        again = take(store, worker="worker_2")
        assert store.finish(late.id, [ending(execution(late), TaskState.FAILED)]).taken == set()
        assert store.finish(again.id, [ending(execution(again))]).taken == {again.tasks[0].id}
        assert store.jobs([one.id])[0].state is JobState.COMPLETED
        assert len(store.executions(one.id)) == 1

    def test_a_renewed_claim_stays(self, store: Store, clock: MovableClock) -> None:
        self.submit(store, job())
        claim = take(store)
        clock.move(TTL - 1)
        assert store.renew("worker_1", ttl_s=TTL) == {claim.id}
        clock.move(TTL - 1)
        assert store.sweep().claims_expired == 0

    def test_a_claim_lives_from_when_it_is_made_however_long_it_had_to_wait(
        self, store: Store, make_store: MakeStore, clock: MovableClock
    ) -> None:
        self.submit(store, job())
        one, too_early = submission(job()), Signal()

        def noticed() -> datetime:
            too_early.set()
            return clock()

        def linger() -> None:
            waiting.append(pool.submit(take, other, worker="worker_2"))
            # Who looks at the clock before it may go on does so by now.
            too_early.wait(0.2)
            clock.move(TTL + 1)
            raise OSError("no room")

        waiting: list[Future[Claim]] = []
        with closing(make_store(noticed)) as other, ThreadPoolExecutor(1) as pool:
            too_early.clear()
            with pytest.raises(OSError, match="no room"):
                store.accept([one.entry], lambda _: [one], offering(), keep=linger)
            claim = waiting[0].result()
        assert store.renew("worker_2", ttl_s=TTL) == {claim.id}

    def test_a_claim_of_new_jobs_lives_from_when_they_are_kept(
        self, store: Store, clock: MovableClock
    ) -> None:
        one = submission(job())
        _, (claim,) = store.accept(
            [one.entry], lambda _: [one], offering(), keep=lambda: clock.move(TTL + 1)
        )
        assert store.renew("worker_1", ttl_s=TTL) == {claim.id}

    def test_a_retired_workers_tasks_are_free_at_once(self, store: Store) -> None:
        self.submit(store, job())
        take(store)
        store.retire("worker_1")
        assert store.sweep().tasks_requeued == 1
        assert len(take(store, worker="worker_2").tasks) == 1

    def test_a_released_claims_tasks_are_queued_by_the_next_sweep_and_no_others(
        self, store: Store
    ) -> None:
        self.submit(store, *[job() for _ in range(2)])
        offer = Offer(resource="aer", tasks=1)
        broken, good = (store.claim("worker_1", [offer], ttl_s=TTL)[0] for _ in range(2))
        store.release([broken.id, "claim_gone"])
        assert store.renew("worker_1", ttl_s=TTL) == {good.id}
        assert store.sweep().tasks_requeued == 1
        again = take(store)
        assert [task.id for task in again.tasks] == [task.id for task in broken.tasks]
        assert store.finish(broken.id, [ending(execution(broken))]).taken == set()

    def test_a_task_that_is_released_again_and_again_fails(self, store: Store) -> None:
        (one,) = self.submit(store, job())
        for _ in range(100):
            if store.jobs([one.id])[0].state is not JobState.QUEUED:
                break
            store.release([take(store).id])
            store.sweep()
        assert store.jobs([one.id])[0].state is JobState.FAILED

    def test_a_claim_under_a_clock_that_went_back_still_ends(
        self, store: Store, clock: MovableClock
    ) -> None:
        self.submit(store, job())
        take(store)
        clock.move(-86_400)
        assert store.sweep().tasks_requeued == 1

    def test_a_clock_that_goes_back_does_not_hold_up_new_work(
        self, store: Store, clock: MovableClock
    ) -> None:
        clock.move(-86_400)
        self.submit(store, job())
        assert len(take(store).tasks) == 1

    def test_a_task_that_outlives_worker_after_worker_fails(
        self, store: Store, clock: MovableClock
    ) -> None:
        (one,) = self.submit(store, job())
        for _ in range(100):
            if store.jobs([one.id])[0].state is not JobState.QUEUED:
                break
            take(store)
            clock.move(TTL + 1)
            store.sweep()
        (after,) = store.jobs([one.id])
        assert after.state is JobState.FAILED
        assert after.problem is not None
