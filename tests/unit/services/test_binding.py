"""Which snapshot an execution ran under, by all that was seen."""

from datetime import UTC, datetime, timedelta

import pytest

from quanopy.domain.calibration import UNBOUND, Binding, CalibrationLabel
from quanopy.domain.jobs import Extent
from quanopy.domain.sightings import Sighting
from quanopy.services.binding import Run, concluded

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PLACE = Extent(key="calibrations/test.tar", offset=0, length=1)


def at(minutes: float) -> datetime:
    """So long after noon."""
    return NOON + timedelta(minutes=minutes)


def seen(name: str, minutes: float, *, calibrated: float | None = None) -> Sighting:
    """A snapshot seen first at a time, and calibrated at another."""
    return Sighting(
        resource="qpu",
        digest=name,
        format="test/1",
        metrics=0,
        calibrated_at=None if calibrated is None else at(calibrated),
        vendor_id=f"cal-{name}",
        seen_from=at(minutes),
        seen_until=at(minutes),
        raw=PLACE,
        normal=PLACE,
    )


def ran(begins: float = 1, ends: float = 9, *, by_vendor: bool = False) -> Run:
    """Sent at noon, and ran then."""
    return Run(sent_at=at(0), began_at=at(begins), ended_at=at(ends), by_vendor=by_vendor)


BEGUN = Binding(submitted="a", started="a")
A, B = seen("a", -60), seen("b", 5)


def test_the_same_before_and_after_is_exact() -> None:
    assert concluded(BEGUN, ran(), A, None, [A]) == Binding(
        label=CalibrationLabel.EXACT, snapshot="a", submitted="a", started="a", ended="a"
    )


def test_another_between_two_that_are_the_same_leaves_it_open() -> None:
    back = seen("a", 8)
    found = concluded(BEGUN, ran(), back, None, [back, B, A])
    assert found.label is CalibrationLabel.CLOSEST


@pytest.mark.parametrize(("begins", "ends", "nearest"), [(1, 4, "a"), (1, 8, "a"), (3, 9, "b")])
def test_after_a_change_the_one_in_force_half_way_is_closest(
    begins: float, ends: float, nearest: str
) -> None:
    found = concluded(BEGUN, ran(begins, ends), B, None, [B, A])
    assert (found.label, found.snapshot) == (CalibrationLabel.CLOSEST, nearest)
    assert found.changed


def test_the_vendors_time_of_a_calibration_counts_more_than_when_it_was_seen() -> None:
    late = seen("b", 30, calibrated=2)
    found = concluded(BEGUN, ran(by_vendor=True), late, None, [late, A])
    assert found.snapshot == "b"


def test_a_vendors_clock_that_is_ahead_is_not_mixed_with_ours() -> None:
    ahead = seen("b", 2, calibrated=600)
    assert concluded(BEGUN, ran(), ahead, None, [ahead, A]).snapshot == "b"
    by_theirs = Run(sent_at=at(0), began_at=at(598), ended_at=at(599), by_vendor=True)
    assert concluded(BEGUN, by_theirs, ahead, None, [ahead, A]).snapshot == "a"


def test_what_the_vendor_names_is_exact() -> None:
    found = concluded(BEGUN, ran(), B, "cal-a", [B, A])
    assert (found.label, found.snapshot, found.named) == (CalibrationLabel.EXACT, "a", "cal-a")


def test_a_name_that_nobody_has_seen_makes_nothing_exact() -> None:
    found = concluded(BEGUN, ran(), A, "cal-other", [A])
    assert (found.label, found.snapshot, found.named) == (
        CalibrationLabel.CLOSEST,
        "a",
        "cal-other",
    )


@pytest.mark.parametrize(
    ("begun", "ended"), [(UNBOUND, A), (Binding(submitted="a", started="a"), None)]
)
def test_one_side_alone_is_closest(begun: Binding, ended: Sighting | None) -> None:
    found = concluded(begun, ran(), ended, None, [A])
    assert (found.label, found.snapshot) == (CalibrationLabel.CLOSEST, "a")


def test_nothing_seen_is_unknown() -> None:
    assert concluded(UNBOUND, ran(), None, None, []) == UNBOUND
    named = concluded(UNBOUND, ran(), None, "cal-x", [])
    assert (named.label, named.named) == (CalibrationLabel.UNKNOWN, "cal-x")
