"""What every catalogue must do with remote executions. Part of
:class:`~quanopy.testing.store_contract.StoreContract`."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from quanopy.domain.errors import Conflict, InvalidTransition, NotFound
from quanopy.domain.jobs import Execution, Extent, Problem
from quanopy.domain.states import ExecutionState, JobState, TaskState
from quanopy.ports.events import EventQuery
from quanopy.ports.executions import ExecutionChange
from quanopy.ports.store import Store
from quanopy.testing.catalogue import MovableClock, ending, execution, job
from quanopy.testing.store_cases import TTL, StoreCases, take


class ExecutionsContract(StoreCases):
    """Cases over the ``store`` of the contract."""

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
