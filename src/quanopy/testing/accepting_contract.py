"""What every catalogue must do with jobs that a free worker takes in the commit that keeps them.
Part of :class:`~quanopy.testing.store_contract.StoreContract`."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from quanopy.domain.jobs import Job, Task
from quanopy.domain.states import JobState, ResourceState, TaskState
from quanopy.ports.claims import Claim, Offer
from quanopy.ports.events import EventQuery
from quanopy.ports.store import Store
from quanopy.ports.submissions import Ended, Offering, Submission
from quanopy.testing.catalogue import ending, execution, job, submission
from quanopy.testing.store_cases import StoreCases

Made = tuple[Job, list[Task]]


def offering(resource: str = "aer", *, claims: int = 1, tasks: int = 500) -> Offering:
    """A worker that is free."""
    offer = Offer(resource=resource, seconds=1e9, claims=claims, tasks=tasks)
    return Offering(worker="worker_1", offer=offer, ttl_s=30.0)


def accept(
    store: Store, *made: Made, to: Offering | None = None, key: str | None = None
) -> tuple[Sequence[Job], list[Claim]]:
    """Accept these as one request; its jobs, and what was claimed."""
    one = submission(*made, key=key, digest="d")
    (answer,), claims = store.accept([one.entry], lambda new: [one] * len(new), to)
    assert isinstance(answer, Sequence), answer
    return answer, claims


def history(store: Store) -> list[tuple[str, str | None, str | None, str]]:
    """What happened to alice's things, by whom, without ids."""
    events = store.events(EventQuery(account="alice")).events
    return [(event.kind, event.before, event.after, event.actor) for event in events]


def all_ended(claims: Sequence[Claim]) -> Ended:
    """All work on these has come to its end already."""
    return {claim.id: [ending(execution(claim))] for claim in claims}


class AcceptingContract(StoreCases):
    """Cases over the ``store`` of the contract: ``aer`` and ``qpu`` (two lanes)."""

    def test_what_a_free_worker_takes_looks_as_if_it_was_claimed_after(self, store: Store) -> None:
        def finished(made: Made, claims: Sequence[Claim]) -> list[object]:
            (one,), (claim,) = store.jobs([made[0].id]), claims
            (task,) = store.tasks([one.id])
            claimed = one.state, one.started_at, task.state, task.started_at, task.claim_id
            assert claim.tasks == [task]
            assert claimed[-1] == claim.id
            assert store.renew("worker_1", ttl_s=30.0) == {claim.id}
            assert store.finish(claim.id, [ending(execution(claim))]).taken == {task.id}
            return list(claimed[:-1])

        first, second = job(), job()
        accept(store, first)
        usual = finished(first, store.claim("worker_1", [offering().offer], ttl_s=30.0))
        before = history(store)
        taken = finished(second, accept(store, second, to=offering())[1])
        assert taken == usual
        assert history(store) == before * 2

    def test_what_ends_before_it_is_stored_looks_as_if_it_ended_after(self, store: Store) -> None:
        def look(made: Made) -> list[object]:
            (one,), (task,) = store.jobs([made[0].id]), store.tasks([made[0].id])
            (sent,) = store.executions(one.id)
            assert None not in (one.started_at, one.ended_at, task.started_at, task.ended_at)
            assert (task.execution_id, sent.tasks) == (sent.id, (task.id,))
            return [
                *(one.state, one.problem),
                *(task.state, task.attempt, task.claim_id, task.result, task.problem),
                *(sent.state, sent.claim_id, sent.provider, sent.usage),
            ]

        first, second = job(), job()
        accept(store, first)
        (claim,) = store.claim("worker_1", [offering().offer], ttl_s=30.0)
        store.finish(claim.id, [ending(execution(claim))])
        before = history(store)
        free = replace(offering(), ended=all_ended)
        _, (claim,) = accept(store, second, to=free)
        assert [task.id for task in claim.tasks] == [task.id for task in second[1]]
        assert look(second) == look(first)
        assert history(store) == before * 2
        assert store.renew("worker_1", ttl_s=30.0) == set()
        assert store.finish(claim.id, [ending(execution(claim))]).taken == frozenset()

    def test_of_several_claims_those_that_ended_are_stored_so(self, store: Store) -> None:
        made = [job(), job()]

        def first_ended(claims: Sequence[Claim]) -> Ended:
            return all_ended(claims[:1])

        free = replace(offering(claims=2), ended=first_ended)
        _, claims = accept(store, *made, to=free)
        states = {one.id: one.state for one in store.jobs([one.id for one, _ in made])}
        assert [states[claim.tasks[0].job_id] for claim in claims] == [
            JobState.COMPLETED,
            JobState.RUNNING,
        ]
        assert store.renew("worker_1", ttl_s=30.0) == {claims[1].id}

    def test_only_jobs_of_one_task_may_end_before_they_are_stored(self, store: Store) -> None:
        asked: list[Claim] = []

        def nothing(claims: Sequence[Claim]) -> Ended:
            asked.extend(claims)
            return {}

        accept(store, job(parts=2), to=replace(offering(), ended=nothing))
        assert asked == []
        _, claims = accept(store, job(), to=replace(offering(), ended=nothing))
        assert asked == claims

    def test_who_waited_goes_first(self, store: Store) -> None:
        waiting, new = job(), job()
        accept(store, waiting)
        _, (claim,) = accept(store, new, to=offering(tasks=1))
        assert [task.job_id for task in claim.tasks] == [waiting[0].id]
        assert [one.state for one in store.jobs([new[0].id])] == [JobState.QUEUED]

    def test_what_does_not_fit_the_offer_waits(self, store: Store) -> None:
        made = job(parts=3)
        _, (claim,) = accept(store, made, to=offering(tasks=2))
        assert [task.id for task in claim.tasks] == [task.id for task in made[1][:2]]
        states = [task.state for task in store.tasks([made[0].id])]
        assert states == [TaskState.CLAIMED] * 2 + [TaskState.QUEUED]
        assert store.ready(("aer", "qpu")) == {"aer"}

    def test_lanes_hold_for_what_comes_at_the_same_time(self, store: Store) -> None:
        def come(_: int) -> int:
            return len(accept(store, job(resource="qpu"), to=offering("qpu", tasks=1))[1])

        with ThreadPoolExecutor(6) as pool:
            assert sum(pool.map(come, range(12))) == 2

    def test_nothing_is_taken_for_a_resource_in_maintenance(self, store: Store) -> None:
        store.set_resource_state("aer", ResourceState.MAINTENANCE, "helium", actor="op")
        (one,), claims = accept(store, job(), to=offering())
        assert claims == []
        assert store.ready(("aer",)) == set()
        store.set_resource_state("aer", ResourceState.ONLINE, None, actor="op")
        assert store.ready(("aer",)) == {"aer"}
        assert store.jobs([one.id])[0].state is JobState.QUEUED

    def test_a_repeated_key_makes_and_takes_nothing(self, store: Store) -> None:
        (first,), _ = accept(store, job(), key="k")
        again = submission(job(), key="k", digest="d")
        asked: list[Sequence[int]] = []

        def make(new: Sequence[int]) -> list[Submission]:
            asked.append(new)
            return []

        (answer,), claims = store.accept([again.entry], make, None)
        assert isinstance(answer, Sequence)
        assert [one.id for one in answer] == [first.id]
        assert (claims, [list(new) for new in asked]) == ([], [[]])

    def test_what_is_about_to_be_taken_is_told_before_it_is_kept(self, store: Store) -> None:
        one = submission(job(), key="k", digest="d")
        told: list[Claim | str] = []
        free = replace(offering(), begin=told.extend, kept=lambda: told.append("kept"))
        _, (claim,) = store.accept(
            [one.entry], lambda new: [one] * len(new), free, keep=lambda: told.append("keep")
        )
        assert told == [claim, "keep", "kept"]

    def test_what_the_archive_cannot_keep_leaves_nothing(self, store: Store) -> None:
        one = submission(job(), key="k", digest="d")

        def fail() -> None:
            raise OSError("no room")

        with pytest.raises(OSError, match="no room"):
            store.accept([one.entry], lambda _: [one], offering(), keep=fail)
        assert store.jobs([job.id for job in one.jobs]) == []
        (answer,), _ = store.accept([one.entry], lambda _: [one], None)
        assert answer == one.jobs
