"""What every catalogue must do with the turns of a group's jobs: order, places, gaps, rules, and
what they used. Part of :class:`~quanopy.testing.store_contract.StoreContract`."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from quanopy.domain.groups import (
    GroupAction,
    GroupOrder,
    GroupPolicy,
    GroupState,
    Progress,
    Ruling,
    StopRules,
)
from quanopy.domain.resources import Capabilities, Resource
from quanopy.domain.states import JobState, ResourceState, TaskState
from quanopy.ports.claims import Offer
from quanopy.ports.store import Store
from quanopy.testing.catalogue import MovableClock, ending, execution, job, submission
from quanopy.testing.groups import SEQUENTIAL, TTL, Grouped, begun, fill, group, run, step
from quanopy.testing.registrations_contract import registration, resource


class TurnsContract(Grouped):
    """Cases over the ``store`` of the contract."""

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
            fill(grouped, one.id, 500)
        _, (small,) = self.made_unstepped(grouped, SEQUENTIAL)
        work = grouped.group_work()
        grouped.step_groups(work.turns, [one.id for one in work.groups], {})
        began = [grouped.progress([one.id])[one.id].queued for one in large]
        assert sum(began) <= 1_000
        assert min(began) == max(began) > 0
        assert not grouped.jobs([small.id])[0].blocked
        step(grouped)
        assert [grouped.progress([one.id])[one.id].blocked for one in large] == [0, 0, 0]

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
