"""Groups and chains come back from the object folder with their jobs, and go on."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from quanopy.client import Client, drafts
from quanopy.codecs.records import GroupFate
from quanopy.domain.groups import Group, GroupAction, GroupOrder, GroupPolicy, GroupState, StopRules
from quanopy.domain.ids import new_id
from quanopy.domain.jobs import OnFailure
from quanopy.domain.requirements import Bound
from quanopy.domain.states import JobState, TaskState
from quanopy.ports.groups import GroupQuery
from quanopy.ports.objects import Objects
from quanopy.ports.store import Store
from quanopy.ports.wakeups import Topic
from quanopy.services.groups import Groups
from quanopy.services.orphans import find_orphans
from quanopy.services.packing import pack_group
from quanopy.services.rebuild import Rebuilt, rebuild
from quanopy.services.recording import Accepted
from quanopy.services.requests import act_on_group, make_group, remove_group, revise_group
from quanopy.services.verify import verify
from quanopy.storage.objects import open_objects
from quanopy.storage.regrouping import REBUILT
from quanopy.storage.store import open_store
from tests.unit.services.archives import (
    NOW,
    accepted,
    completed,
    end,
    execution,
    failed,
    later,
    send,
    submit,
    task_of,
)

BELL = """OPENQASM 3.0; include "stdgates.inc";
qubit[2] q; bit[2] c; h q[0]; cx q[0], q[1]; c = measure q;"""
PATIENCE_S = 100.0
POLICY = GroupPolicy(
    order=GroupOrder.SEQUENTIAL,
    max_in_flight=2,
    gap_s=1.5,
    stop=StopRules(
        precision=0.01, cost=3.0, deadline=later(1e9), calibration={"cx.error": Bound(most=0.1)}
    ),
)


class Silence:
    """Wake-ups that nobody listens to."""

    def notify(self, *topics: Topic) -> None:
        pass


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return open_objects((tmp_path / "objects").as_uri())


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    url = f"sqlite:///{tmp_path / 'quanopy.db'}"
    store = open_store(
        url if request.param == "sqlite" else request.getfixturevalue("postgres_dsn")
    )
    yield store
    store.close()


def group(name: str = "long", **changes: object) -> Group:
    """A group as somebody made it."""
    made = Group(
        id=new_id("group"),
        account="ada",
        name=name,
        state=GroupState.OPEN,
        policy=POLICY,
        created_at=NOW,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def keep(objects: Objects, one: Group, fate: GroupFate | None = None) -> None:
    """Have the archive know of a group."""
    key, data = pack_group(one, fate)
    objects.put({key: data})


def member(of: Group, at_s: float = 0.0) -> Accepted:
    """A job that was put into a group."""
    return replace(accepted(), group_id=of.id, created_at=later(at_s))


def following(job: Accepted, *before: Accepted, on_failure: OnFailure) -> Accepted:
    """The same, to come after others."""
    after = tuple(one.id for one in before)
    return replace(job, spec=replace(job.spec, after=after, on_failure=on_failure))


def step(store: Store, objects: Objects) -> None:
    """Do all there is to do."""
    Groups(store=store, objects=objects, wakeups=Silence(), rules=[]).step()  # type: ignore[arg-type]


def ids_in(store: Store, one: Group) -> Sequence[str]:
    return [job.id for job in store.group_jobs(one.id, limit=1000)]


def test_a_group_comes_back_paused_and_in_order(objects: Objects, store: Store) -> None:
    one = group()
    keep(objects, one)
    late = [member(one, 30.0), member(one, 30.0)]
    early = [member(one) for _ in range(3)]
    submit(objects, *late)
    submit(objects, *early)
    end(objects, [completed(task_of(early[0]))], by=execution(task_of(early[0])))
    sent = execution(task_of(early[1]))
    send(objects, sent, task_of(early[1]))

    assert rebuild(objects, store).groups == 1
    (found,) = store.groups([one.id])
    assert (found.state, found.reason, found.policy) == (GroupState.PAUSED, REBUILT, POLICY)
    assert (found.name, found.account, found.size, found.created_at) == ("long", "ada", 5, NOW)
    assert ids_in(store, one) == [job.id for job in (*early, *late)]
    assert [job.position for job in store.group_jobs(one.id, limit=9)] == [0, 1, 2, 3, 4]
    step(store, objects)
    assert store.groups([one.id])[0].usage == {"seconds": 0.25, "shots": 100.0}
    progress = store.progress([one.id])[one.id]
    assert (progress.completed, progress.running, progress.blocked) == (1, 1, 3)
    assert not any(job.held for job in store.group_jobs(one.id, limit=9))

    store.act_on_group(one.id, GroupAction.RUN, actor="ada")
    step(store, objects)
    # One of its two places is taken by what may be at the vendor.
    began = [job.id for job in store.group_jobs(one.id, limit=9) if not job.blocked]
    assert began == [job.id for job in early]


def test_doing_it_again_changes_nothing(objects: Objects, store: Store) -> None:
    one = group()
    keep(objects, one)
    jobs = [member(one) for _ in range(3)]
    chained = following(accepted(), jobs[0], on_failure=OnFailure.RUN)
    submit(objects, *jobs, chained)
    end(objects, [completed(task_of(jobs[0]))], by=execution(task_of(jobs[0])))
    rebuild(objects, store)
    store.act_on_group(one.id, GroupAction.RUN, actor="ada")
    step(store, objects)
    before = (store.groups([one.id]), store.group_jobs(one.id, limit=9), store.jobs([chained.id]))
    found = rebuild(objects, store)
    assert (found.new, found.groups) == (0, 0)
    step(store, objects)
    assert (
        *(store.groups([one.id]), store.group_jobs(one.id, limit=9)),
        store.jobs([chained.id]),
    ) == before


def test_an_older_copy_gets_what_came_since(objects: Objects, store: Store) -> None:
    one = group()
    keep(objects, one)
    jobs = [member(one, index) for index in range(3)]
    submit(objects, jobs[0])
    rebuild(objects, store)
    store.act_on_group(one.id, GroupAction.RUN, actor="ada")
    step(store, objects)
    submit(objects, jobs[1], jobs[2])
    end(objects, [completed(task_of(jobs[0]))], by=execution(task_of(jobs[0])))
    sent = execution(task_of(jobs[1]))
    send(objects, sent, task_of(jobs[1]))
    rebuild(objects, store)
    step(store, objects)
    (found,) = store.groups([one.id])
    assert (found.state, found.size) == (GroupState.PAUSED, 3)
    assert ids_in(store, one) == [job.id for job in jobs]
    states = [(job.state, job.blocked) for job in store.group_jobs(one.id, limit=9)]
    assert states == [
        (JobState.COMPLETED, False),
        (JobState.RUNNING, False),
        (JobState.QUEUED, True),
    ]


def test_an_older_copy_learns_what_had_begun(objects: Objects, store: Store) -> None:
    one = group(policy=GroupPolicy(order=GroupOrder.SEQUENTIAL))
    keep(objects, one)
    jobs = [member(one) for _ in range(2)]
    submit(objects, *jobs)
    rebuild(objects, store)
    sent = execution(task_of(jobs[0]))
    send(objects, sent, task_of(jobs[0]))
    rebuild(objects, store)
    store.act_on_group(one.id, GroupAction.RUN, actor="ada")
    step(store, objects)
    found = store.group_jobs(one.id, limit=9)
    assert [(job.state, job.blocked) for job in found] == [
        (JobState.RUNNING, False),
        (JobState.QUEUED, True),
    ]


def test_a_group_whose_jobs_have_ended_is_done(objects: Objects, store: Store) -> None:
    one = group()
    keep(objects, one)
    job = member(one)
    submit(objects, job)
    end(objects, [completed(task_of(job))], by=execution(task_of(job)))
    rebuild(objects, store)
    step(store, objects)
    assert store.groups([one.id])[0].state is GroupState.DONE


def test_a_cancelled_group_is_cancelled_and_so_is_the_rest_of_it(
    objects: Objects, store: Store
) -> None:
    one = group()
    keep(objects, one)
    keep(objects, replace(one, changed_at=later(5)), GroupFate.CANCELLED)
    jobs = [member(one) for _ in range(3)]
    submit(objects, *jobs)
    end(objects, [completed(task_of(jobs[0]))], by=execution(task_of(jobs[0])))
    rebuild(objects, store)
    step(store, objects)
    (found,) = store.groups([one.id])
    assert found.state is GroupState.CANCELLED
    assert found.ended
    states = [job.state for job in store.group_jobs(one.id, limit=9)]
    assert states == [JobState.COMPLETED, JobState.CANCELLED, JobState.CANCELLED]


def test_an_older_copy_learns_that_a_group_was_cancelled(objects: Objects, store: Store) -> None:
    one = group()
    keep(objects, one)
    submit(objects, member(one))
    rebuild(objects, store)
    keep(objects, replace(one, changed_at=later(5)), GroupFate.CANCELLED)
    rebuild(objects, store)
    step(store, objects)
    assert store.groups([one.id])[0].state is GroupState.CANCELLED
    assert [job.state for job in store.group_jobs(one.id, limit=9)] == [JobState.CANCELLED]


def test_the_latest_that_was_said_of_a_group_holds(objects: Objects, store: Store) -> None:
    one, gone = group("first"), group("gone")
    for found in (one, gone):
        keep(objects, found)
    keep(objects, replace(one, name="third", changed_at=later(9)))
    keep(objects, replace(one, name="second", changed_at=later(5)))
    keep(objects, replace(gone, changed_at=later(1)), GroupFate.REMOVED)
    left = member(gone)
    submit(objects, left)
    end(objects, [completed(task_of(left))], by=execution(task_of(left)))
    rebuild(objects, store)
    assert [found.name for found in store.list_groups(GroupQuery())] == ["third"]
    assert store.jobs([left.id])[0].group_id is None


def test_a_name_that_was_taken_since_stays_where_it_is(objects: Objects, store: Store) -> None:
    one = group()
    taken, _ = store.create_group(group(created_at=later(9)))
    keep(objects, one)
    rebuild(objects, store)
    assert store.groups([taken.id])[0].name == "long"
    assert store.groups([one.id])[0].name == f"long ({one.id})"


def test_what_comes_after_others_does_so_again(objects: Objects, store: Store) -> None:
    first, broken = accepted("first"), accepted("broken")
    waits = following(accepted("waits"), first, on_failure=OnFailure.SKIP)
    skipped = following(accepted("skipped"), broken, on_failure=OnFailure.SKIP)
    fails = following(accepted("fails"), broken, on_failure=OnFailure.FAIL)
    runs = following(accepted("runs"), broken, on_failure=OnFailure.RUN)
    submit(objects, runs, fails, skipped, waits)
    submit(objects, first, broken)
    end(objects, [failed(task_of(broken))], by=execution(task_of(broken)))
    rebuild(objects, store)
    step(store, objects)
    jobs = {
        job.name: job for job in store.jobs([o.id for o in (first, waits, skipped, fails, runs)])
    }
    assert {name: (job.state, job.blocked, job.held) for name, job in jobs.items()} == {
        "first": (JobState.QUEUED, False, True),
        "waits": (JobState.QUEUED, True, True),
        "skipped": (JobState.CANCELLED, True, True),
        "fails": (JobState.FAILED, True, True),
        # It may begin, once somebody releases it.
        "runs": (JobState.QUEUED, False, True),
    }
    assert all(
        task.ready_at is None
        for task in store.tasks([first.id, waits.id, runs.id])
        if task.state is TaskState.QUEUED
    )
    store.retry([first.id, waits.id, runs.id], actor="ada")
    step(store, objects)
    assert store.tasks([runs.id])[0].ready_at is not None
    assert store.tasks([waits.id])[0].ready_at is None


def test_what_failed_for_what_came_before_it_is_known(
    objects: Objects, store: Store, tmp_path: Path
) -> None:
    broken = accepted("broken")
    fails = following(accepted("fails"), broken, on_failure=OnFailure.FAIL)
    skipped = following(accepted("skipped"), broken, on_failure=OnFailure.SKIP)
    submit(objects, broken, fails, skipped)
    end(objects, [failed(task_of(broken))], by=execution(task_of(broken)))
    rebuild(objects, store)
    step(store, objects)
    again = open_store(f"sqlite:///{tmp_path / 'again.db'}")
    assert rebuild(objects, again) == Rebuilt(packs=4, jobs=3, new=3, finished=3)
    for job in (fails, skipped):
        (before,), (after,) = store.jobs([job.id]), again.jobs([job.id])
        assert (after.state, after.problem, after.ended_at) == (
            *(before.state, before.problem),
            before.ended_at,
        )
    again.close()


class Dying(Exception):
    """The worker dies."""


class Deadly:
    """Objects at whose keeping the worker dies."""

    def put(self, packs: Mapping[str, bytes]) -> None:
        raise Dying


def test_what_a_worker_cancelled_that_died_is_known(
    objects: Objects, store: Store, tmp_path: Path
) -> None:
    broken = accepted("broken")
    skipped = following(accepted("skipped"), broken, on_failure=OnFailure.SKIP)
    fails = following(accepted("fails"), broken, on_failure=OnFailure.FAIL)
    submit(objects, broken, fails, skipped)
    end(objects, [failed(task_of(broken))], by=execution(task_of(broken)))
    rebuild(objects, store)
    with pytest.raises(Dying):
        step(store, Deadly())  # type: ignore[arg-type]
    assert store.jobs([skipped.id])[0].state is JobState.CANCELLED
    step(store, objects)
    assert not store.group_work().unarchived
    again = open_store(f"sqlite:///{tmp_path / 'again.db'}")
    assert rebuild(objects, again).finished == 3
    assert again.jobs([skipped.id])[0].state is JobState.CANCELLED
    assert again.jobs([fails.id])[0].state is JobState.FAILED
    again.close()


def test_the_archive_is_told_what_becomes_of_a_group(objects: Objects, store: Store) -> None:
    one, new = make_group(store, objects, group())
    assert new
    assert make_group(store, objects, group())[0] == one
    revise_group(store, objects, one.id, name="renamed", policy=None, actor="ada")
    gone, _ = make_group(store, objects, group("gone"))
    remove_group(store, objects, gone.id, actor="ada")
    act_on_group(store, objects, one.id, GroupAction.CANCEL, actor="ada")
    act_on_group(store, objects, one.id, GroupAction.CANCEL, actor="ada")
    found = verify(objects)
    assert (found.packs, found.damaged) == (5, ())
    everything = timedelta(hours=-1)
    orphans = list(find_orphans(objects, store, older_than=everything))
    assert len(orphans) == 1  # what was said of `gone` while it was there


def test_a_group_is_lost_and_goes_on(tmp_path: Path) -> None:
    """A whole broker whose database is deleted in the middle of a group."""
    with Client.embedded(tmp_path) as client:
        client.set_resource_state("aer-mps", "maintenance")  # What is to run there waits.
        one = client.group("long", order="sequential", max_in_flight=1)
        one.extend(
            drafts.programs(BELL, shots=10 + index, resource="aer" if index < 3 else "aer-mps")
            for index in range(6)
        )
        one.run()
        ended = one.jobs()[:3]
        ended[-1].wait(timeout=PATIENCE_S)
        one.pause()
        group_id = one.id
    for name in ("quanopy.db", "quanopy.db-wal", "quanopy.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    objects = open_objects((tmp_path / "objects").as_uri())
    store = open_store(f"sqlite:///{tmp_path / 'quanopy.db'}")
    found = rebuild(objects, store)
    assert (found.groups, found.jobs) == (1, 6)
    store.close()
    with Client.embedded(tmp_path) as client:
        one = client.group("long")
        assert one.id == group_id
        assert one.detail().state is GroupState.PAUSED
        states = [job.status() for job in one.jobs()]
        assert states == [JobState.COMPLETED] * 3 + [JobState.QUEUED] * 3
        done = one.resume().wait(PATIENCE_S)
        assert (done.state, done.progress.completed) == (GroupState.DONE, 6)
        assert [found[0].shots for found in one.results() if found] == [10, 11, 12, 13, 14, 15]
