"""What executions ran under, at a vendor whose machine is calibrated anew meanwhile."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from quanopy.codecs.calibrations import decode_metrics
from quanopy.domain.calibration import UNBOUND, Binding, CalibrationLabel
from quanopy.domain.jobs import Execution, Options
from quanopy.domain.sightings import Sighting
from quanopy.domain.states import ExecutionState, JobState
from quanopy.ports.wakeups import Topic
from quanopy.services.orphans import find_orphans
from quanopy.services.rebuild import rebuild
from quanopy.services.verify import verify
from quanopy.storage.store import open_store
from quanopy.testing.fake_provider import FakeProvider
from quanopy.testing.fake_vendor import TOKEN
from tests.integration.workplace import Workplace
from tests.servers.vendor import FakeVendorServer

MORNING: dict[str, Any] = {"id": "cal-1", "at": "2026-03-01T08:00:00+00:00", "t1_us": [90, 110]}
EVENING: dict[str, Any] = {"id": "cal-2", "at": "2026-03-01T20:00:00+00:00", "t1_us": [80, 120]}
MS = timedelta(milliseconds=1)


@pytest.fixture(scope="module")
def servers() -> Iterator[FakeVendorServer]:
    with FakeVendorServer() as server:
        yield server


@pytest.fixture
def vendor(servers: FakeVendorServer) -> FakeVendorServer:
    servers.script(calibration=MORNING)
    return servers


def provider(vendor: FakeVendorServer, **options: Any) -> FakeProvider:
    """The fake, which asks often and waits for answers."""
    return FakeProvider(
        vendor.url, token=TOKEN, request_timeout_s=20.0, poll_interval_s=0.05, **options
    )


def seen(place: Workplace, name: str = "cal-1") -> Sighting:
    """The machine's calibration, once a worker has seen that of this name."""

    def look() -> Sighting | None:
        (standing,) = place.store.standings(["fake"])
        return standing.sighting

    def known(one: Sighting | None) -> bool:
        # Jobs made from now on were made after it: their ids tell whole milliseconds.
        return one is not None and one.vendor_id == name and datetime.now(UTC) > one.seen_from + MS

    found = place.wait_for(look, known)
    assert found is not None
    return found


def ended(place: Workplace, job_id: str) -> Execution:
    """A job's one execution, at its end."""
    place.wait([job_id])
    (execution,) = place.store.executions(job_id)
    return execution


def running(place: Workplace, job_id: str) -> None:
    """Wait until the vendor has it."""
    place.wait_for(
        lambda: [one.state for one in place.store.executions(job_id)],
        lambda states: states[:1] in ([ExecutionState.SUBMITTED], [ExecutionState.RUNNING]),
    )


def test_an_execution_under_one_calibration_is_bound_to_it_exactly(
    place: Workplace, vendor: FakeVendorServer
) -> None:
    place.worker(provider(vendor))
    known = seen(place)
    (job_id,) = place.submit(1, "fake")
    digest = known.digest
    assert ended(place, job_id).calibration == Binding(
        label=CalibrationLabel.EXACT,
        snapshot=digest,
        submitted=digest,
        started=digest,
        ended=digest,
    )
    assert "execution.recalibrated" not in place.history(job_id)


def test_a_change_while_it_runs_leaves_the_closest_and_a_warning(
    place: Workplace, vendor: FakeVendorServer
) -> None:
    vendor.script(calibration=MORNING, run_s=3600.0)
    place.worker(provider(vendor))
    morning = seen(place)
    (job_id,) = place.submit(1, "fake")
    running(place, job_id)
    vendor.script(calibration=EVENING, run_s=3600.0)
    evening = seen(place, "cal-2")
    vendor.script(calibration=EVENING)
    found = ended(place, job_id).calibration
    assert found.label is CalibrationLabel.CLOSEST
    assert (found.submitted, found.started, found.ended) == (
        morning.digest,
        morning.digest,
        evening.digest,
    )
    assert found.changed
    assert "execution.recalibrated" in place.history(job_id)


def test_a_result_that_names_its_calibration_is_exact_though_it_changed(
    place: Workplace, vendor: FakeVendorServer
) -> None:
    vendor.script(calibration=MORNING, run_s=3600.0, names_calibration=True)
    place.worker(provider(vendor))
    morning = seen(place)
    (job_id,) = place.submit(1, "fake")
    running(place, job_id)
    vendor.script(calibration=EVENING, run_s=3600.0, names_calibration=True)
    seen(place, "cal-2")
    vendor.script(calibration=EVENING, names_calibration=True)
    found = ended(place, job_id).calibration
    assert (found.label, found.snapshot) == (CalibrationLabel.EXACT, morning.digest)
    assert found.named == "cal-1"


def test_a_machine_that_publishes_none_leaves_it_unknown(
    place: Workplace, vendor: FakeVendorServer
) -> None:
    vendor.script()
    place.worker(provider(vendor))
    (job_id,) = place.submit(1, "fake")
    assert ended(place, job_id).calibration == UNBOUND
    (standing,) = place.store.standings(["fake"])
    assert standing.silent


@pytest.mark.parametrize("fault", ["busy", "denied", "cut", "malformed", "strange"])
def test_a_vendor_that_does_not_tell_its_calibration_fails_nothing(
    place: Workplace, vendor: FakeVendorServer, fault: str
) -> None:
    vendor.script(calibration=MORNING, next={"calibration": [fault] * 1000})
    place.worker(provider(vendor))
    (job_id,) = place.submit(1, "fake")
    execution = ended(place, job_id)
    assert execution.state is ExecutionState.COMPLETED
    assert execution.calibration == UNBOUND
    (standing,) = place.store.standings(["fake"])
    assert standing.problem is not None
    assert TOKEN not in standing.problem.message


def test_a_change_back_is_a_history_of_three(place: Workplace, vendor: FakeVendorServer) -> None:
    place.worker(provider(vendor))
    morning = seen(place)
    for name, calibration in (("cal-2", EVENING), ("cal-1", MORNING)):
        vendor.script(calibration=calibration)
        last = seen(place, name)
    history = place.store.sightings("fake", since=None, until=last.seen_until, limit=10)
    assert [one.vendor_id for one in history] == ["cal-1", "cal-2", "cal-1"]
    assert history[0].digest == morning.digest
    raw, normal = place.objects.read([last.raw, last.normal])
    assert b'"t1_us":[90,110]' in raw
    first, second = decode_metrics(normal)
    assert (first.name, first.targets, first.unit) == ("T1", (0,), "s")
    assert [first.value, second.value] == pytest.approx([90e-6, 110e-6])


# -- demands ----------------------------------------------------------------------------------
def fresh(name: str = "cal-3", *, age_s: float = 0.0) -> dict[str, Any]:
    """A calibration of so long ago."""
    made = datetime.now(UTC) - timedelta(seconds=age_s)
    return {"id": name, "at": made.isoformat(), "t1_us": [100, 100]}


def test_a_job_waits_for_a_calibration_that_is_young_enough(
    place: Workplace, vendor: FakeVendorServer
) -> None:
    place.worker(provider(vendor))
    seen(place)
    (job_id,) = place.submit(1, "fake", options=Options(max_calibration_age_s=3600.0))
    place.wait_for(lambda: place.history(job_id), lambda kinds: kinds.count("task.queued") == 1)
    (task,) = place.store.tasks([job_id])
    assert task.ready_at is None
    assert task.problem is not None
    assert "is asked for" in task.problem.message
    assert vendor.counts()["accepted"].get(task.id) is None
    vendor.script(calibration=fresh())
    assert ended(place, job_id).state is ExecutionState.COMPLETED
    (done,) = place.store.jobs([job_id])
    assert done.state is JobState.COMPLETED


def test_a_job_waits_only_so_long(place: Workplace, vendor: FakeVendorServer) -> None:
    place.worker(provider(vendor))
    seen(place)
    options = Options(max_calibration_age_s=3600.0, max_calibration_wait_s=0.3)
    (job_id,) = place.submit(1, "fake", options=options)
    (job,) = place.wait([job_id])
    assert job.state is JobState.FAILED
    assert job.problem is not None
    assert job.problem.message.startswith("calibration age: ")


def test_a_job_runs_under_the_calibration_of_another_or_not_at_all(
    place: Workplace, vendor: FakeVendorServer
) -> None:
    place.worker(provider(vendor))
    seen(place)
    (first,) = place.submit(1, "fake")
    digest = ended(place, first).calibration.snapshot
    options = Options(same_calibration_as=first)
    (second,) = place.submit(1, "fake", options=options)
    assert ended(place, second).calibration.snapshot == digest
    vendor.script(calibration=EVENING)
    seen(place, "cal-2")
    (third,) = place.submit(1, "fake", options=options)
    (job,) = place.wait([third])
    assert job.state is JobState.FAILED
    assert job.problem is not None
    assert "calibrated anew" in job.problem.message


def test_a_calibration_is_restored_from_the_archive_alone(
    place: Workplace, vendor: FakeVendorServer, tmp_path: Path
) -> None:
    worker = place.worker(provider(vendor))
    seen(place)
    (job_id,) = place.submit(1, "fake")
    before = ended(place, job_id)
    vendor.script(calibration=EVENING)
    latest = seen(place, "cal-2")
    worker.stop()
    assert verify(place.objects).damaged == ()
    with closing(open_store(f"sqlite:///{tmp_path / 'new.db'}")) as store:
        found = rebuild(place.objects, store)
        assert (found.snapshots, found.damaged) == (2, ())
        (after,) = store.executions(job_id)
        assert after.calibration == before.calibration
        history = store.sightings("fake", since=None, until=datetime.now(UTC), limit=10)
        assert [one.vendor_id for one in history] == ["cal-2", "cal-1"]
        assert (history[0].digest, history[0].raw) == (latest.digest, latest.raw)
        orphans = find_orphans(place.objects, store, older_than=timedelta(seconds=-60))
        assert list(orphans) == []


def test_a_rebuild_knows_how_long_each_calibration_was_seen(
    place: Workplace, vendor: FakeVendorServer, tmp_path: Path
) -> None:
    worker = place.worker(provider(vendor))
    first = seen(place)
    place.wait_for(
        lambda: place.store.standings(["fake"])[0].sighting,
        lambda one: one is not None and one.seen_until > first.seen_from,
    )
    vendor.script(calibration=EVENING)
    seen(place, "cal-2")
    worker.stop()
    _, before = place.store.sightings("fake", since=None, until=datetime.now(UTC), limit=10)
    assert before.seen_until > before.seen_from
    with closing(open_store(f"sqlite:///{tmp_path / 'new.db'}")) as store:
        rebuild(place.objects, store)
        _, after = store.sightings("fake", since=None, until=datetime.now(UTC), limit=10)
        assert (after.digest, after.seen_until) == (before.digest, before.seen_until)


def test_a_job_that_waited_demands_the_same_after_a_rebuild(
    place: Workplace, vendor: FakeVendorServer, tmp_path: Path
) -> None:
    worker = place.worker(provider(vendor))
    seen(place)
    (job_id,) = place.submit(1, "fake", options=Options(max_calibration_age_s=3600.0))
    place.wait_for(lambda: place.history(job_id), lambda kinds: "task.queued" in kinds)
    worker.stop()
    with Workplace(f"sqlite:///{tmp_path / 'new.db'}", place.folder) as new:
        rebuild(new.objects, new.store)
        new.worker(provider(vendor))
        new.store.retry([job_id], actor="ada")
        new.wakeups.notify(Topic.WORK)
        new.wait_for(lambda: new.history(job_id), lambda kinds: "task.queued" in kinds)
        (task,) = new.store.tasks([job_id])
        assert (task.ready_at, vendor.counts()["accepted"].get(task.id)) == (None, None)
        vendor.script(calibration=fresh())
        assert ended(new, job_id).state is ExecutionState.COMPLETED
