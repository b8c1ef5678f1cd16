"""What every catalogue must do with calibrations; part of the contract of catalogues."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from quanopy.domain.calibration import Binding, CalibrationLabel
from quanopy.domain.jobs import Extent, Problem
from quanopy.domain.sightings import Sighting, Standing
from quanopy.domain.states import ExecutionState, TaskState
from quanopy.ports.claims import Offer
from quanopy.ports.events import EventQuery
from quanopy.ports.executions import ExecutionChange
from quanopy.ports.store import Store
from quanopy.testing.catalogue import MovableClock, ending, execution, job, submission
from quanopy.testing.store_cases import StoreCases

BINDING = Binding(
    label=CalibrationLabel.CLOSEST,
    snapshot="sha256:b",
    submitted="sha256:a",
    started="sha256:a",
    ended="sha256:b",
    named="cal-2",
)
_BROKEN = Problem(type="Transient", message="busy")


def sighting(clock: MovableClock, name: str = "a", *, age_s: float | None = 3600.0) -> Sighting:
    """A snapshot of ``aer`` whose vendor calibrated it so long ago."""
    key = f"calibrations/2026/03/01/{name}.tar"
    return Sighting(
        resource="aer",
        digest=f"sha256:{name}",
        format="test/1",
        metrics=2,
        calibrated_at=None if age_s is None else clock() - timedelta(seconds=age_s),
        vendor_id=f"cal-{name}",
        seen_from=clock(),
        seen_until=clock(),
        raw=Extent(key=key, offset=512, length=10),
        normal=Extent(key=key, offset=1024, length=20),
    )


def note(store: Store, found: Sighting | None, problem: Problem | None = None) -> Standing:
    """A provider was asked for the calibration of ``aer``."""
    return store.note_calibration("aer", found, problem, pause_s=300.0, actor="worker_1")[0]


class CalibrationContract(StoreCases):
    """Cases over a fresh catalogue each, with a worker that serves ``aer`` and ``qpu``."""

    def test_what_was_never_asked_for_is_known_as_that(self, store: Store) -> None:
        assert store.standings(["aer", "nobody"]) == [
            Standing(resource="aer"),
            Standing(resource="nobody"),
        ]
        assert store.standings([]) == []

    def test_a_snapshot_is_seen_from_its_first_to_its_last_sighting(
        self, store: Store, clock: MovableClock
    ) -> None:
        first = sighting(clock)
        assert note(store, first).seen == first
        clock.move(300)
        standing = note(store, replace(first, raw=Extent(key="other", offset=0, length=0)))
        assert standing.seen == replace(first, seen_until=clock())
        assert store.standings(["aer"]) == [standing]
        assert store.sighting(first.digest) == standing.seen
        assert store.sighting("sha256:nothing") is None

    def test_the_history_has_what_was_there_when_a_time_began(
        self, store: Store, clock: MovableClock
    ) -> None:
        times: list[datetime] = []
        for name in "abca":
            clock.move(100)
            times.append(clock())
            note(store, sighting(clock, name))
        assert self.names(store, None, clock()) == ["a", "c", "b", "a"]
        assert self.names(store, times[1], times[2]) == ["c", "b"]
        assert self.names(store, times[1] + timedelta(seconds=50), clock()) == ["a", "c", "b"]
        assert self.names(store, times[0] - timedelta(days=1), times[0]) == ["a"]
        assert self.names(store, None, clock(), limit=2) == ["a", "c"]
        assert self.names(store, None, times[0] - timedelta(days=1)) == []

    def names(
        self, store: Store, since: datetime | None, until: datetime, limit: int = 100
    ) -> list[str]:
        """Which snapshots were seen in a time."""
        found = store.sightings("aer", since=since, until=until, limit=limit)
        return [one.digest.removeprefix("sha256:") for one in found]

    def test_two_changes_at_one_time_keep_their_order(
        self, store: Store, clock: MovableClock
    ) -> None:
        note(store, sighting(clock, "a"))
        note(store, sighting(clock, "b"))
        clock.move(-60)
        note(store, sighting(clock, "c"))
        clock.move(120)
        assert self.names(store, None, clock()) == ["c", "b", "a"]

    def test_a_failure_is_told_and_forgets_nothing(self, store: Store, clock: MovableClock) -> None:
        note(store, sighting(clock))
        failed = note(store, None, _BROKEN)
        assert (failed.problem, failed.seen, failed.silent) == (_BROKEN, None, False)
        assert failed.sighting == sighting(clock)
        silent = note(store, None)
        assert (silent.problem, silent.seen, silent.silent) == (None, None, True)
        assert store.standings(["aer"]) == [silent]

    def test_a_new_snapshot_is_an_event_of_its_resource(
        self, store: Store, clock: MovableClock
    ) -> None:
        for name in "aab":
            note(store, sighting(clock, name))
        found = [
            (one.before, one.after, one.actor)
            for one in store.events(EventQuery()).events
            if one.kind == "resource.calibrated"
        ]
        assert found == [
            (None, "sha256:a", "worker_1"),
            ("sha256:a", "sha256:b", "worker_1"),
        ]

    def test_one_of_several_is_told_to_ask(self, store: Store, clock: MovableClock) -> None:
        names = ["aer", "qpu"]
        assert store.calibrations_due(names, hold_s=30) == {"aer", "qpu"}
        assert store.calibrations_due(names, hold_s=30) == set()
        note(store, None)
        clock.move(31)
        assert store.calibrations_due(names, hold_s=30) == {"qpu"}
        clock.move(300)
        assert store.calibrations_due(names, hold_s=30) == {"aer", "qpu"}
        assert store.calibrations_due([], hold_s=30) == set()

    def test_nobody_else_is_told_to_ask_whose_clock_is_behind(
        self, store: Store, clock: MovableClock
    ) -> None:
        assert store.calibrations_due(["aer"], hold_s=30) == {"aer"}
        clock.move(-0.001)
        assert store.calibrations_due(["aer"], hold_s=30) == set()

    def test_a_clock_that_goes_backwards_stops_no_questions(
        self, store: Store, clock: MovableClock
    ) -> None:
        store.calibrations_due(["aer"], hold_s=30)
        clock.move(-7200)
        assert store.calibrations_due(["aer"], hold_s=30) == {"aer"}

    def test_an_execution_keeps_what_it_ran_under(self, store: Store, clock: MovableClock) -> None:
        made = job()
        store.submit([submission(made)])
        (claim,) = store.claim("worker_1", [Offer(resource="aer")], ttl_s=30)
        begun = replace(execution(claim), calibration=Binding(submitted="sha256:a"))
        store.begin(claim.id, [begun], ttl_s=30)
        change = ExecutionChange(
            execution_id=begun.id, state=ExecutionState.SUBMITTED, provider_job_id="p"
        )
        store.advance(claim.id, [change])
        (found,) = store.executions(made[0].id)
        assert found.calibration == begun.calibration
        done = replace(execution(claim), id=begun.id, calibration=BINDING)
        store.finish(claim.id, [ending(done)])
        (found,) = store.executions(made[0].id)
        assert found.calibration == BINDING
        warned = [
            one for one in store.events(EventQuery()).events if one.kind == "execution.recalibrated"
        ]
        assert [(one.subject, one.job_id) for one in warned] == [(begun.id, made[0].id)]
        assert warned[0].data["ended"] == "sha256:b"

    @pytest.mark.parametrize("age_s", [3600.0, None])
    def test_a_task_waits_for_a_calibration_that_is_young_enough(
        self, store: Store, clock: MovableClock, age_s: float | None
    ) -> None:
        note(store, sighting(clock, "old", age_s=90_000.0))
        one, (task,) = job(ready_at=None)
        waiting = replace(task, awaits_s=3600.0)
        store.submit([submission((one, [waiting]))])
        assert store.ready(("aer",)) == set()
        assert store.awaited_calibrations([task.id, "task_other"]) == {task.id: 3600.0}
        assert store.note_calibration("aer", sighting(clock, "old"), pause_s=1.0)[1] == 0
        standing, released = store.note_calibration(
            "aer", sighting(clock, "new", age_s=age_s), pause_s=1.0
        )
        assert (standing.sighting is not None, released) == (True, 1)
        assert store.ready(("aer",)) == {"aer"}
        assert store.awaited_calibrations([task.id]) == {}
        assert store.note_calibration("aer", sighting(clock, "newer"), pause_s=1.0)[1] == 0

    def test_a_calibration_too_old_for_one_may_do_for_another(
        self, store: Store, clock: MovableClock
    ) -> None:
        waits = [job(ready_at=None), job(ready_at=None)]
        tasks = [
            replace(parts[0], awaits_s=seconds)
            for (_, parts), seconds in zip(waits, (60.0, 7200.0), strict=True)
        ]
        store.submit(
            [submission((one, [task])) for (one, _), task in zip(waits, tasks, strict=True)]
        )
        assert store.note_calibration("aer", sighting(clock), pause_s=1.0)[1] == 1
        (claim,) = store.claim("worker_1", [Offer(resource="aer")], ttl_s=30)
        assert [one.id for one in claim.tasks] == [tasks[1].id]

    def test_a_task_that_waits_for_at_most_so_long_is_ready_then(
        self, store: Store, clock: MovableClock
    ) -> None:
        until = clock() + timedelta(seconds=60)
        one, (task,) = job(created_at=clock(), ready_at=until)
        store.submit([submission((one, [replace(task, awaits_s=1.0)]))])
        assert store.ready(("aer",)) == set()
        clock.move(61)
        assert store.ready(("aer",)) == {"aer"}

    def test_a_task_is_put_back_to_wait(self, store: Store, clock: MovableClock) -> None:
        made = job()
        store.submit([submission(made)])
        (claim,) = store.claim("worker_1", [Offer(resource="aer")], ttl_s=30)
        back = ending(execution(claim), TaskState.QUEUED, awaits_s=7200.0)
        store.finish(claim.id, [back])
        (task,) = store.tasks([made[0].id])
        assert (task.state, task.ready_at) == (TaskState.QUEUED, None)
        assert store.ready(("aer",)) == set()
        assert store.note_calibration("aer", sighting(clock), pause_s=1.0)[1] == 1
        assert store.ready(("aer",)) == {"aer"}

    def test_where_a_task_waits_it_is_asked_as_often_as_its_demand_needs(
        self, store: Store, clock: MovableClock
    ) -> None:
        assert store.calibrations_due(["aer", "other"], hold_s=300.0) == {"aer", "other"}
        store.note_calibration("aer", sighting(clock, age_s=90_000.0), pause_s=300.0)
        store.note_calibration("other", None, pause_s=300.0)
        one, (task,) = job(ready_at=None)
        store.submit([submission((one, [replace(task, awaits_s=120.0)]))])
        clock.move(29)
        assert store.calibrations_due(["aer", "other"], hold_s=300.0) == set()
        clock.move(2)
        assert store.calibrations_due(["aer", "other"], hold_s=300.0) == {"aer"}
        assert store.calibrations_due(["aer", "other"], hold_s=300.0) == set()

    def test_what_waits_can_be_cancelled(self, store: Store, clock: MovableClock) -> None:
        one, (task,) = job(ready_at=None)
        store.submit([submission((one, [replace(task, awaits_s=7200.0)]))])
        store.cancel([one.id], actor="alice")
        assert store.note_calibration("aer", sighting(clock), pause_s=1.0)[1] == 0
        (after,) = store.tasks([one.id])
        assert after.state is TaskState.CANCELLED

    def test_what_was_cancelled_has_nothing_asked_for_it(
        self, store: Store, clock: MovableClock
    ) -> None:
        assert store.calibrations_due(["aer"], hold_s=300.0) == {"aer"}
        store.note_calibration("aer", sighting(clock, age_s=90_000.0), pause_s=300.0)
        waits = [job(ready_at=None), job(ready_at=clock() + timedelta(seconds=300))]
        tasks = [replace(parts[0], awaits_s=120.0) for _, parts in waits]
        store.submit(
            [submission((one, [task])) for (one, _), task in zip(waits, tasks, strict=True)]
        )
        ids = [task.id for task in tasks]
        assert store.awaited_calibrations(ids) == dict.fromkeys(ids, 120.0)
        store.cancel([one.id for one, _ in waits], actor="alice")
        assert store.awaited_calibrations(ids) == {}
        clock.move(60)
        assert store.calibrations_due(["aer"], hold_s=300.0) == set()

    def test_what_has_waited_long_enough_waits_no_more(
        self, store: Store, clock: MovableClock
    ) -> None:
        one, (task,) = job(created_at=clock(), ready_at=clock() + timedelta(seconds=60))
        store.submit([submission((one, [replace(task, awaits_s=1.0)]))])
        clock.move(61)
        (claim,) = store.claim("worker_1", [Offer(resource="aer")], ttl_s=30)
        assert store.awaited_calibrations([task.id]) == {}
        # Whom a cancel overtakes is not put back to wait.
        store.cancel([one.id], actor="alice")
        store.finish(claim.id, [ending(execution(claim), TaskState.QUEUED, awaits_s=1.0)])
        assert store.awaited_calibrations([task.id]) == {}
        assert store.tasks([one.id])[0].state is TaskState.CANCELLED

    def test_a_calibration_that_came_meanwhile_is_waited_for_no_more(
        self, store: Store, clock: MovableClock
    ) -> None:
        made = job()
        store.submit([submission(made)])
        (claim,) = store.claim("worker_1", [Offer(resource="aer")], ttl_s=30)
        note(store, sighting(clock))  # since it was found that there was none
        store.finish(claim.id, [ending(execution(claim), TaskState.QUEUED, awaits_s=7200.0)])
        assert store.awaited_calibrations([made[1][0].id]) == {}
        assert store.ready(("aer",)) == {"aer"}
        (again,) = store.claim("worker_1", [Offer(resource="aer")], ttl_s=30)
        store.finish(again.id, [ending(execution(again))])
        one, (task,) = job(ready_at=None)
        store.submit([submission((one, [replace(task, awaits_s=7200.0)]))])
        assert store.ready(("aer",)) == {"aer"}

    def test_no_calibration_is_missed_by_who_begins_to_wait_as_it_comes(
        self, store: Store, clock: MovableClock
    ) -> None:
        with ThreadPoolExecutor(4) as pool:
            for number in range(12):
                note(store, sighting(clock, f"old-{number}", age_s=90_000.0))
                waits = [job(ready_at=None) for _ in range(3)]
                begun = [
                    pool.submit(store.submit, [submission((one, [replace(task, awaits_s=7200.0)]))])
                    for one, (task,) in waits
                ]
                note(store, sighting(clock, f"new-{number}"))
                for each in begun:
                    each.result()
                ids = [task.id for _, (task,) in waits]
                assert store.awaited_calibrations(ids) == {}
                assert {store.tasks([one.id])[0].ready_at for one, _ in waits} != {None}

    def test_sightings_are_restored_once(
        self, store: Store, clock: MovableClock, make_store: Callable[..., Store]
    ) -> None:
        first = sighting(clock)
        note(store, first)
        clock.move(-3600)
        earlier = sighting(clock, "earlier")
        for _ in range(2):
            store.restore_sightings([replace(first, seen_from=clock()), earlier])
        clock.move(7200)
        assert self.names(store, None, clock()) == ["a", "earlier"]
        assert store.referenced([first.raw.key, "calibrations/x.tar"]) == {first.raw.key}
