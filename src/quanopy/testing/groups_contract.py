"""What every catalogue must do with groups, and with what is asked of them. Part of
:class:`~quanopy.testing.store_contract.StoreContract`."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from quanopy.domain.errors import Conflict, InvalidTransition, NotFound
from quanopy.domain.groups import Group, GroupAction, GroupOrder, GroupPolicy, GroupState, StopRules
from quanopy.domain.requirements import Bound
from quanopy.domain.states import JobState, TaskState
from quanopy.ports.events import EventQuery
from quanopy.ports.groups import GroupQuery
from quanopy.ports.store import Store
from quanopy.testing.catalogue import MovableClock, job, submission
from quanopy.testing.groups import SEQUENTIAL, Grouped, begun, fill, group, run, step


class GroupsContract(Grouped):
    """Cases over the ``store`` of the contract."""

    def test_a_group_reads_back_as_it_was_made(self, grouped: Store) -> None:
        stop = StopRules(
            precision=0.1,
            seconds=1.0,
            cost=2.0,
            deadline=job()[0].created_at + timedelta(days=1),
            calibration={"cx.error": Bound(most=0.1)},
            failures=3,
        )
        wanted = GroupPolicy(order=GroupOrder.PARALLEL, max_in_flight=3, gap_s=1.5, stop=stop)
        one = replace(group(policy=wanted), resource="aer")
        assert grouped.create_group(one) == (one, True)
        assert grouped.groups([one.id]) == [one]
        assert grouped.list_groups(GroupQuery(account="alice", name="long")) == [one]
        assert grouped.list_groups(GroupQuery(account="bob", name="long")) == []
        assert grouped.list_groups(GroupQuery(name="long")) == [one]
        assert grouped.list_groups(GroupQuery(name="lon")) == []

    def test_a_name_is_an_accounts_once(self, grouped: Store) -> None:
        one, _ = grouped.create_group(group())
        assert grouped.create_group(group()) == (one, False)
        assert grouped.create_group(group(account="bob"))[1]

    def test_many_who_make_one_group_get_the_same(self, grouped: Store) -> None:
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _: grouped.create_group(group()), range(16)))
        assert len({one.id for one, _ in found}) == 1
        assert sum(new for _, new in found) == 1

    def test_what_is_paused_begins_nothing(self, grouped: Store) -> None:
        one, jobs = self.made(grouped, SEQUENTIAL, 2)
        grouped.act_on_group(one.id, GroupAction.PAUSE, actor="alice")
        assert run(grouped) == [jobs[0].id]
        step(grouped)
        assert begun(grouped) == []
        grouped.act_on_group(one.id, GroupAction.RUN, actor="alice")
        step(grouped)
        assert run(grouped) == [jobs[1].id]

    def test_a_cancelled_group_cancels_what_waits_and_asks_it_of_what_runs(
        self, grouped: Store
    ) -> None:
        one, jobs = self.made(grouped, SEQUENTIAL, 3)
        assert begun(grouped) == [jobs[0].id]
        grouped.act_on_group(one.id, GroupAction.CANCEL, actor="alice")
        assert set(step(grouped).cancelled) >= {found.id for found in jobs[1:]}
        found = grouped.jobs([found.id for found in jobs])
        assert found[0].cancel_requested
        assert [one.state for one in found][1:] == [JobState.CANCELLED] * 2
        with pytest.raises(InvalidTransition):
            grouped.act_on_group(one.id, GroupAction.RUN, actor="alice")
        with pytest.raises(Conflict):
            fill(grouped, one.id, 1)

    def test_what_failed_gets_its_turn_again_in_its_place(self, grouped: Store) -> None:
        one, jobs = self.made(grouped, SEQUENTIAL, 2)
        run(grouped, TaskState.FAILED)
        step(grouped)
        run(grouped)
        step(grouped)
        assert grouped.groups([one.id])[0].failures == 1
        assert [found.id for found in grouped.rerun_group(one.id, actor="alice")] == [jobs[0].id]
        step(grouped)
        assert self.state(grouped, one) is GroupState.RUNNING
        assert run(grouped) == [jobs[0].id]
        step(grouped)
        assert self.state(grouped, one) is GroupState.DONE
        assert grouped.progress([one.id])[one.id].completed == 2

    def test_what_failed_gets_its_turn_again_before_its_end_was_seen(self, grouped: Store) -> None:
        one, jobs = self.made(grouped, SEQUENTIAL, 2)
        run(grouped, TaskState.FAILED)
        grouped.rerun_group(one.id, actor="alice")
        step(grouped)
        assert run(grouped) == [jobs[0].id]
        step(grouped)
        assert run(grouped) == [jobs[1].id]
        step(grouped)
        assert self.state(grouped, one) is GroupState.DONE

    def test_one_of_a_group_that_is_retried_waits_for_its_turn(self, grouped: Store) -> None:
        one, jobs = self.made(grouped, SEQUENTIAL, 2)
        run(grouped, TaskState.FAILED)
        step(grouped)
        (again,) = grouped.retry([jobs[0].id], actor="alice")
        assert (again.state, again.blocked) == (JobState.QUEUED, True)
        step(grouped)
        assert run(grouped) == [jobs[1].id]
        step(grouped)
        assert run(grouped) == [jobs[0].id]
        step(grouped)
        assert self.state(grouped, one) is GroupState.DONE
        assert grouped.groups([one.id])[0].usage["seconds"] == 6.0

    def test_a_group_that_is_done_goes_on_where_one_of_it_is_retried(self, grouped: Store) -> None:
        one, jobs = self.made(grouped, SEQUENTIAL, 1)
        run(grouped, TaskState.FAILED)
        step(grouped)
        assert self.state(grouped, one) is GroupState.DONE
        grouped.act_on_group(one.id, GroupAction.PAUSE, actor="alice")
        grouped.retry([jobs[0].id], actor="alice")
        assert self.state(grouped, one) is GroupState.RUNNING
        step(grouped)
        assert run(grouped) == [jobs[0].id]

    def test_one_of_a_cancelled_group_that_is_retried_runs_by_itself(self, grouped: Store) -> None:
        one, jobs = self.made(grouped, SEQUENTIAL, 2)
        grouped.act_on_group(one.id, GroupAction.CANCEL, actor="alice")
        step(grouped)
        grouped.retry([jobs[1].id], actor="alice")
        step(grouped)
        assert run(grouped) == [jobs[1].id]
        step(grouped)
        assert self.state(grouped, one) is GroupState.CANCELLED

    def test_what_is_done_goes_on_when_it_is_added_to(self, grouped: Store) -> None:
        one, _ = self.made(grouped, SEQUENTIAL, 1)
        run(grouped)
        step(grouped)
        (later,) = fill(grouped, one.id, 1)
        step(grouped)
        assert run(grouped) == [later.id]

    def test_another_name_is_taken_only_if_it_is_free(self, grouped: Store) -> None:
        one, _ = grouped.create_group(group())
        grouped.create_group(group("other"))
        with pytest.raises(Conflict):
            grouped.revise_group(one.id, name="other", policy=None, actor="alice")
        changed = grouped.revise_group(one.id, name="new", policy=GroupPolicy(), actor="alice")
        assert (changed.name, changed.policy) == ("new", GroupPolicy())

    def test_of_many_who_take_a_name_one_gets_it(self, grouped: Store) -> None:
        made = [grouped.create_group(group(f"group {index}"))[0] for index in range(4)]

        def rename(one: Group) -> bool:
            try:
                grouped.revise_group(one.id, name="wanted", policy=None, actor="alice")
            except Conflict:
                return False
            return True

        with ThreadPoolExecutor(4) as pool:
            assert sum(pool.map(rename, made)) == 1

    def test_of_many_who_remove_it_one_does(self, grouped: Store) -> None:
        one, _ = self.made(grouped, SEQUENTIAL, 1)
        run(grouped)
        step(grouped)

        def remove(_: int) -> bool:
            try:
                grouped.remove_group(one.id, actor="alice")
            except NotFound:
                return False
            return True

        with ThreadPoolExecutor(4) as pool:
            assert sum(pool.map(remove, range(4))) == 1

    def test_whoever_resumes_or_cancels_it_at_once_it_is_cancelled(self, grouped: Store) -> None:
        one, jobs = self.made(grouped, SEQUENTIAL, 3)
        grouped.act_on_group(one.id, GroupAction.PAUSE, actor="alice")

        def act(action: GroupAction) -> None:
            try:
                grouped.act_on_group(one.id, action, actor="alice")
            except InvalidTransition:
                assert action is not GroupAction.CANCEL

        asked = [GroupAction.RUN, GroupAction.CANCEL, GroupAction.PAUSE, GroupAction.CANCEL]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(act, asked))
            list(pool.map(lambda _: step(grouped), range(4)))
        run(grouped)
        step(grouped)
        assert self.state(grouped, one) is GroupState.CANCELLED
        found = {job.state for job in grouped.jobs([job.id for job in jobs])}
        assert found <= {JobState.CANCELLED, JobState.COMPLETED}

    def test_each_change_is_later_than_the_one_before(
        self, grouped: Store, clock: MovableClock
    ) -> None:
        one, _ = grouped.create_group(group())
        times = [one.created_at]
        for name in ("a", "b", "c"):
            clock.move(-3600)
            changed = grouped.revise_group(one.id, name=name, policy=None, actor="alice")
            assert changed.changed_at is not None
            times.append(changed.changed_at)
        gone = grouped.remove_group(one.id, actor="alice").changed_at
        assert gone is not None
        assert times == sorted(set(times))
        assert gone > times[-1]

    def test_what_is_removed_leaves_its_jobs(self, grouped: Store) -> None:
        one, jobs = self.made(grouped, SEQUENTIAL, 1)
        with pytest.raises(Conflict):
            grouped.remove_group(one.id, actor="alice")
        run(grouped)
        step(grouped)
        grouped.remove_group(one.id, actor="alice")
        assert grouped.groups([one.id]) == []
        assert grouped.jobs([jobs[0].id])[0].group_id is None
        with pytest.raises(NotFound):
            grouped.remove_group(one.id, actor="alice")

    def test_what_ended_within_a_gap_can_be_removed(self, grouped: Store) -> None:
        one, _ = self.made(grouped, replace(SEQUENTIAL, gap_s=600.0), 1)
        run(grouped)
        step(grouped)
        assert self.state(grouped, one) is GroupState.DONE
        grouped.remove_group(one.id, actor="alice")
        assert grouped.groups([one.id]) == []

    def test_all_that_runs_of_a_cancelled_group_is_asked_to_end(self, grouped: Store) -> None:
        one, _ = self.made(grouped, GroupPolicy(), 1_010)
        while begun(grouped):
            pass
        assert grouped.progress([one.id])[one.id].running == 1_010
        grouped.act_on_group(one.id, GroupAction.CANCEL, actor="alice")
        asked = step(grouped).cancelled
        assert len(asked) == len(set(asked)) == 1_010

    def test_groups_are_listed_newest_first(self, grouped: Store) -> None:
        made = [grouped.create_group(group(f"group {index}"))[0] for index in range(5)]
        newest = made[::-1]
        first = grouped.list_groups(GroupQuery(account="alice", limit=2))
        assert first == newest[:2]
        before = (first[-1].created_at, first[-1].id)
        assert grouped.list_groups(GroupQuery(account="alice", before=before)) == newest[2:]
        assert grouped.list_groups(GroupQuery(name_prefix="group 3")) == [made[3]]
        assert grouped.list_groups(GroupQuery(states=(GroupState.DONE,))) == []

    def test_events_of_a_group_are_its_own_and_its_jobs(self, grouped: Store) -> None:
        one, jobs = self.made(grouped, SEQUENTIAL, 1)
        grouped.submit([submission(job())])
        run(grouped)
        step(grouped)
        found = grouped.events(EventQuery(group_id=one.id)).events
        assert {event.job_id for event in found} == {None, jobs[0].id}
        assert [event.kind for event in found if event.subject == one.id] == [
            *("group.open", "group.running", "group.done"),
        ]
