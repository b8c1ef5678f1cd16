"""What every catalogue must do with vendors' jobs that are taken over. Part of
:class:`~quanopy.testing.store_contract.StoreContract`."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from quanopy.domain.adoptions import Adoption
from quanopy.domain.errors import Conflict
from quanopy.domain.ids import new_id
from quanopy.domain.jobs import Execution, Problem
from quanopy.domain.states import ExecutionState, JobState, TaskState
from quanopy.ports.events import EventQuery
from quanopy.ports.executions import ExecutionChange
from quanopy.ports.store import Store
from quanopy.ports.submissions import Submission
from quanopy.testing.catalogue import ending, job, submission
from quanopy.testing.store_cases import QPU, TTL, StoreCases


class AdoptionsContract(StoreCases):
    """Cases over the ``store`` of the contract."""

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

    def test_what_was_refused_may_be_asked_for_again(self, store: Store) -> None:
        asked = store.ask_adoption(self.asked())
        store.refuse_adoption(asked, Problem(type="NotFound", message="no such job"))
        assert store.open_adoptions("fake", limit=9) == []
        again = store.ask_adoption(self.asked(account="bob", tags=("x",)))
        assert (again.open, again.account, again.tags) == (True, "bob", ("x",))
