"""What every catalogue must do with what receipts tell of; part of the contract of catalogues."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from quanopy.domain.errors import Conflict, InvalidTransition
from quanopy.domain.events import TOLD, Event, Position
from quanopy.domain.groups import Group, GroupPolicy, GroupState
from quanopy.domain.ids import new_id
from quanopy.domain.imports import Imported
from quanopy.domain.jobs import Execution
from quanopy.domain.states import ExecutionState, JobState, TaskState
from quanopy.ports.archive import Told, ToldGroup
from quanopy.ports.claims import Offer
from quanopy.ports.events import EventQuery
from quanopy.ports.store import Store
from quanopy.testing.calibration_contract import BINDING, note, sighting
from quanopy.testing.catalogue import MovableClock, job
from quanopy.testing.store_cases import StoreCases

RECEIPT = "sha256:5f1c"


def imported(at: datetime) -> Imported:
    """From another broker, a day ago."""
    return Imported(
        receipt=RECEIPT,
        broker="https://broker.example",
        account="bob",
        exported_at=at - timedelta(days=1),
        imported_at=at,
        by="alice",
    )


def told(clock: MovableClock, account: str = "alice", **changes: object) -> Told:
    """A job that failed elsewhere, an hour long."""
    begun, ended = clock() - timedelta(hours=2), clock() - timedelta(hours=1)
    made, (task,) = job(account, created_at=begun)
    of = Execution(
        id=new_id("exec"),
        resource="far",
        provider="elsewhere",
        account=account,
        state=ExecutionState.COMPLETED,
        tasks=(task.id,),
        created_at=begun,
        provider_job_id="d1a2",
        ended_at=ended,
        usage={"seconds": 3600.0},
        calibration=BINDING,
    )
    final = replace(
        made,
        resource="far",
        state=JobState.FAILED,
        started_at=begun,
        ended_at=ended,
        imported=imported(clock()),
        **changes,  # type: ignore[arg-type]
    )
    part = replace(
        task,
        resource="far",
        state=TaskState.FAILED,
        ready_at=None,
        attempt=2,
        execution_id=of.id,
        started_at=begun,
        ended_at=ended,
    )
    event = Event(
        position=Position(), at=ended, subject=made.id, kind="job.failed", actor="worker_far"
    )
    return Told(job=final, tasks=[part], executions=[of], events=[event])


class ToldContract(StoreCases):
    """Cases over a fresh catalogue each, with a worker that serves ``aer`` and ``qpu``."""

    def test_what_is_told_of_reads_back_as_it_was_told(
        self, store: Store, clock: MovableClock
    ) -> None:
        one = told(clock, name="bell", tags=("x",))
        assert store.tell([one], []) == {one.job.id}
        assert store.jobs([one.job.id]) == [one.job]
        assert store.tasks([one.job.id]) == one.tasks
        (of,) = one.executions
        assert store.executions_by_id([of.id, new_id("exec")]) == [of]
        assert store.executions(one.job.id) == [of]
        events = store.events(EventQuery(job_ids=[one.job.id])).events
        assert [(event.kind, event.actor) for event in events] == [
            ("job.failed", "worker_far"),
            ("job.imported", "alice"),
        ]
        first, last = events
        assert (first.at, first.data, first.account) == (
            one.events[0].at,
            {TOLD: RECEIPT},
            "alice",
        )
        assert (last.at, last.data["broker"]) == (clock(), "https://broker.example")
        assert store.claim("worker_1", [Offer(resource="aer")], ttl_s=30) == []

    def test_telling_again_changes_nothing(self, store: Store, clock: MovableClock) -> None:
        one = told(clock)
        store.tell([one], [])
        before = store.events(EventQuery()).events
        assert store.tell([replace(one, job=replace(one.job, name="other"))], []) == set()
        assert store.jobs([one.job.id]) == [one.job]
        assert store.events(EventQuery()).events == before

    def test_an_execution_that_says_something_else_is_a_conflict(
        self, store: Store, clock: MovableClock
    ) -> None:
        one, other = told(clock), told(clock)
        store.tell([one], [])
        forged = replace(one.executions[0], provider_job_id="another")
        part = replace(other.tasks[0], execution_id=forged.id)
        with pytest.raises(Conflict, match=forged.id):
            store.tell([replace(other, executions=[forged], tasks=[part])], [])
        assert store.jobs([other.job.id]) == []
        # Two jobs may have shared one.
        shared = replace(other, executions=one.executions, tasks=[part])
        assert store.tell([shared], []) == {other.job.id}

    def test_a_task_that_is_there_is_a_conflict(self, store: Store, clock: MovableClock) -> None:
        one, other = told(clock), told(clock)
        store.tell([one], [])
        part = replace(one.tasks[0], job_id=other.job.id)
        with pytest.raises(Conflict):
            store.tell([replace(other, tasks=[part])], [])
        assert store.jobs([other.job.id]) == []

    def test_what_was_told_of_does_not_run_again(self, store: Store, clock: MovableClock) -> None:
        one = told(clock)
        store.tell([one], [])
        with pytest.raises(InvalidTransition, match="imported"):
            store.retry([one.job.id], actor="alice")

    def test_a_snapshot_that_was_told_of_is_no_sign_of_how_things_stand(
        self, store: Store, clock: MovableClock
    ) -> None:
        there, seen = sighting(clock, "there"), sighting(clock, "seen")
        store.tell([], [there])
        assert store.sighting(there.digest) == there
        assert store.standings(["aer"])[0].sighting is None
        assert store.sightings("aer", since=None, until=clock(), limit=9) == []
        assert store.referenced([there.raw.key]) == {there.raw.key}
        note(store, seen)
        first = store.sighting(seen.digest)
        clock.move(60)
        note(store, sighting(clock, "between"))
        clock.move(60)
        note(store, seen)
        found = store.first_sightings([there.digest, seen.digest, "sha256:none"])
        assert found == [first, there]

    def test_anothers_job_joins_no_group_that_is_told_of(
        self, store: Store, clock: MovableClock
    ) -> None:
        theirs = told(clock, "bob")
        store.tell([theirs], [])
        group = Group(
            id=new_id("group"),
            account="alice",
            name="mine",
            state=GroupState.DONE,
            policy=GroupPolicy(),
            created_at=clock(),
            size=1,
            ended_at=clock(),
        )
        places = {theirs.job.id: 0}
        whole = ToldGroup(group=group, imported=imported(clock()), positions=places, events=[])
        store.tell([], [], whole)
        assert store.group_jobs(group.id, limit=9) == []
        assert store.jobs([theirs.job.id])[0].group_id is None

    def test_a_group_that_was_told_of_has_its_jobs_in_their_places(
        self, store: Store, clock: MovableClock
    ) -> None:
        early, late = told(clock), told(clock)
        group = Group(
            id=new_id("group"),
            account="alice",
            name="far",
            state=GroupState.DONE,
            policy=GroupPolicy(max_in_flight=2),
            created_at=clock(),
            size=5,
            ended_at=clock(),
        )
        positions = {late.job.id: 4, early.job.id: 1}
        whole = ToldGroup(group=group, imported=imported(clock()), positions=positions, events=[])
        store.tell([early], [])
        placed = replace(late, job=replace(late.job, group_id=group.id, position=4))
        assert store.tell([placed], [], whole) == {late.job.id}
        assert store.groups([group.id]) == [group]
        jobs = store.group_jobs(group.id, limit=9)
        assert [(one.id, one.position) for one in jobs] == [(early.job.id, 1), (late.job.id, 4)]
        events = store.events(EventQuery(group_id=group.id)).events
        assert [event.kind for event in events if event.subject == group.id] == ["group.imported"]
        assert store.tell([placed], [], whole) == set()
        with pytest.raises(InvalidTransition, match="imported"):
            store.rerun_group(group.id, actor="alice")
        namesake = replace(whole, group=replace(group, id=new_id("group")), positions={})
        with pytest.raises(Conflict, match="far"):
            store.tell([], [], namesake)
