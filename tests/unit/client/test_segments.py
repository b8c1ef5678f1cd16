"""Segments: epochs of calibration, merged results, and gaps that are seen everywhere."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from quanopy.client.epochs import Segment
from quanopy.client.numbers import Number
from quanopy.client.segments import Segments
from quanopy.client.tables import shown
from quanopy.codecs.merging import Merge
from quanopy.domain.calibration import CalibrationLabel
from quanopy.domain.errors import Invalid, NotFound, NotReady, Unsupported
from quanopy.domain.states import JobState

MORNING = datetime(2026, 3, 1, 8, tzinfo=UTC)


@dataclass(frozen=True)
class Known:
    """A calibration, without a broker."""

    calibrated_at: datetime | None
    metrics: Any = field(default_factory=dict)
    seen_from: datetime = MORNING


CALIBRATIONS = {
    digest: Known(
        MORNING - timedelta(hours=1) + timedelta(hours=4 * at),
        {"T1": {(0,): Number(1e-4 - 2e-5 * at, "s"), (1,): Number(8e-5, "s")}},
    )
    for at, digest in enumerate(("sha256:a", "sha256:b"))
}


def counts(one: int, other: int) -> list[Any]:
    registers = [{"name": "c", "bits": 1}]
    counted = [{"0x0": one, "0x1": other}]
    return [{"shape": [], "shots": one + other, "registers": registers, "counts": counted}]


def values(ev: float, std: float = 0.1, precision: float = 0.1) -> list[Any]:
    return [{"shape": [], "evs": [ev], "stds": [std], "precision": precision}]


def photons(one: int, other: int) -> list[Any]:
    outcomes = {"|1,0>": one, "|0,1>": other}
    return [{"shape": [], "shots": one + other, "native": "perceval", "outcomes": outcomes}]


def ran(
    index: int,
    pubs: Sequence[Any] | None,
    snapshot: str | None = "sha256:a",
    *,
    ended: str | None = None,
    resource: str = "acme-7",
    platform: str = "acme",
    at: datetime | None = None,
) -> Segment:
    """A segment that began so many hours after the morning, and took half an hour."""
    began = at or MORNING + timedelta(hours=index)
    label = CalibrationLabel.EXACT if snapshot else CalibrationLabel.UNKNOWN
    return Segment(
        index=index,
        job_id=f"job_{index}",
        state=JobState.COMPLETED if pubs else JobState.FAILED,
        resource=resource,
        platform=platform,
        label=CalibrationLabel.CLOSEST if ended else label,
        snapshot=snapshot,
        submitted=snapshot,
        started=snapshot,
        ended=ended or snapshot,
        started_at=began,
        ended_at=began + timedelta(minutes=30),
        shots=100,
        problem=None if pubs else "the machine was warm",
        result=Merge.of([pubs]) if pubs else None,
    )


def segments(*each: Segment, named: str | None = None) -> Segments:
    return Segments(each, calibration=CALIBRATIONS.get, named=named)


DAY = segments(
    ran(0, counts(900, 100)),
    ran(1, counts(880, 120)),
    ran(2, None),
    ran(3, counts(850, 150), ended="sha256:b"),
    ran(4, counts(700, 300), "sha256:b"),
    ran(5, counts(720, 280), "sha256:b"),
)


def plain(shown: Any) -> str:
    out = StringIO()
    Console(file=out, width=200).print(shown)
    return out.getvalue()


def test_an_epoch_is_what_ran_on_one_resource_under_one_calibration() -> None:
    first, across, last = DAY.epochs
    assert [one.index for one in first.segments] == [0, 1]
    assert (first.snapshots, first.across) == (("sha256:a",), False)
    assert [one.index for one in across.segments] == [3]
    assert (across.snapshots, across.across) == (("sha256:a", "sha256:b"), True)
    assert [one.index for one in last.segments] == [4, 5]
    assert [one.number for one in DAY.epochs] == [1, 2, 3]


def test_epochs_are_in_the_order_of_time_not_of_segments() -> None:
    late = ran(0, counts(1, 1), "sha256:b", at=MORNING + timedelta(days=1))
    found = segments(late, ran(1, counts(1, 1)), ran(2, counts(1, 1), "sha256:b"))
    assert [[one.index for one in epoch.segments] for epoch in found.epochs] == [[1], [2, 0]]


def test_the_same_calibration_on_another_resource_is_another_epoch() -> None:
    found = segments(ran(0, counts(1, 1)), ran(1, counts(1, 1), resource="sim", platform="aer"))
    assert [(one.resource, one.platform) for one in found.epochs] == [
        ("acme-7", "acme"),
        ("sim", "aer"),
    ]


def test_a_calibration_between_two_that_are_the_same_is_a_change() -> None:
    between = ran(0, counts(1, 1), ended="sha256:a")
    assert between.across
    found = segments(between, ran(1, counts(1, 1)))
    assert [one.across for one in found.epochs] == [True, False]


def test_unknown_calibrations_are_epochs_of_their_own() -> None:
    found = segments(ran(0, counts(1, 1), None), ran(1, counts(1, 1)), ran(2, counts(1, 1), None))
    assert [(one.snapshots, len(one.segments)) for one in found.epochs] == [
        ((), 2),
        (("sha256:a",), 1),
    ]
    assert found.epochs[0].label is CalibrationLabel.UNKNOWN


def test_all_is_merged_or_an_epoch_alone() -> None:
    whole = DAY.merged()
    assert (whole.segments, whole.shots) == (5, 5000)
    assert whole[0].counts == {"0": 4050, "1": 950}
    assert whole.precision == pytest.approx(math.sqrt(0.81 * 0.19 / 5000))
    assert DAY.merged(epoch=1)[0].counts == {"0": 1780, "1": 220}
    assert DAY.merged(epoch=DAY.epochs[2])[0].counts == {"0": 1420, "1": 580}
    assert whole.value(outcome="1").value == pytest.approx(0.19)
    with pytest.raises(Invalid, match="no epoch 4"):
        DAY.merged(epoch=4)


def test_expectation_values_are_weighed_as_asked() -> None:
    found = segments(ran(0, values(0.0, 0.1)), ran(1, values(1.0, 0.3)))
    assert found.merged()[0].evs == pytest.approx(0.5)
    assert found.merged(weights="variance")[0].evs == pytest.approx(0.1)
    with pytest.raises(Invalid, match="no weights"):
        found.merged(weights="heavy")
    with pytest.raises(Invalid, match="cannot be weighed"):
        DAY.merged(weights="variance")


def test_photonic_segments_merge() -> None:
    found = segments(ran(0, photons(60, 40)), ran(1, photons(50, 50)))
    assert found.merged()[0].counts == {"|1,0>": 110, "|0,1>": 90}
    assert str(found.figure()) == "P(|1,0>)"


def test_segments_of_another_program_are_refused_by_their_place() -> None:
    found = segments(ran(0, counts(1, 1)), ran(1, values(0.5)))
    with pytest.raises(Invalid, match="expectation values where the others have counts") as refused:
        found.merged()
    assert refused.value.where == "segment 1, pubs[0]"


def test_nothing_is_merged_before_there_is_a_result() -> None:
    empty = segments(ran(0, None))
    for ask in (empty.merged, empty.table, empty.plot, empty.figure):
        with pytest.raises(NotReady):
            ask()
    assert "1 of 1 segments have no result" in plain(empty)
    assert empty._repr_html_() is None


def test_each_segment_tells_the_same_number() -> None:
    told = DAY.values()
    assert [one and round(one.value, 3) for one in told] == [0.9, 0.88, None, 0.85, 0.7, 0.72]
    again = DAY.values(observable="Z")
    assert [one and round(one.value, 3) for one in again] == [0.8, 0.76, None, 0.7, 0.4, 0.44]


def test_the_table_tells_each_epoch_and_how_far_it_is_off() -> None:
    table = DAY.table()
    assert [(row.segments, row.shots, row.across) for row in table] == [
        (2, 2000, False),
        (1, 1000, True),
        (2, 2000, False),
    ]
    assert [row.value for row in table] == pytest.approx([0.89, 0.85, 0.71])
    assert table[0].calibrated_at == (MORNING - timedelta(hours=1),)
    assert len(table[1].calibrated_at) == 2
    far = [row.sigma for row in table]
    assert all(one is not None for one in far)
    assert far[0] > 5  # type: ignore[operator]
    assert far[2] > 10  # type: ignore[operator]
    text = str(table)
    assert "2 across" in text
    assert "0.890 ± 0.007" in text.replace("0.8900 ± 0.0070", "0.890 ± 0.007")
    assert "fell across a change of calibration: segment 3" in text
    assert "segment 2: failed: the machine was warm" in text


def test_where_the_vendor_gives_no_time_it_is_said_by_when() -> None:
    unsaid = {"sha256:a": Known(None), "sha256:b": None}
    found = Segments(
        [ran(0, counts(1, 1)), ran(1, counts(1, 1), "sha256:b")], calibration=unsaid.get
    )
    first, second = found.table()
    assert (first.calibrated_at, first.seen_from) == ((None,), (MORNING,))
    assert first.cells()[3] == f"by {MORNING.astimezone():%Y-%m-%d %H:%M}"
    assert second.cells()[3] == "?"


def test_what_is_named_and_what_it_ran_on_are_both_said() -> None:
    found = segments(ran(0, photons(60, 40), resource="qpu:ascella"), named="sim:ascella")
    (note,) = found.notes
    assert note == "named here is sim:ascella; it is of qpu:ascella"
    assert note in plain(found)


def test_many_gaps_are_counted_and_the_first_named() -> None:
    found = segments(ran(0, counts(1, 1)), *(ran(at, None) for at in range(1, 30)))
    assert found.notes[0] == "29 of 30 segments have no result"
    assert found.notes[-1] == "and 21 more"


def test_notebooks_and_terminals_show_text_as_it_is() -> None:
    found = segments(ran(0, counts(1, 1), resource="[red]<b>x"), ran(1, None))
    html = found._repr_html_()
    assert html is not None
    assert "[red]&lt;b&gt;x" in html
    assert "<b>x" not in html
    assert "[red]<b>x" in plain(found)


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.12345, 0.0021, "0.1235 ± 0.0021"),
        (0.5, 0.0, "0.5"),
        (12.3456, 3.0, "12.3 ± 3.0"),
        (1234.5, 25.0, "1234 ± 25"),
        (0.5, math.inf, "0.5"),
    ],
)
def test_numbers_are_shown_to_what_is_known_of_them(value: float, error: float, text: str) -> None:
    assert shown(value, error) == text


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_the_picture_is_written(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"drift.{suffix}"
    figure = DAY.plot(file, outcome="1")
    assert file.stat().st_size > 5000
    values_axis, metric_axis = figure.axes
    assert values_axis.get_ylabel() == "P(1)"
    assert metric_axis.get_ylabel() == "T1 (s)"
    labels = [text.get_text() for text in values_axis.get_legend().get_texts()]
    assert labels == [
        "no result",
        "epoch 1: acme-7",
        "epoch 2 (across a calibration): acme-7",
        "epoch 3: acme-7",
    ]


def test_without_calibrations_the_value_is_drawn_alone() -> None:
    figure = Segments([ran(0, counts(1, 2)), ran(1, counts(2, 1))]).plot()
    assert len(figure.axes) == 1


def test_segments_without_times_are_drawn_too() -> None:
    lost = Segment(
        index=1, job_id="job_1", state=JobState.COMPLETED, resource="r", result=DAY[0].result
    )
    assert segments(ran(0, counts(1, 2)), lost).plot() is not None
    assert Segments([lost]).plot() is not None


def test_what_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no metric 'T3'") as refused:
        DAY.plot(metric="T3")
    assert refused.value.hint == "There are T1."
    with pytest.raises(Unsupported, match="neither PNG nor SVG"):
        DAY.plot(tmp_path / "drift.pdf")
    with pytest.raises(Invalid, match="cannot write"):
        DAY.plot(tmp_path / "missing" / "drift.png")
