"""Asking providers for calibrations: what is kept, how often, and what a bad answer does."""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from time import monotonic, sleep
from typing import Any, cast

import pytest

from quanopy.domain.calibration import UNBOUND, Binding, CalibrationLabel, Metric, Snapshot
from quanopy.domain.errors import Denied
from quanopy.domain.ids import new_id
from quanopy.domain.jobs import Execution
from quanopy.domain.resources import Resource
from quanopy.domain.states import ExecutionState
from quanopy.ports.objects import Objects
from quanopy.ports.providers import Outcome, Provider
from quanopy.ports.store import Store
from quanopy.ports.wakeups import Wakeups
from quanopy.services import calibrate
from quanopy.services.calibrate import Calibrations, Pace
from quanopy.services.rounds import Rounds
from quanopy.storage.objects import open_objects
from quanopy.storage.store import open_store
from quanopy.storage.wakeups import open_wakeups
from quanopy.testing.catalogue import MovableClock
from quanopy.testing.registrations_contract import registration, resource
from tests.catalogues import new_catalogue

NOW = datetime.now(UTC)
PATIENCE_S = 60.0
SNAPSHOT = Snapshot(
    resource="qpu",
    format="test/1",
    raw=b"{}",
    metrics=[Metric(name="T1", targets=(0,), value=1e-4, unit="s")],
    calibrated_at=NOW,
    fetched_at=NOW,
)


class Vendor:
    """Publishes what it is told to, and counts how often it is asked."""

    name = "acme"

    def __init__(self, answer: object = SNAPSHOT) -> None:
        self.answer = answer
        self.asked: Counter[str] = Counter()
        self.hold = Event()
        self.hold.set()
        self.here = Event()

    def resources(self) -> list[Resource]:
        return [Resource(name=name, provider=self.name) for name in ("qpu", "other")]

    def calibration(self, resource: str) -> Any:
        self.asked[resource] += 1
        self.here.set()
        assert self.hold.wait(PATIENCE_S)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(open_store(new_catalogue(tmp_path / "catalogue.db"))) as store:
        yield store


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return open_objects((tmp_path / "objects").as_uri())


@pytest.fixture
def wakeups(tmp_path: Path) -> Iterator[Wakeups]:
    with closing(open_wakeups(f"sqlite:///{tmp_path / 'catalogue.db'}")) as wakeups:
        yield wakeups


@pytest.fixture
def calibrations(store: Store, objects: Objects, wakeups: Wakeups) -> Calibrations:
    return Calibrations(store=store, objects=objects, wakeups=wakeups)


def provider(vendor: Vendor) -> Provider:
    return cast("Provider", vendor)


def test_what_is_the_same_is_kept_once(calibrations: Calibrations, objects: Objects) -> None:
    vendor = Vendor()
    for _ in range(3):
        calibrations.ask(provider(vendor), "qpu")
    assert len(list(objects.list("calibrations"))) == 1
    vendor.answer = replace(SNAPSHOT, raw=b'{"T1":1}')
    calibrations.ask(provider(vendor), "qpu")
    assert len(list(objects.list("calibrations"))) == 2


def test_what_was_seen_lately_is_not_asked_for_again(calibrations: Calibrations) -> None:
    vendor = Vendor()
    first = calibrations.current(provider(vendor), "qpu")
    assert calibrations.current(provider(vendor), "qpu") == first
    assert vendor.asked["qpu"] == 1
    calibrations.current(provider(vendor), "qpu", fresh_s=0.0)
    assert vendor.asked["qpu"] == 2


def test_what_another_process_saw_lately_is_not_asked_for_again(
    store: Store, objects: Objects, wakeups: Wakeups
) -> None:
    vendor = Vendor()
    for _ in range(2):
        each = Calibrations(store=store, objects=objects, wakeups=wakeups)
        assert each.current(provider(vendor), "qpu").seen is not None
    assert vendor.asked["qpu"] == 1


def test_what_another_process_has_noted_since_is_taken_for_what_is_demanded(
    calibrations: Calibrations, store: Store, objects: Objects, wakeups: Wakeups
) -> None:
    vendor = Vendor()
    old = calibrations.current(provider(vendor), "qpu")
    vendor.answer = replace(SNAPSHOT, raw=b'{"T1":1}')
    other = Calibrations(store=store, objects=objects, wakeups=wakeups)
    new = other.ask(provider(vendor), "qpu")
    asked = vendor.asked["qpu"]
    assert calibrations.current(provider(vendor), "qpu") == old
    assert calibrations.current(provider(vendor), "qpu", noted=True).sighting == new.sighting
    assert vendor.asked["qpu"] == asked


def test_what_is_remembered_of_a_registered_resource_is_not_the_next_owners(
    calibrations: Calibrations, store: Store
) -> None:
    clock = MovableClock()
    vendor = Vendor()
    first = registration(clock, "qpu")
    store.enrol(first, resource(first))
    alices = calibrations.current(provider(vendor), "qpu")
    assert alices.seen is not None
    store.withdraw("qpu", first.id, actor="alice")
    second = registration(clock, "qpu", "mallory")
    store.enrol(second, resource(second))
    vendor.answer = Denied("not yet")
    mallorys = calibrations.current(provider(vendor), "qpu")
    assert (mallorys.owner, mallorys.sighting) == ("mallory", None)
    assert calibrations.begun("qpu", datetime.now(UTC), mallorys) == UNBOUND


def test_an_answer_that_comes_when_the_name_has_passed_on_is_not_the_next_owners(
    calibrations: Calibrations, store: Store
) -> None:
    clock = MovableClock()
    first, second = registration(clock, "qpu"), registration(clock, "qpu", "mallory")
    store.enrol(first, resource(first))

    class Slow(Vendor):
        """Answers when another has the name."""

        def calibration(self, resource_name: str) -> Any:
            store.withdraw("qpu", first.id, actor="alice")
            store.enrol(second, resource(second))
            return super().calibration(resource_name)

    mallorys = calibrations.ask(provider(Slow()), "qpu")
    assert (mallorys.owner, mallorys.sighting, mallorys.asked_at) == ("mallory", None, None)
    assert calibrations.current(provider(Vendor()), "qpu").seen is not None


def test_what_starts_or_ends_does_not_wait_for_who_did_not_answer(
    calibrations: Calibrations,
) -> None:
    vendor = Vendor(Denied("no"))
    for _ in range(3):
        assert calibrations.current(provider(vendor), "qpu", fresh_s=0.0).problem is not None
    assert vendor.asked["qpu"] == 1
    vendor.answer = SNAPSHOT
    calibrations.ask(provider(vendor), "qpu")  # as its rounds do
    assert calibrations.current(provider(vendor), "qpu").seen is not None


def test_what_was_seen_before_an_end_does_not_tell_what_came_after(
    calibrations: Calibrations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibrate, "_MOMENT_S", 0.0)
    vendor = Vendor()
    of = provider(vendor)
    begun = calibrations.begun("qpu", datetime.now(UTC), calibrations.current(of, "qpu"))
    vendor.answer = replace(SNAPSHOT, raw=b'{"new":1}')
    sent = ended(begun)
    first, second = (calibrations.concluded(of, sent, []) for _ in range(2))
    assert first == second
    assert (first.label, first.changed) == (CalibrationLabel.CLOSEST, True)
    assert vendor.asked["qpu"] == 2, "one look for all that has ended meanwhile"


def test_a_thousand_that_end_under_an_older_set_cost_one_look(calibrations: Calibrations) -> None:
    vendor = Vendor(replace(SNAPSHOT, vendor_id="set-1"))
    of = provider(vendor)
    sent = ended(calibrations.begun("qpu", datetime.now(UTC), calibrations.current(of, "qpu")))
    vendor.answer = replace(SNAPSHOT, raw=b'{"new":1}', vendor_id="set-2")
    calibrations.ask(of, "qpu")
    before, began = vendor.asked["qpu"], monotonic()
    for name in ("set-1", "set-never-seen"):
        outcome = Outcome(result=b"[]", calibration=name)
        found = {calibrations.concluded(of, sent, [outcome]).label for _ in range(500)}
        known = name == "set-1"
        assert found == {CalibrationLabel.EXACT if known else CalibrationLabel.CLOSEST}
    looks, took_s = vendor.asked["qpu"] - before, monotonic() - began
    assert looks <= took_s + 1, "a second has one look at most"


def ended(begun: Binding) -> Execution:
    """An execution that was sent, and ended, just now."""
    now = datetime.now(UTC)
    return Execution(
        id=new_id("exec"),
        resource="qpu",
        provider="acme",
        account="alice",
        state=ExecutionState.COMPLETED,
        tasks=(),
        created_at=now,
        ended_at=now,
        calibration=begun,
    )


def test_many_threads_ask_once(calibrations: Calibrations) -> None:
    vendor = Vendor()
    vendor.hold.clear()
    threads = [
        Thread(target=calibrations.current, args=(provider(vendor), "qpu")) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    assert vendor.here.wait(PATIENCE_S)
    vendor.hold.set()
    for thread in threads:
        thread.join()
    assert vendor.asked["qpu"] == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"raw": b"{\n}"}, "raw"),
        ({"raw": b"x" * (32 * 1024 * 1024 + 1)}, "raw"),
        ({"format": ""}, "format"),
        ({"format": "a\nb"}, "format"),
        ({"vendor_id": "x" * 201}, "vendor_id"),
        ({"calibrated_at": datetime(2026, 1, 1)}, "calibrated_at"),  # noqa: DTZ001
        ({"metrics": [Metric(name="T1", value=float("nan"))]}, r"metrics\[0\].value"),
        ({"metrics": [Metric(name="T1", value=1, targets=(-1,))]}, r"metrics\[0\].targets"),
        ({"metrics": [Metric(name="\u202e", value=1)]}, r"metrics\[0\].name"),
        ({"metrics": [Metric(name="T1", value=1, unit="\n")]}, r"metrics\[0\].unit"),
    ],
)
def test_a_bad_answer_is_a_problem_that_says_what_was_wrong(
    calibrations: Calibrations, objects: Objects, change: dict[str, Any], said: str
) -> None:
    standing = calibrations.ask(provider(Vendor(replace(SNAPSHOT, **change))), "qpu")
    assert standing.seen is None
    assert standing.problem is not None
    assert standing.problem.type == "Rejected"
    assert re.search(said, standing.problem.message)
    assert list(objects.list("calibrations")) == []


@pytest.mark.parametrize(
    ("error", "kind"), [(Denied("no"), "Denied"), (RuntimeError("a secret"), "TaskFailed")]
)
def test_a_provider_that_fails_is_noted(
    calibrations: Calibrations, error: Exception, kind: str
) -> None:
    standing = calibrations.ask(provider(Vendor(error)), "qpu")
    assert standing.problem is not None
    assert standing.problem.type == kind
    assert "secret" not in standing.problem.message


class Untouched:
    """A store that nothing may be asked of."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} was asked of the store")


def test_an_emulator_without_noise_costs_the_store_nothing() -> None:
    nothing = cast("Any", Untouched())
    calibrations = Calibrations(store=nothing, objects=nothing, wakeups=nothing)
    vendor = Vendor(answer=None)
    assert [calibrations.of_emulator(provider(vendor), "qpu") for _ in range(3)] == [UNBOUND] * 3
    assert vendor.asked["qpu"] == 1


def test_an_emulator_with_noise_is_asked_once_and_always_exact(
    calibrations: Calibrations, store: Store
) -> None:
    vendor = Vendor()
    first = calibrations.of_emulator(provider(vendor), "qpu")
    assert (first.label, first.snapshot) == (CalibrationLabel.EXACT, SNAPSHOT.digest)
    store.close()
    assert calibrations.of_emulator(provider(vendor), "qpu") is first
    assert vendor.asked["qpu"] == 1


def test_a_slow_resource_is_asked_beside_all_else_and_ends_with_its_worker(
    store: Store, calibrations: Calibrations, objects: Objects, wakeups: Wakeups
) -> None:
    slow, quick = Vendor(), Vendor()
    slow.hold.clear()
    slow.name = "slow"
    rounds = Rounds(cast("Any", slow), store=store, calibrations=calibrations)
    try:
        assert slow.here.wait(PATIENCE_S)
        assert calibrations.ask(provider(quick), "quick").seen is not None
        rounds.halt()
    finally:
        slow.hold.set()
        rounds.join()
    assert sum(slow.asked.values()) == 1, "it was stopped before the second"


def test_of_two_workers_one_asks(store: Store, objects: Objects, wakeups: Wakeups) -> None:
    vendor = Vendor()
    pace = Pace(every_s=3600.0)
    both = [
        Rounds(
            cast("Any", vendor),
            store=store,
            calibrations=Calibrations(store=store, objects=objects, wakeups=wakeups, pace=pace),
        )
        for _ in range(2)
    ]
    until = monotonic() + PATIENCE_S
    while sum(vendor.asked.values()) < 2 and monotonic() < until:
        sleep(0.01)
    for rounds in both:
        rounds.halt()
    for rounds in both:
        rounds.join()
    assert vendor.asked == {"qpu": 1, "other": 1}
