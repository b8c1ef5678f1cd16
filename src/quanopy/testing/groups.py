"""Small groups, and all their steps, for tests of a catalogue and of what stands on one."""

from dataclasses import replace

import pytest

from quanopy.domain.groups import Group, GroupAction, GroupOrder, GroupPolicy, GroupState, Ruling
from quanopy.domain.ids import new_id
from quanopy.domain.jobs import Job, OnFailure
from quanopy.domain.resources import Resource
from quanopy.domain.states import TaskState
from quanopy.ports.claims import Offer
from quanopy.ports.groups import Stepped
from quanopy.ports.store import Store
from quanopy.testing.catalogue import ending, execution, job, submission
from quanopy.testing.store_cases import StoreCases

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


class Grouped(StoreCases):
    """Cases over a catalogue with groups."""

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

    def one(self, store: Store) -> Job:
        """A job on its own."""
        (answer,) = store.submit([submission(job())])
        assert not isinstance(answer, Exception)
        return answer[0]

    def after(self, store: Store, *before: Job, on_failure: OnFailure = OnFailure.SKIP) -> Job:
        """A job that comes after others."""
        made, tasks = job()
        made = replace(made, after=tuple(one.id for one in before), on_failure=on_failure)
        (answer,) = store.submit([submission((made, tasks))])
        if isinstance(answer, Exception):
            raise answer
        return answer[0]
