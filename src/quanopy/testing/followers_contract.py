"""What every catalogue must do with jobs that come after others. Part of
:class:`~quanopy.testing.store_contract.StoreContract`."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from quanopy.domain.errors import NotFound
from quanopy.domain.groups import GroupAction, GroupPolicy
from quanopy.domain.jobs import Job, OnFailure
from quanopy.domain.states import JobState, TaskState
from quanopy.ports.claims import Offer
from quanopy.ports.store import Store
from quanopy.testing.catalogue import ending, execution, job, submission
from quanopy.testing.groups import TTL, Grouped, begun, group, run, step


class FollowersContract(Grouped):
    """Cases over the ``store`` of the contract."""

    def test_what_many_wait_for_lets_all_of_them_begin(self, grouped: Store) -> None:
        first, second = self.one(grouped), self.one(grouped)
        made = [job() for _ in range(1_010)]
        after = (first.id, second.id)
        grouped.submit([submission(*[(replace(one, after=after), tasks) for one, tasks in made])])
        step(grouped)
        assert run(grouped) == sorted(after)
        step(grouped)
        found = []
        while ended := run(grouped):
            found += ended
        assert sorted(found) == sorted(one.id for one, _ in made)

    def test_half_of_a_job_waits_for_others_as_the_whole_did(self, grouped: Store) -> None:
        first = self.one(grouped)
        one, _ = grouped.create_group(group(policy=GroupPolicy()))
        made, tasks = job(parts=2)
        made = replace(made, after=(first.id,), on_failure=OnFailure.RUN)
        grouped.submit([replace(submission((made, tasks)), group_id=one.id)])
        grouped.act_on_group(one.id, GroupAction.RUN, actor="alice")
        run(grouped, TaskState.FAILED)
        step(grouped)
        offer = Offer(resource="aer", seconds=1e9, claims=50)
        for claim, state in zip(
            grouped.claim("worker_1", [offer], ttl_s=TTL),
            (TaskState.COMPLETED, TaskState.FAILED),
            strict=True,
        ):
            grouped.finish(claim.id, [ending(execution(claim), state)])
        step(grouped)
        grouped.retry([first.id], actor="alice")
        grouped.rerun_group(one.id, actor="alice")
        step(grouped)
        assert run(grouped) == [first.id]
        step(grouped)
        assert run(grouped) == [made.id]

    def test_a_job_waits_for_those_that_it_comes_after(self, grouped: Store) -> None:
        first, second = self.one(grouped), self.one(grouped)
        third = self.after(grouped, first, second)
        step(grouped)
        waited_for = [one.id for one in grouped.awaited_jobs(third.id)]
        assert waited_for == sorted([first.id, second.id])
        assert grouped.awaited_jobs(first.id) == []
        assert run(grouped) == waited_for
        step(grouped)
        assert run(grouped) == [third.id]

    def test_what_comes_after_jobs_that_ended_before_may_begin(self, grouped: Store) -> None:
        first = self.one(grouped)
        run(grouped)
        second = self.after(grouped, first)
        assert grouped.awaited_jobs(second.id) == []
        step(grouped)
        assert run(grouped) == [second.id]

    @pytest.mark.parametrize(
        ("on_failure", "state"),
        [
            (OnFailure.SKIP, JobState.CANCELLED),
            (OnFailure.FAIL, JobState.FAILED),
            (OnFailure.RUN, JobState.QUEUED),
        ],
    )
    def test_what_comes_after_a_failure_is_skipped_fails_or_runs(
        self, grouped: Store, on_failure: OnFailure, state: JobState
    ) -> None:
        first = self.one(grouped)
        second = self.after(grouped, first, on_failure=on_failure)
        run(grouped, TaskState.FAILED)
        step(grouped)
        (found,) = grouped.jobs([second.id])
        assert found.state is state
        assert begun(grouped) == ([second.id] if state is JobState.QUEUED else [])

    def test_what_comes_after_others_does_so_again(self, grouped: Store) -> None:
        first = self.one(grouped)
        second = self.after(grouped, first)
        run(grouped, TaskState.FAILED)
        step(grouped)
        grouped.retry([second.id], actor="alice")
        step(grouped)
        assert grouped.jobs([second.id])[0].state is JobState.CANCELLED
        grouped.retry([first.id, second.id], actor="alice")
        step(grouped)
        assert run(grouped) == [first.id]
        step(grouped)
        assert run(grouped) == [second.id]

    def test_a_chain_falls_as_far_as_it_goes(self, grouped: Store) -> None:
        chain = [self.one(grouped)]
        for _ in range(5):
            chain.append(self.after(grouped, chain[-1]))
        grouped.cancel([chain[0].id], actor="alice")
        step(grouped)
        found: Sequence[Job] = grouped.jobs([one.id for one in chain])
        assert {one.state for one in found} == {JobState.CANCELLED}

    def test_what_is_not_there_or_anothers_cannot_be_waited_for(self, grouped: Store) -> None:
        with pytest.raises(NotFound):
            self.after(grouped, job()[0])
        (answer,) = grouped.submit([submission(job("bob"))])
        assert not isinstance(answer, Exception)
        with pytest.raises(NotFound):
            self.after(grouped, answer[0])
