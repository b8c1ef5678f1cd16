"""What every catalogue must do with groups, and with jobs that come after others. Part of
:class:`~quanopy.testing.store_contract.StoreContract`."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from quanopy.domain.errors import Conflict, InvalidTransition, NotFound
from quanopy.domain.groups import (
    Group,
    GroupAction,
    GroupOrder,
    GroupPolicy,
    GroupState,
    Progress,
    Ruling,
    StopRules,
)
from quanopy.domain.ids import new_id
from quanopy.domain.jobs import Job, OnFailure
from quanopy.domain.requirements import Bound
from quanopy.domain.resources import Capabilities, Resource
from quanopy.domain.states import JobState, ResourceState, TaskState
from quanopy.ports.claims import Offer
from quanopy.ports.events import EventQuery
from quanopy.ports.groups import GroupQuery, Stepped
from quanopy.ports.store import Store
from quanopy.testing.catalogue import MovableClock, ending, execution, job, submission
from quanopy.testing.registrations_contract import registration, resource

TTL = 1e6
SEQUENTIAL = GroupPolicy(order=GroupOrder.SEQUENTIAL)


def group(name: str = "long", policy: GroupPolicy = SEQUENTIAL, account: str = "alice") -> Group:
    """A group that is open."""
    made = job()[0].created_at
    return Group(
        id=new_id("group"),
        account=account,
        name=name,
        state=GroupState.OPEN,
        policy=policy,
        created_at=made,
    )


def fill(store: Store, group_id: str, count: int, account: str = "alice") -> list[Job]:
    """So many jobs at the end of a group."""
    made = submission(*[job(account) for _ in range(count)])
    (answer,) = store.submit([replace(made, group_id=group_id)])
    if isinstance(answer, Exception):
        raise answer
    return list(answer)


def step(store: Store, **rulings: Ruling) -> Stepped:
    """Do all there is to do."""
    total = Stepped()
    for _ in range(1000):
        work = store.group_work()
        if not work.turns and not work.groups:
            return total
        ids = [one.id for one in work.groups]
        done = store.step_groups(
            work.turns, ids, dict.fromkeys(ids, rulings["all"]) if rulings else {}
        )
        total.cancelled += done.cancelled
        total.ready |= done.ready
    raise AssertionError("there is no end of it")


def begun(store: Store) -> list[str]:
    """Ids of the jobs of which something may run now, which a worker then has."""
    claims = store.claim("worker_1", [Offer(resource="aer", seconds=1e9, claims=50)], ttl_s=TTL)
    return sorted(task.job_id for claim in claims for task in claim.tasks)


def run(store: Store, state: TaskState = TaskState.COMPLETED) -> list[str]:
    """Claim what may run and end it; which jobs that were."""
    claims = store.claim("worker_1", [Offer(resource="aer", seconds=1e9, claims=50)], ttl_s=TTL)
    for claim in claims:
        store.finish(claim.id, [ending(execution(claim), state, seconds=2.0)])
    return sorted(task.job_id for claim in claims for task in claim.tasks)


class GroupsContract:
    """Cases over the ``store`` of the contract."""

    @pytest.fixture
    def store(self) -> Iterator[Store]:
        """Override: a fresh catalogue."""
        raise NotImplementedError

    @pytest.fixture
    def clock(self) -> MovableClock:
        """Override: the clock of the catalogue."""
        raise NotImplementedError

    @pytest.fixture
    def grouped(self, store: Store) -> Store:
        """The catalogue, with a resource that has room for all."""
        store.register("worker_1", [Resource(name="aer", provider="aer", lanes=None)], ttl_s=TTL)
        return store

    def made(
        self, store: Store, policy: GroupPolicy, count: int, name: str = "long"
    ) -> tuple[Group, list[Job]]:
        """A running group of so many jobs."""
        one, new = store.create_group(group(name, policy))
        assert new
        jobs = fill(store, one.id, count) if count else []
        store.act_on_group(one.id, GroupAction.RUN, actor="alice")
        step(store)
        return one, jobs

    def made_unstepped(self, store: Store, policy: GroupPolicy) -> tuple[Group, list[Job]]:
        """A running group of one job, that nobody has looked at yet."""
        one, _ = store.create_group(group("unstepped", policy))
        jobs = fill(store, one.id, 1)
        store.act_on_group(one.id, GroupAction.RUN, actor="alice")
        return one, jobs

    def state(self, store: Store, one: Group) -> GroupState:
        """Where it is now."""
        return store.groups([one.id])[0].state

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

    def test_nothing_runs_before_it_is_begun(self, grouped: Store) -> None:
        one, _ = grouped.create_group(group())
        jobs = fill(grouped, one.id, 3)
        step(grouped)
        assert begun(grouped) == []
        assert [found.position for found in jobs] == [0, 1, 2]
        assert grouped.progress([one.id])[one.id] == Progress(blocked=3)

    def test_sequential_jobs_run_one_after_another(self, grouped: Store) -> None:
        one, jobs = self.made(grouped, SEQUENTIAL, 3)
        for expected in jobs:
            assert run(grouped) == [expected.id]
            step(grouped)
        assert self.state(grouped, one) is GroupState.DONE
        assert grouped.groups([one.id])[0].usage == {"seconds": 6.0, "shots": 3 * 1024.0}

    def test_no_more_are_in_flight_than_places(self, grouped: Store) -> None:
        policy = GroupPolicy(order=GroupOrder.SEQUENTIAL, max_in_flight=2)
        _, jobs = self.made(grouped, policy, 5)
        ids = [found.id for found in jobs]
        assert run(grouped) == ids[:2]
        step(grouped)
        assert run(grouped) == ids[2:4]
        step(grouped)
        assert run(grouped) == ids[4:]

    def test_a_gap_lies_between_an_end_and_the_next(
        self, grouped: Store, clock: MovableClock
    ) -> None:
        one, jobs = self.made(grouped, replace(SEQUENTIAL, gap_s=60.0), 2)
        assert run(grouped) == [jobs[0].id]
        step(grouped)
        assert begun(grouped) == []
        assert grouped.groups([one.id])[0].next_at == clock() + timedelta(seconds=60)
        clock.move(59)
        step(grouped)
        assert begun(grouped) == []
        clock.move(1)
        step(grouped)
        assert run(grouped) == [jobs[1].id]

    def test_a_clock_set_back_prolongs_no_gap(self, grouped: Store, clock: MovableClock) -> None:
        _, jobs = self.made(grouped, replace(SEQUENTIAL, gap_s=60.0), 2)
        run(grouped)
        step(grouped)
        clock.move(-24 * 3600)
        step(grouped)
        clock.move(60)
        step(grouped)
        assert run(grouped) == [jobs[1].id]

    @pytest.mark.parametrize("order", GroupOrder)
    @pytest.mark.parametrize("days", [-1, 1])
    def test_a_clock_that_jumps_a_day_holds_nothing_up_for_longer_than_a_gap(
        self, grouped: Store, clock: MovableClock, order: GroupOrder, days: int
    ) -> None:
        policy = GroupPolicy(order=order, gap_s=60.0)
        one, jobs = self.made(grouped, policy, 4)
        for direction in (days, -days):
            run(grouped)
            step(grouped)
            clock.move(direction * 24 * 3600)
            step(grouped)
            clock.move(60)
            step(grouped)
        done = {job.id for job in grouped.jobs([job.id for job in jobs]) if not job.blocked}
        assert len(done) >= 3
        while self.state(grouped, one) is not GroupState.DONE:
            assert run(grouped)
            step(grouped)
            clock.move(60)
            step(grouped)

    def test_a_gap_holds_against_one_whose_clock_is_behind(
        self, grouped: Store, clock: MovableClock
    ) -> None:
        policy = GroupPolicy(order=GroupOrder.PARALLEL, gap_s=60.0)
        _, jobs = self.made(grouped, policy, 3)
        assert begun(grouped) == [jobs[0].id]
        clock.move(-0.001)
        step(grouped)
        assert begun(grouped) == []
        clock.move(60.001)
        step(grouped)
        assert begun(grouped) == [jobs[1].id]

    @pytest.mark.parametrize("order", GroupOrder)
    def test_a_clock_set_back_within_a_gap_makes_it_no_longer(
        self, grouped: Store, clock: MovableClock, order: GroupOrder
    ) -> None:
        _, jobs = self.made(grouped, GroupPolicy(order=order, gap_s=7200.0), 2)
        assert run(grouped) == [jobs[0].id]
        step(grouped)
        clock.move(-3600)
        step(grouped)
        clock.move(7199)
        step(grouped)
        assert begun(grouped) == []
        clock.move(1)
        step(grouped)
        assert begun(grouped) == [jobs[1].id]

    def test_parallel_jobs_begin_a_gap_apart(self, grouped: Store, clock: MovableClock) -> None:
        policy = GroupPolicy(order=GroupOrder.PARALLEL, gap_s=60.0)
        _, jobs = self.made(grouped, policy, 3)
        for expected in jobs:
            assert begun(grouped) == [expected.id]
            clock.move(60)
            step(grouped)

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

    def test_a_ruling_ends_or_pauses_it(self, grouped: Store) -> None:
        one, jobs = self.made(grouped, SEQUENTIAL, 3)
        run(grouped)
        step(grouped, all=Ruling(reason="enough failed", pauses=True))
        assert self.state(grouped, one) is GroupState.PAUSED
        grouped.act_on_group(one.id, GroupAction.RUN, actor="alice")
        step(grouped, all=Ruling(reason="enough is known"))
        assert grouped.groups([one.id])[0].reason == "enough is known"
        states = [found.state for found in grouped.jobs([found.id for found in jobs])]
        assert states == [JobState.COMPLETED] + [JobState.CANCELLED] * 2
        assert self.state(grouped, one) is GroupState.DONE

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

    @pytest.mark.parametrize("seen", [True, False])
    def test_a_gap_lies_before_what_runs_again_too(
        self, grouped: Store, clock: MovableClock, seen: bool
    ) -> None:
        one, jobs = self.made(grouped, replace(SEQUENTIAL, gap_s=60.0), 2)
        ways: list[Callable[[], object]] = [
            lambda: grouped.rerun_group(one.id, actor="alice"),
            lambda: grouped.retry([jobs[0].id], actor="alice"),
        ]
        for again in ways:
            assert run(grouped, TaskState.FAILED) == [jobs[0].id]
            if seen:
                step(grouped)
            clock.move(1)
            again()
            step(grouped)
            clock.move(58)
            step(grouped)
            assert begun(grouped) == []
            clock.move(2)
            step(grouped)
        assert run(grouped) == [jobs[0].id]

    def test_nobody_is_in_the_queue_before_it_is_their_turn(
        self, grouped: Store, clock: MovableClock
    ) -> None:
        one, _ = grouped.create_group(group())
        (made,) = fill(grouped, one.id, 1)
        clock.move(7 * 24 * 3600)
        grouped.act_on_group(one.id, GroupAction.RUN, actor="alice")
        step(grouped)
        (task,) = grouped.tasks([made.id])
        assert (task.queued_at, task.ready_at, task.turn_at) == (clock(), clock(), clock())

    def test_no_group_is_judged_while_what_ended_of_it_waits_to_be_counted(
        self, grouped: Store
    ) -> None:
        ended = self.one(grouped)
        assert run(grouped) == [ended.id]
        one, _ = grouped.create_group(group(policy=GroupPolicy(stop=StopRules(failures=1))))
        (first,) = fill(grouped, one.id, 1)
        grouped.act_on_group(one.id, GroupAction.RUN, actor="alice")
        step(grouped)
        made = [job() for _ in range(1_000)]
        grouped.submit(
            [submission(*[(replace(one, after=(ended.id,)), tasks) for one, tasks in made])]
        )
        assert run(grouped, TaskState.FAILED) == [first.id]
        grouped.revise_group(one.id, name="due", policy=None, actor="alice")
        work = grouped.group_work()
        assert (len(work.turns), work.groups) == (1_000, [])
        step(grouped)
        assert grouped.groups([one.id])[0].failures == 1

    def test_large_groups_let_others_begin(self, grouped: Store) -> None:
        large = [self.made(grouped, GroupPolicy(), 0, f"large {n}")[0] for n in range(3)]
        for one in large:
            fill(grouped, one.id, 1_500)
        _, (small,) = self.made_unstepped(grouped, SEQUENTIAL)
        work = grouped.group_work()
        grouped.step_groups(work.turns, [one.id for one in work.groups], {})
        began = [grouped.progress([one.id])[one.id].queued for one in large]
        assert sum(began) <= 1_000
        assert min(began) == max(began) > 0
        assert not grouped.jobs([small.id])[0].blocked
        step(grouped)
        assert [grouped.progress([one.id])[one.id].blocked for one in large] == [0, 0, 0]

    def test_what_is_done_goes_on_when_it_is_added_to(self, grouped: Store) -> None:
        one, _ = self.made(grouped, SEQUENTIAL, 1)
        run(grouped)
        step(grouped)
        (later,) = fill(grouped, one.id, 1)
        step(grouped)
        assert run(grouped) == [later.id]

    def test_a_turn_is_worked_off_once_whoever_tries(self, grouped: Store) -> None:
        policy = GroupPolicy(order=GroupOrder.SEQUENTIAL, max_in_flight=4)
        one, _ = self.made(grouped, policy, 40)
        most = 0
        while self.state(grouped, one) is not GroupState.DONE:
            most = max(most, len(run(grouped)))
            with ThreadPoolExecutor(6) as pool:
                list(pool.map(lambda _: step(grouped), range(6)))
        assert most == 4
        assert grouped.progress([one.id])[one.id].completed == 40
        assert grouped.groups([one.id])[0].usage["seconds"] == 80.0

    def test_what_its_jobs_cost_is_known_where_their_resource_has_a_price(
        self, grouped: Store
    ) -> None:
        priced = Capabilities(price_per_task=0.5, price_per_shot=0.001)
        grouped.register(
            "worker_1",
            [Resource(name="aer", provider="aer", lanes=None, capabilities=priced)],
            ttl_s=TTL,
        )
        one, _ = self.made(grouped, SEQUENTIAL, 2)
        for _ in range(2):
            run(grouped)
            step(grouped)
        assert grouped.groups([one.id])[0].usage["cost"] == pytest.approx(2 * (0.5 + 1.024))

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

    def test_what_is_told_to_have_ended_twice_ended_once(self, grouped: Store) -> None:
        one, jobs = self.made(grouped, SEQUENTIAL, 3)
        (claim,) = grouped.claim("worker_1", [Offer(resource="aer", seconds=1e9)], ttl_s=TTL)
        for state in (TaskState.COMPLETED, TaskState.COMPLETED, TaskState.FAILED):
            grouped.finish(claim.id, [ending(execution(claim), state, seconds=2.0)])
            step(grouped)
        assert grouped.progress([one.id])[one.id] == Progress(
            completed=1, queued=1, blocked=1, shots=1024
        )
        assert grouped.groups([one.id])[0].usage["seconds"] == 2.0
        assert run(grouped) == [jobs[1].id]

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

    def test_nothing_begins_before_the_rules_are_held_against_it(self, grouped: Store) -> None:
        policy = GroupPolicy(stop=StopRules(seconds=1.0))
        one, _ = grouped.create_group(group(policy=policy))
        grouped.act_on_group(one.id, GroupAction.RUN, actor="alice")
        fill(grouped, one.id, 3)
        work = grouped.group_work()
        grouped.step_groups(work.turns, [found.id for found in work.groups], {})
        assert begun(grouped) == []
        step(grouped)
        assert len(begun(grouped)) == 3

    def test_all_that_runs_of_a_cancelled_group_is_asked_to_end(self, grouped: Store) -> None:
        one, _ = self.made(grouped, GroupPolicy(), 1_100)
        while begun(grouped):
            pass
        assert grouped.progress([one.id])[one.id].running == 1_100
        grouped.act_on_group(one.id, GroupAction.CANCEL, actor="alice")
        asked = step(grouped).cancelled
        assert len(asked) == len(set(asked)) == 1_100

    def test_what_is_used_is_counted_once(self, grouped: Store) -> None:
        one, _ = grouped.create_group(group())
        grouped.submit([replace(submission(job(parts=2)), group_id=one.id)])
        grouped.act_on_group(one.id, GroupAction.RUN, actor="alice")
        step(grouped)
        offer = Offer(resource="aer", seconds=1e9, claims=50)
        for claim, state in zip(
            grouped.claim("worker_1", [offer], ttl_s=TTL),
            (TaskState.COMPLETED, TaskState.FAILED),
            strict=True,
        ):
            grouped.finish(claim.id, [ending(execution(claim), state, seconds=2.0)])
        step(grouped)
        for expected in (6.0, 8.0):
            grouped.rerun_group(one.id, actor="alice")
            step(grouped)
            run(grouped, TaskState.FAILED if expected == 6.0 else TaskState.COMPLETED)
            step(grouped)
            assert grouped.groups([one.id])[0].usage["seconds"] == expected

    def test_what_waits_in_groups_is_in_nobodys_way(self, grouped: Store) -> None:
        one, _ = grouped.create_group(group())
        for priority in range(70):
            made = submission(job(priority=priority))
            grouped.submit([replace(made, group_id=one.id)])
        for _ in range(2):
            (answer,) = grouped.submit([submission(job("bob"))])
            assert not isinstance(answer, Exception)
            assert run(grouped) == [answer[0].id]
        grouped.submit([submission(job("bob"), job("eve"), job("eve", priority=1))])
        found = next(one for one in grouped.resources() if one.resource.name == "aer")
        assert (found.queued, found.active) == (3, 0)
        assert found.wait_s == pytest.approx(0.03)

    def test_what_many_wait_for_lets_all_of_them_begin(self, grouped: Store) -> None:
        first, second = self.one(grouped), self.one(grouped)
        made = [job() for _ in range(1_200)]
        after = (first.id, second.id)
        grouped.submit([submission(*[(replace(one, after=after), tasks) for one, tasks in made])])
        step(grouped)
        assert run(grouped) == sorted(after)
        step(grouped)
        found = []
        while ended := run(grouped):
            found += ended
        assert sorted(found) == sorted(one.id for one, _ in made)

    def test_nothing_is_lost_where_many_cancel_rerun_and_step_at_once(self, grouped: Store) -> None:
        one, jobs = self.made(grouped, GroupPolicy(max_in_flight=5), 60)
        ids = [found.id for found in jobs]
        doings: list[Callable[[int], object]] = [
            lambda turn: grouped.cancel(ids[turn % 7 :: 7], actor="alice"),
            lambda _: grouped.rerun_group(one.id, actor="alice"),
            lambda _: step(grouped),
            lambda _: step(grouped),
            lambda turn: run(grouped, TaskState.FAILED if turn % 2 else TaskState.COMPLETED),
        ]

        def again_and_again(do: Callable[[int], object]) -> None:
            for turn in range(25):
                do(turn)

        with ThreadPoolExecutor(len(doings)) as pool:
            list(pool.map(again_and_again, doings))
        grouped.rerun_group(one.id, actor="alice")
        step(grouped)
        while run(grouped):
            step(grouped)
        assert grouped.progress([one.id])[one.id].completed == 60
        assert self.state(grouped, one) is GroupState.DONE

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

    def test_a_resource_that_goes_and_comes_back_keeps_its_groups_waiting(
        self, grouped: Store, clock: MovableClock
    ) -> None:
        made = registration(clock)
        grouped.enrol(made, resource(made))
        one, _ = grouped.create_group(group())
        jobs = [job(resource="vq1") for _ in range(2)]
        grouped.submit([replace(submission(*jobs), group_id=one.id)])
        grouped.act_on_group(one.id, GroupAction.RUN, actor="alice")
        step(grouped)
        offer = [Offer(resource="vq1", seconds=1e9, claims=50)]
        for away, back in (
            (ResourceState.OFFLINE, ResourceState.ONLINE),
            (ResourceState.MAINTENANCE, ResourceState.ONLINE),
        ):
            grouped.set_resource_state("vq1", away, "it is away", actor="op")
            step(grouped)
            assert grouped.claim("worker_1", offer, ttl_s=TTL) == []
            grouped.set_resource_state("vq1", back, None, actor="op")
        grouped.withdraw("vq1", None, actor="op")
        step(grouped)
        assert grouped.claim("worker_1", offer, ttl_s=TTL) == []
        assert self.state(grouped, one) is GroupState.RUNNING
        again = registration(clock)
        grouped.enrol(again, resource(again))
        for _ in jobs:
            (claim,) = grouped.claim("worker_1", offer, ttl_s=TTL)
            grouped.finish(claim.id, [ending(execution(claim))])
            step(grouped)
        assert grouped.progress([one.id])[one.id].completed == 2

    def test_each_job_keeps_the_target_it_ran_for(self, grouped: Store) -> None:
        _, jobs = self.made(grouped, SEQUENTIAL, 2)
        for digest in ("sha256:before", "sha256:after"):
            (claim,) = grouped.claim(
                "worker_1", [Offer(resource="aer", seconds=1e9, claims=50)], ttl_s=TTL
            )
            ran = replace(execution(claim), target=digest)
            grouped.finish(claim.id, [ending(ran)])
            step(grouped)
        found = [grouped.executions(one.id)[0].target for one in jobs]
        assert found == ["sha256:before", "sha256:after"]

    def after(self, store: Store, *before: Job, on_failure: OnFailure = OnFailure.SKIP) -> Job:
        """A job that comes after others."""
        made, tasks = job()
        made = replace(made, after=tuple(one.id for one in before), on_failure=on_failure)
        (answer,) = store.submit([submission((made, tasks))])
        if isinstance(answer, Exception):
            raise answer
        return answer[0]

    def one(self, store: Store) -> Job:
        """A job on its own."""
        (answer,) = store.submit([submission(job())])
        assert not isinstance(answer, Exception)
        return answer[0]

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
