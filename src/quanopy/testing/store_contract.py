"""What every catalogue must do: subclass, override ``make_store``, and run."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Event as Signal
from typing import Any

import pytest

from quanopy.domain.accounts import Scope, Token
from quanopy.domain.adoptions import Adoption
from quanopy.domain.errors import Conflict, InvalidTransition, NotFound
from quanopy.domain.events import Event
from quanopy.domain.ids import new_id
from quanopy.domain.jobs import Execution, Extent, Job, JobKind, Problem, Task
from quanopy.domain.resources import Resource
from quanopy.domain.states import ExecutionState, JobState, ResourceState, TaskState
from quanopy.ports.claims import Claim, Offer
from quanopy.ports.events import EventQuery
from quanopy.ports.executions import ExecutionChange
from quanopy.ports.jobs import JobQuery
from quanopy.ports.store import Store
from quanopy.ports.submissions import Repeat, Submission
from quanopy.testing.accepting_contract import AcceptingContract, offering
from quanopy.testing.calibration_contract import CalibrationContract
from quanopy.testing.catalogue import MovableClock, ending, execution, job, submission
from quanopy.testing.groups_contract import GroupsContract
from quanopy.testing.parts_contract import PartsContract
from quanopy.testing.registrations_contract import RegistrationsContract
from quanopy.testing.told_contract import ToldContract
from quanopy.testing.webhooks_contract import WebhooksContract

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


def repeat(account: str, key: str, digest: str) -> Repeat:
    """A request that may have been made before."""
    return Repeat(account=account, idempotency_key=key, request_digest=digest)


def replayed(store: Store, account: str, key: str, digest: str) -> object:
    """What a repeated request is answered."""
    (found,) = store.replay([repeat(account, key, digest)])
    return found


def kinds(events: Sequence[Event], subject: str) -> list[str]:
    """What happened to a subject, in order."""
    return [event.kind for event in events if event.subject == subject]


class StoreContract(
    AcceptingContract,
    PartsContract,
    RegistrationsContract,
    CalibrationContract,
    GroupsContract,
    WebhooksContract,
    ToldContract,
):
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

    # -- submitting ---------------------------------------------------------------------------
    def test_a_submitted_job_reads_back_as_it_was(self, store: Store) -> None:
        one, tasks = job(name="bell", tags=("x", "y"), priority=3, parts=2)
        self.submit(store, (one, tasks))
        assert store.jobs([one.id]) == [one]
        assert store.tasks([one.id]) == tasks

    def test_an_account_does_not_see_anothers_job(self, store: Store) -> None:
        (one,) = self.submit(store, job("alice"))
        assert store.jobs([one.id], account="bob") == []
        assert store.jobs([one.id], account="alice") == [one]

    def test_a_repeated_key_gives_the_first_jobs(self, store: Store) -> None:
        first, again = job(), job()
        answers = store.submit([submission(first, key="k", digest="d")])
        answers += store.submit([submission(again, key="k", digest="d")])
        assert [accepted(a)[0].id for a in answers] == [first[0].id, first[0].id]
        assert store.jobs([again[0].id]) == []
        assert replayed(store, "alice", "k", "d") == [first[0]]

    def test_a_key_repeated_within_one_batch_counts_once(self, store: Store) -> None:
        made = [submission(job(), key="k", digest="d") for _ in range(3)]
        ids = [[one.id for one in accepted(answer)] for answer in store.submit(made)]
        assert ids[0] == ids[1] == ids[2]
        assert len(store.list_jobs(JobQuery())) == 1

    def test_a_key_with_another_body_is_a_conflict(self, store: Store) -> None:
        store.submit([submission(job(), key="k", digest="one")])
        (answer,) = store.submit([submission(job(), key="k", digest="two")])
        assert isinstance(answer, Conflict)
        assert isinstance(replayed(store, "alice", "k", "two"), Conflict)

    def test_a_key_tells_what_it_stands_for(self, store: Store) -> None:
        made = submission(job(), job(), key="k", digest="one")
        store.submit([made])
        assert [one.id for one in store.requested("alice", "k")] == [one.id for one in made.jobs]
        assert store.requested("alice", "other") == store.requested("bob", "k") == []

    def test_a_key_is_its_accounts_own(self, store: Store) -> None:
        store.submit([submission(job("alice"), key="k", digest="one")])
        (answer,) = store.submit([submission(job("bob"), key="k", digest="two")])
        assert len(accepted(answer)) == 1
        assert replayed(store, "carol", "k", "one") is None

    def test_many_keys_are_asked_for_together(self, store: Store) -> None:
        one, two = job(), job("bob")
        store.submit([submission(one, key="k", digest="d"), submission(two, key="k", digest="e")])
        asked = [("bob", "k", "e"), ("alice", "new", "d"), ("alice", "k", "e"), ("alice", "k", "d")]
        found = store.replay([repeat(*of) for of in asked])
        assert (found[0], found[1], found[3]) == ([two[0]], None, [one[0]])
        assert isinstance(found[2], Conflict)

    def test_a_submission_is_kept_whole_or_not_at_all(self, store: Store) -> None:
        twin, other = job(), job()
        (answer,) = store.submit([submission(other, twin, twin, key="k")])
        assert isinstance(answer, Conflict)
        assert store.list_jobs(JobQuery()) == []
        assert store.events(EventQuery()).events == []
        assert replayed(store, "alice", "k", "") is None

    def test_a_bad_submission_does_not_touch_its_neighbours(self, store: Store) -> None:
        twin = job()
        good, bad, also = submission(job()), submission(twin, twin), submission(job())
        answers = store.submit([good, bad, also])
        assert isinstance(answers[1], Conflict)
        assert store.jobs([good.jobs[0].id, also.jobs[0].id]) == [good.jobs[0], also.jobs[0]]

    def test_the_same_key_from_many_threads_makes_one_job(self, store: Store) -> None:
        def send(_: int) -> str:
            (answer,) = store.submit([submission(job(), key="k", digest="d")])
            return accepted(answer)[0].id

        with ThreadPoolExecutor(8) as pool:
            ids = set(pool.map(send, range(16)))
        assert len(ids) == 1

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
            too_early.wait(0.5)
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

    # -- ends ---------------------------------------------------------------------------------
    def test_a_job_rolls_up_its_parts(self, store: Store) -> None:
        (one,) = self.submit(store, job(parts=3))
        offer = Offer(resource="aer", tasks=1)
        seen = []
        for state in (TaskState.COMPLETED, TaskState.FAILED, TaskState.COMPLETED):
            (claim,) = store.claim("worker_1", [offer], ttl_s=TTL)
            problem = Problem(type="TaskFailed", message="no") if state == "failed" else None
            store.finish(claim.id, [ending(execution(claim), state, problem=problem)])
            seen.append(store.jobs([one.id])[0].state)
        assert seen == [JobState.RUNNING, JobState.RUNNING, JobState.FAILED]
        assert store.jobs([one.id])[0].problem == Problem(type="TaskFailed", message="no")

    def test_a_task_that_is_to_be_tried_again_waits_until_then(
        self, store: Store, clock: MovableClock
    ) -> None:
        (one,) = self.submit(store, job())
        claim = take(store)
        end = ending(execution(claim), TaskState.QUEUED, ready_at=clock() + timedelta(seconds=10))
        store.finish(claim.id, [end])
        assert store.jobs([one.id])[0].state is JobState.QUEUED
        assert store.claim("worker_1", [Offer(resource="aer")], ttl_s=TTL) == []
        clock.move(11)
        assert take(store).tasks[0].attempt == 1

    def test_finishing_twice_takes_nothing_the_second_time(self, store: Store) -> None:
        self.submit(store, job())
        claim = take(store)
        end = ending(execution(claim))
        assert len(store.finish(claim.id, [end]).taken) == 1
        assert store.finish(claim.id, [end]).taken == set()

    # -- users' requests ----------------------------------------------------------------------
    def test_what_is_queued_is_cancelled_at_once(self, store: Store) -> None:
        (one,) = self.submit(store, job())
        (after,) = store.cancel([one.id], actor="alice")
        assert after.state is JobState.CANCELLED
        assert store.claim("worker_1", [Offer(resource="aer")], ttl_s=TTL) == []

    def test_what_is_claimed_is_asked_to_end_and_ends_cancelled(self, store: Store) -> None:
        (one,) = self.submit(store, job())
        claim = take(store)
        (after,) = store.cancel([one.id], actor="alice")
        assert (after.state, after.cancel_requested) == (JobState.RUNNING, True)
        assert store.cancel_requests("worker_1") == {claim.tasks[0].id}
        store.finish(claim.id, [ending(execution(claim))])
        assert store.jobs([one.id])[0].state is JobState.CANCELLED
        assert store.tasks([one.id])[0].result is None

    def test_a_completed_job_stays_completed_when_cancelled(self, store: Store) -> None:
        (one,) = self.submit(store, job())
        claim = take(store)
        store.finish(claim.id, [ending(execution(claim))])
        (after,) = store.cancel([one.id], actor="alice")
        assert (after.state, after.cancel_requested) == (JobState.COMPLETED, False)

    def test_cancelling_one_of_two_neighbours_stops_neither_execution_nor_neighbour(
        self, store: Store
    ) -> None:
        one, two = self.submit(store, job(resource="qpu"), job(resource="qpu"))
        claim = take(store, "qpu")
        run = execution(claim, provider="fake")
        store.begin(claim.id, [run], ttl_s=TTL)
        store.cancel([one.id], actor="alice")
        assert not store.executions(two.id)[0].stop_requested
        store.cancel([two.id], actor="alice")
        assert store.executions(two.id)[0].stop_requested

    def test_a_retry_runs_only_what_is_missing(self, store: Store) -> None:
        (one,) = self.submit(store, job(parts=2))
        offer = Offer(resource="aer", tasks=1)
        for state in (TaskState.COMPLETED, TaskState.FAILED):
            (claim,) = store.claim("worker_1", [offer], ttl_s=TTL)
            store.finish(claim.id, [ending(execution(claim), state)])
        done, failed = store.tasks([one.id])
        (after,) = store.retry([one.id], actor="alice")
        assert after.state is JobState.RUNNING
        kept, new = store.tasks([one.id])
        assert kept == done
        assert (new.slice, new.state) == (failed.slice, TaskState.QUEUED)
        assert new.id != failed.id
        claim = take(store)
        store.finish(claim.id, [ending(execution(claim))])
        assert store.jobs([one.id])[0].state is JobState.COMPLETED

    def test_a_retry_leaves_unfinished_jobs_alone(self, store: Store) -> None:
        (one,) = self.submit(store, job())
        assert store.retry([one.id], actor="alice") == [one]
        assert len(store.tasks([one.id])) == 1

    # -- remote executions --------------------------------------------------------------------
    def begun(self, store: Store, *made: tuple[Job, list[Task]]) -> Claim:
        """A claim of the ``qpu`` with one execution that was begun under it."""
        self.submit(store, *(made or (job(resource="qpu"),)))
        claim = take(store, "qpu")
        store.begin(claim.id, [execution(claim, provider="fake")], ttl_s=TTL)
        return claim

    def test_begin_is_refused_once_the_claim_is_lost(
        self, store: Store, clock: MovableClock
    ) -> None:
        self.submit(store, job(resource="qpu"))
        claim = take(store, "qpu")
        clock.move(TTL + 1)
        store.sweep()
        with pytest.raises(Conflict):
            store.begin(claim.id, [execution(claim, provider="fake")], ttl_s=TTL)

    def test_begin_again_after_a_lost_reply_changes_nothing(self, store: Store) -> None:
        (one,) = self.submit(store, job(resource="qpu"))
        claim = take(store, "qpu")
        run = execution(claim, provider="fake")
        store.begin(claim.id, [run], ttl_s=TTL)
        store.begin(claim.id, [run], ttl_s=TTL)
        assert store.tasks([one.id])[0].attempt == 1

    def test_an_execution_is_begun_when_the_store_last_said_so(
        self, store: Store, clock: MovableClock
    ) -> None:
        """It is sent after that, and no earlier: so old it is, and not as old as it says."""
        (one,) = self.submit(store, job(resource="qpu"))
        claim = take(store, "qpu")
        run = replace(
            execution(claim, provider="fake"), created_at=datetime(2001, 1, 1, tzinfo=UTC)
        )
        store.begin(claim.id, [run], ttl_s=TTL)
        (first,) = store.executions(one.id)
        clock.move(1)
        store.begin(claim.id, [run], ttl_s=TTL)
        (again,) = store.executions(one.id)
        assert run.created_at < first.created_at < again.created_at
        store.retire("worker_1")
        (due,) = store.due("worker_2", ["fake"], limit=9, ttl_s=TTL)
        assert due.ages_s.keys() == {run.id}
        assert 0 <= due.ages_s[run.id] < 60

    def test_an_execution_put_down_is_found_due_by_any_worker(
        self, store: Store, clock: MovableClock
    ) -> None:
        claim = self.begun(store)
        (run,) = store.executions(claim.tasks[0].job_id)
        change = ExecutionChange(
            execution_id=run.id,
            state=ExecutionState.SUBMITTED,
            provider_job_id="v1",
            due_in_s=5.0,
        )
        store.advance(claim.id, [change])
        assert store.due("worker_2", ["fake"], limit=9, ttl_s=TTL) == []
        clock.move(6)
        assert store.due("worker_2", ["other"], limit=9, ttl_s=TTL) == []
        (due,) = store.due("worker_2", ["fake"], limit=9, ttl_s=TTL)
        (found,) = due.executions
        assert (found.id, found.provider_job_id, found.claim_id) == (run.id, "v1", due.claim_id)
        assert [task.id for task in due.tasks[run.id]] == list(run.tasks)
        assert store.due("worker_3", ["fake"], limit=9, ttl_s=TTL) == []
        assert store.finish(claim.id, [ending(found)]).taken == set()
        assert len(store.finish(due.claim_id, [ending(found)]).taken) == 1
        assert store.jobs([claim.tasks[0].job_id])[0].state is JobState.COMPLETED

    def test_a_dead_workers_execution_is_taken_over_and_its_task_not_queued(
        self, store: Store, clock: MovableClock
    ) -> None:
        claim = self.begun(store)
        clock.move(TTL + 1)
        assert store.sweep().tasks_requeued == 0
        (due,) = store.due("worker_2", ["fake"], limit=9, ttl_s=TTL)
        assert due.executions[0].state is ExecutionState.SUBMITTING
        store.advance(
            claim.id,
            [ExecutionChange(execution_id=due.executions[0].id, state=ExecutionState.RUNNING)],
        )
        (after,) = store.executions(claim.tasks[0].job_id)
        assert after.state is ExecutionState.SUBMITTING

    def test_a_stop_request_makes_an_execution_due_once(self, store: Store) -> None:
        claim = self.begun(store)
        (run,) = store.executions(claim.tasks[0].job_id)
        wait = ExecutionChange(execution_id=run.id, state=ExecutionState.SUBMITTED, due_in_s=600.0)
        store.advance(claim.id, [wait])
        store.cancel([claim.tasks[0].job_id], actor="alice")
        (due,) = store.due("worker_1", ["fake"], limit=9, ttl_s=TTL)
        assert due.executions[0].stop_requested
        store.advance(due.claim_id, [replace(wait, state=None)])
        assert store.due("worker_1", ["fake"], limit=9, ttl_s=TTL) == []

    def test_a_stranded_execution_is_not_due_unless_it_is_to_be_searched(
        self, store: Store, clock: MovableClock
    ) -> None:
        claim = self.begun(store)
        (run,) = store.executions(claim.tasks[0].job_id)
        strand = ExecutionChange(execution_id=run.id, state=ExecutionState.STRANDED)
        store.advance(claim.id, [strand])
        clock.move(TTL * 10)
        store.sweep()
        assert store.due("worker_1", ["fake"], limit=9, ttl_s=TTL) == []
        assert store.jobs([claim.tasks[0].job_id])[0].state is JobState.RUNNING

    def stranded(self, store: Store) -> Execution:
        """An execution that nobody knows anything of."""
        claim = self.begun(store, job(resource="qpu"), job(resource="qpu"))
        (run,) = store.executions(claim.tasks[0].job_id)
        strand = ExecutionChange(execution_id=run.id, state=ExecutionState.STRANDED)
        store.advance(claim.id, [strand])
        return run

    def test_executions_are_listed_by_state_the_oldest_first(self, store: Store) -> None:
        ids = [self.stranded(store).id for _ in range(2)]
        found = store.open_executions(ExecutionState.STRANDED, limit=9)
        assert [one.id for one in found] == ids
        assert store.open_executions(ExecutionState.STRANDED, limit=1) == found[:1]
        assert store.open_executions(ExecutionState.RUNNING, limit=9) == []

    def test_an_operator_ends_a_stranded_execution_and_events_say_who(self, store: Store) -> None:
        run = self.stranded(store)
        due = store.hold_stranded(run.id, actor="olga", ttl_s=TTL)
        assert [task.id for task in due.tasks[run.id]] == list(run.tasks)
        problem = Problem(type="TaskFailed", message="it never arrived")
        end = ending(due.executions[0], TaskState.FAILED, problem=problem)
        assert store.finish(due.claim_id, [end]).taken == set(run.tasks)
        jobs = store.jobs([task.job_id for task in due.tasks[run.id]])
        assert {one.state for one in jobs} == {JobState.FAILED}
        events = store.events(EventQuery()).events
        told = [e for e in events if e.subject == run.id and e.kind == "execution.failed"]
        assert [(e.before, e.after, e.actor) for e in told] == [("stranded", "failed", "olga")] * 2
        assert store.open_executions(ExecutionState.STRANDED, limit=9) == []

    def test_what_an_operator_found_after_all_is_due_at_once(self, store: Store) -> None:
        run = self.stranded(store)
        due = store.hold_stranded(run.id, actor="olga", ttl_s=TTL)
        found = ExecutionChange(
            execution_id=run.id,
            state=ExecutionState.SUBMITTED,
            provider_job_id="v7",
            due_in_s=0.0,
        )
        store.advance(due.claim_id, [found])
        (again,) = store.due("worker_1", ["fake"], limit=9, ttl_s=TTL)
        assert again.executions[0].provider_job_id == "v7"

    def test_an_execution_keeps_what_it_was_sent_to_and_where_what_it_ran_lies(
        self, store: Store
    ) -> None:
        self.submit(store, job(resource="qpu"))
        claim = take(store, "qpu")
        record = Extent(key="pending/2030/01/01/a.tar", offset=512, length=99)
        sent = replace(
            execution(claim, provider="fake"),
            target="sha256:machine",
            fingerprint="sha256:ann",
            record=record,
        )
        store.begin(claim.id, [sent], ttl_s=TTL)
        job_id = claim.tasks[0].job_id
        (kept,) = store.executions(job_id)
        assert (kept.target, kept.fingerprint, kept.record) == (
            "sha256:machine",
            "sha256:ann",
            record,
        )
        for said, known in (("sha256:bob", "sha256:bob"), ("", None), (None, None)):
            store.advance(claim.id, [ExecutionChange(execution_id=sent.id, fingerprint=said)])
            assert store.executions(job_id)[0].fingerprint == known
        assert not kept.adopted

    def test_an_execution_that_ran_here_keeps_them_too(self, store: Store) -> None:
        self.submit(store, job(resource="aer"))
        claim = take(store)
        record = Extent(key="completed/2030/01/01/a.tar", offset=512, length=99)
        ran = replace(execution(claim), target="sha256:machine", record=record)
        store.finish(claim.id, [ending(ran)])
        (kept,) = store.executions(claim.tasks[0].job_id)
        assert (kept.target, kept.fingerprint, kept.record) == ("sha256:machine", None, record)

    # -- adopting -----------------------------------------------------------------------------
    def asked(self, id: str = "v1", **changes: Any) -> Adoption:
        """That a vendor's job is to be taken over."""
        fields = {"account": "ann", "name": None, "tags": (), **changes}
        now = datetime.now(UTC)
        return Adoption(provider="fake", provider_job_id=id, actor="olga", asked_at=now, **fields)

    def foreign(self, asked: Adoption) -> tuple[Submission, Execution]:
        """A job and its execution, as they are made of an adoption."""
        made, (task,) = job(resource="qpu", account=asked.account)
        run = Execution(
            id=new_id("exec"),
            resource="qpu",
            provider=asked.provider,
            account=asked.account,
            state=ExecutionState.SUBMITTED,
            tasks=(task.id,),
            created_at=datetime.now(UTC),
            provider_job_id=asked.provider_job_id,
            due_at=datetime.now(UTC) - timedelta(seconds=1),
            adopted=True,
        )
        executing = replace(
            task, state=TaskState.EXECUTING, ready_at=None, attempt=1, execution_id=run.id
        )
        running = replace(made, state=JobState.RUNNING)
        return submission((running, [executing])), run

    def test_what_is_adopted_is_followed(self, store: Store) -> None:
        store.register("worker_1", [QPU], ttl_s=TTL)
        asked = store.ask_adoption(self.asked())
        assert asked.open
        assert store.open_adoptions("other", limit=9) == []
        assert [one.provider_job_id for one in store.open_adoptions("fake", limit=9)] == ["v1"]
        made, run = self.foreign(asked)
        store.adopt(asked, made, run)
        assert store.open_adoptions("fake", limit=9) == []
        found = store.adoption("fake", "v1")
        assert found is not None
        assert found.job_id == made.jobs[0].id
        (due,) = store.due("worker_1", ["fake"], limit=9, ttl_s=TTL)
        (kept,) = due.executions
        assert (kept.id, kept.provider_job_id, kept.adopted) == (run.id, "v1", True)
        assert store.finish(due.claim_id, [ending(kept)]).taken == set(run.tasks)
        assert store.jobs([made.jobs[0].id])[0].state is JobState.COMPLETED
        events = [event.kind for event in store.events(EventQuery()).events]
        assert "job.adopted" in events

    def test_a_vendors_job_is_adopted_once(self, store: Store) -> None:
        asked = store.ask_adoption(self.asked())
        first, other = self.foreign(asked), self.foreign(asked)
        store.adopt(asked, *first)
        store.adopt(asked, *other)
        again = store.ask_adoption(self.asked(account="bob"))
        assert (again.job_id, again.account) == (first[0].jobs[0].id, "ann")
        assert store.jobs([other[0].jobs[0].id]) == []

    def test_what_was_sent_from_here_is_not_adopted(self, store: Store) -> None:
        claim = self.begun(store)
        (run,) = store.executions(claim.tasks[0].job_id)
        early = store.ask_adoption(self.asked("v7"))
        sent = ExecutionChange(
            execution_id=run.id, state=ExecutionState.SUBMITTED, provider_job_id="v7"
        )
        store.advance(claim.id, [sent])
        with pytest.raises(Conflict, match=claim.tasks[0].job_id):
            store.ask_adoption(self.asked("v7"))
        made, execution_ = self.foreign(early)
        store.adopt(early, made, execution_)
        found = store.adoption("fake", "v7")
        assert found is not None
        assert found.problem is not None
        assert found.problem.type == "Conflict"
        assert store.jobs([made.jobs[0].id]) == []

    def test_what_was_sent_and_never_answered_for_is_told(self, store: Store) -> None:
        assert store.unanswered("fake") == []
        claim = self.begun(store)
        (run,) = store.executions(claim.tasks[0].job_id)
        assert [one.id for one in store.unanswered("fake")] == [run.id]
        assert store.unanswered("other") == []
        lost = ExecutionChange(execution_id=run.id, state=ExecutionState.STRANDED)
        store.advance(claim.id, [lost])
        (found,) = store.unanswered("fake")
        assert (found.id, found.state) == (run.id, ExecutionState.STRANDED)
        due = store.hold_stranded(run.id, actor="olga", ttl_s=TTL)
        known = ExecutionChange(
            execution_id=run.id, state=ExecutionState.SUBMITTED, provider_job_id="v9"
        )
        store.advance(due.claim_id, [known])
        assert store.unanswered("fake") == []

    def test_what_was_refused_may_be_asked_for_again(self, store: Store) -> None:
        asked = store.ask_adoption(self.asked())
        store.refuse_adoption(asked, Problem(type="NotFound", message="no such job"))
        assert store.open_adoptions("fake", limit=9) == []
        again = store.ask_adoption(self.asked(account="bob", tags=("x",)))
        assert (again.open, again.account, again.tags) == (True, "bob", ("x",))

    def test_only_what_is_stranded_and_in_nobodys_hands_can_be_held(
        self, store: Store, clock: MovableClock
    ) -> None:
        with pytest.raises(NotFound):
            store.hold_stranded("exec_none", actor="olga", ttl_s=TTL)
        claim = self.begun(store)
        (run,) = store.executions(claim.tasks[0].job_id)
        with pytest.raises(InvalidTransition):
            store.hold_stranded(run.id, actor="olga", ttl_s=TTL)
        store.advance(
            claim.id, [ExecutionChange(execution_id=run.id, state=ExecutionState.STRANDED)]
        )
        store.hold_stranded(run.id, actor="olga", ttl_s=TTL)
        with pytest.raises(Conflict):
            store.hold_stranded(run.id, actor="oleg", ttl_s=TTL)
        clock.move(TTL + 1)
        assert store.hold_stranded(run.id, actor="oleg", ttl_s=TTL).executions[0].id == run.id

    def test_a_due_time_has_not_come_for_one_whose_clock_is_behind(
        self, store: Store, clock: MovableClock
    ) -> None:
        claim = self.begun(store)
        (run,) = store.executions(claim.tasks[0].job_id)
        store.advance(claim.id, [ExecutionChange(execution_id=run.id, due_in_s=5.0)])
        clock.move(-0.001)
        assert store.due("worker_2", ["fake"], limit=9, ttl_s=TTL) == []

    def test_a_due_time_under_a_clock_that_went_back_has_come(
        self, store: Store, clock: MovableClock
    ) -> None:
        claim = self.begun(store)
        (run,) = store.executions(claim.tasks[0].job_id)
        store.advance(claim.id, [ExecutionChange(execution_id=run.id, due_in_s=5.0)])
        clock.move(-86_400)
        assert len(store.due("worker_1", ["fake"], limit=9, ttl_s=TTL)) == 1

    # -- listings -----------------------------------------------------------------------------
    def test_a_listing_is_newest_first_and_pages_by_cursor(self, store: Store) -> None:
        made = self.submit(store, *[job() for _ in range(7)])
        newest = [one.id for one in reversed(made)]
        seen: list[str] = []
        while page := store.list_jobs(
            JobQuery(account="alice", before=seen[-1] if seen else None, limit=3)
        ):
            seen += [one.id for one in page]
        assert seen == newest

    def test_each_filter_of_a_listing_keeps_what_fits(self, store: Store) -> None:
        old = datetime(2020, 1, 1, tzinfo=UTC)
        wanted = job(
            name="100%_vqe", tags=("t",), kind=JobKind.ESTIMATE, resource="qpu", created_at=old
        )
        self.submit(store, wanted, job(name="100 other", tags=("u", "tt")), job(name="vqe"))
        self.submit(store, job("bob", name="100%_vqe", tags=("t",)))
        store.cancel([wanted[0].id], actor="alice")
        for query in (
            JobQuery(account="alice", states=(JobState.CANCELLED,)),
            JobQuery(account="alice", resource="qpu"),
            JobQuery(account="alice", kind=JobKind.ESTIMATE),
            JobQuery(account="alice", tag="t"),
            JobQuery(account="alice", name="100%_vqe"),
            JobQuery(account="alice", name_prefix="100%"),
            JobQuery(account="alice", name_prefix="100%_"),
            JobQuery(account="alice", created_to=old + timedelta(days=1)),
            JobQuery(account="alice", created_from=old, created_to=old + timedelta(seconds=1)),
        ):
            assert [one.id for one in store.list_jobs(query)] == [wanted[0].id], query

    def test_filters_hold_together(self, store: Store) -> None:
        wanted = job(tags=("t",), name="ab")
        self.submit(store, wanted, job(tags=("t",)), job(name="ab"), job(tags=("u",), name="ab"))
        query = JobQuery(tag="t", name_prefix="a", states=(JobState.QUEUED, JobState.RUNNING))
        assert [one.id for one in store.list_jobs(query)] == [wanted[0].id]

    def test_a_page_of_several_states_is_newest_first_as_any(self, store: Store) -> None:
        made = [self.submit(store, job())[0] for _ in range(4)]
        store.cancel([made[1].id, made[3].id], actor="alice")
        states = (JobState.QUEUED, JobState.CANCELLED)
        query = JobQuery(account="alice", states=states, limit=3)
        newest = sorted(made, key=lambda one: (one.created_at, one.id), reverse=True)[:3]
        assert [one.id for one in store.list_jobs(query)] == [one.id for one in newest]

    # -- events -------------------------------------------------------------------------------
    def test_events_of_one_account_or_of_jobs(self, store: Store) -> None:
        (mine,) = self.submit(store, job("alice"))
        (also,) = self.submit(store, job("alice"))
        self.submit(store, job("bob"))
        by_account = store.events(EventQuery(account="alice")).events
        assert [event.subject for event in by_account] == [mine.id, also.id]
        by_job = store.events(EventQuery(job_ids=[also.id])).events
        assert [event.subject for event in by_job] == [also.id]
        assert store.events(EventQuery(account="bob", job_ids=[also.id])).events == []

    def test_following_from_the_horizon_sees_only_what_comes_later(self, store: Store) -> None:
        self.submit(store, job())
        after = store.horizon()
        (one,) = self.submit(store, job())
        page = store.events(EventQuery(after=after))
        assert one.id in [event.subject for event in page.events]
        assert store.events(EventQuery(after=page.position)).events == []

    def test_a_follower_misses_nothing_of_many_writers(self, store: Store) -> None:
        with ThreadPoolExecutor(6) as pool:
            writes = [pool.submit(self.submit, store, job()) for _ in range(120)]
            seen: list[str] = []
            after = EventQuery().after
            while True:
                over = all(write.done() for write in writes)
                page = store.events(EventQuery(after=after, limit=7))
                seen += [event.subject for event in page.events]
                after = page.position
                if over and not page.events and not page.held_back:
                    break
        assert sorted(seen) == sorted(write.result()[0].id for write in writes)

    # -- resources ----------------------------------------------------------------------------
    def test_a_resource_tells_its_queue_and_its_live_workers(
        self, store: Store, clock: MovableClock
    ) -> None:
        store.register("worker_2", [AER], ttl_s=TTL)
        self.submit(store, *[job(estimate_s=2.0) for _ in range(5)])
        store.claim("worker_1", [Offer(resource="aer", tasks=1)], ttl_s=TTL)
        aer, qpu = store.resources()
        assert (aer.resource, aer.queued, aer.active, aer.workers) == (AER, 4, 1, 2)
        assert aer.wait_s == pytest.approx(5.0)
        assert (qpu.resource, qpu.queued, qpu.wait_s, qpu.workers) == (QPU, 0, 0.0, 1)
        assert qpu.seen_at == clock()
        clock.move(TTL + 1)
        store.register("worker_2", [AER], ttl_s=TTL)
        assert [status.workers for status in store.resources()] == [1, 0]

    def test_an_operators_word_outlasts_the_workers(self, store: Store) -> None:
        after = store.set_resource_state("qpu", ResourceState.OFFLINE, "broken", actor="op")
        assert (after.state, after.reason) == (ResourceState.OFFLINE, "broken")
        store.register("worker_1", [replace(QPU, description="new")], ttl_s=TTL)
        _, qpu = store.resources()
        assert (qpu.resource.state, qpu.resource.reason) == (ResourceState.OFFLINE, "broken")
        assert qpu.resource.description == "new"
        with pytest.raises(NotFound):
            store.set_resource_state("none", ResourceState.OFFLINE, None, actor="op")

    # -- tokens -------------------------------------------------------------------------------
    def test_a_token_is_found_by_its_digest_until_revoked(self, store: Store) -> None:
        token = Token(
            id=new_id("token"),
            account="alice",
            scope=Scope.USER,
            digest="d" * 64,
            created_at=datetime.now(UTC),
        )
        store.add_token(token)
        assert store.token(token.digest) == token
        assert store.token("other") is None
        assert store.tokens() == [token]
        revoked = store.revoke_token(token.id)
        assert revoked.revoked_at is not None
        assert store.token(token.digest) == revoked
        with pytest.raises(NotFound):
            store.revoke_token("token_none")

    # -- archive ------------------------------------------------------------------------------
    def test_restoring_twice_changes_nothing(self, store: Store) -> None:
        one, (task,) = job(held=True, tags=("t",))
        given = submission((one, [replace(task, ready_at=None)]), key="k", digest="d")
        assert store.restore([given], []) == 1
        assert store.restore([given], []) == 0
        assert store.jobs([one.id]) == [one]
        assert store.claim("worker_1", [Offer(resource="aer")], ttl_s=TTL) == []
        assert replayed(store, "alice", "k", "d") == [one]
        assert kinds(store.events(EventQuery()).events, one.id) == ["job.held"]
        (after,) = store.retry([one.id], actor="alice")
        assert not after.held
        assert len(take(store).tasks) == 1

    def test_an_older_catalogue_learns_what_has_ended_since(self, store: Store) -> None:
        one, (task,) = job()
        self.submit(store, (one, [task]))
        ended = replace(task, state=TaskState.COMPLETED, ended_at=datetime.now(UTC))
        assert store.restore([submission((one, [ended]))], []) == 0
        assert store.jobs([one.id])[0].state is JobState.COMPLETED

    def test_it_tells_which_objects_are_named(self, store: Store) -> None:
        (one,) = self.submit(store, job())
        claim = take(store)
        end = ending(execution(claim))
        store.finish(claim.id, [end])
        result = store.tasks([one.id])[0].result
        assert result is not None
        named = {one.spec.key, result.key}
        assert store.referenced([*named, "pending/orphan.pack"]) == named

    # -- life ---------------------------------------------------------------------------------
    def test_what_was_written_is_there_when_opened_again(
        self, store: Store, make_store: MakeStore, clock: MovableClock
    ) -> None:
        (one,) = self.submit(store, job())
        store.check()
        store.close()
        store.close()
        again = make_store(clock)
        assert again.jobs([one.id]) == [one]
        again.close()
