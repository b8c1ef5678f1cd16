"""What every catalogue must do with jobs: how they end, what is asked of them, how they are
listed. Part of :class:`~quanopy.testing.store_contract.StoreContract`."""

from datetime import UTC, datetime, timedelta

from quanopy.domain.jobs import JobKind, Problem
from quanopy.domain.states import JobState, TaskState
from quanopy.ports.claims import Offer
from quanopy.ports.jobs import JobQuery
from quanopy.ports.store import Store
from quanopy.testing.catalogue import MovableClock, ending, execution, job
from quanopy.testing.store_cases import TTL, StoreCases, take


class JobsContract(StoreCases):
    """Cases over the ``store`` of the contract."""

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
