"""A long experiment with photons: its segments merge by calibration, and say what they ran on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from quanopy import Client
from quanopy.client import drafts
from quanopy.domain.calibration import CalibrationLabel
from quanopy.domain.errors import ResourceMismatch
from quanopy.domain.programs import PERCEVAL, Program
from quanopy.testing.vendors.perceval import PercevalVendor
from tests.integration.processes import embedded

perceval = pytest.importorskip("perceval")

SHOTS, LIMIT_S = 2000, 120.0


@pytest.fixture(scope="module")
def vendor() -> Iterator[PercevalVendor]:
    with PercevalVendor() as vendor:
        yield vendor


@pytest.fixture(scope="module")
def client(vendor: PercevalVendor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder: Path = tmp_path_factory.mktemp("broker")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in vendor.environment().items():
            patch.setenv(name, value)
        tables = {"perceval": dict(vendor.options()), "perceval-local": {"processes": 1}}
        with embedded(folder, tables, calibration_fresh_s=0.0) as client:
            yield client


def hong_ou_mandel() -> Program:
    """Two photons on a beam splitter: alike, they leave it together."""
    experiment = perceval.Experiment(perceval.BS(), name="hom")
    experiment.with_input(perceval.BasicState([1, 1]))
    experiment.min_detected_photons_filter(2)
    text = str(perceval.serialization.serialize(experiment))
    return Program(format=PERCEVAL, data=text.encode())


def test_segments_with_photons_merge_by_calibration(
    client: Client, vendor: PercevalVendor, tmp_path: Path
) -> None:
    jobs = []
    for turn in range(4):
        if turn == 2:
            vendor.recalibrate()
        job = client.submit(hong_ou_mandel(), kind="run", resource="sim-loopback", shots=SHOTS)
        job.wait(timeout=LIMIT_S)
        jobs.append(job)
    segments = client.segments(jobs, resource="perceval-slos")
    assert [one.index for epoch in segments.epochs for one in epoch.segments] == [0, 1, 2, 3]
    first, second = segments.epochs
    assert {one.label for one in segments} == {CalibrationLabel.EXACT}
    assert first.snapshots != second.snapshots
    merged = segments.merged()
    assert merged[0].format == PERCEVAL
    assert sum(merged[0].counts.values()) == sum(
        sum(job.result(0)[0].counts.values()) for job in jobs
    )
    table = segments.table()
    assert [(row.resource, row.platform) for row in table] == [("sim-loopback", "perceval")] * 2
    assert all("by 20" in row.cells()[3] for row in table)
    assert table.notes == ["named here is perceval-slos; it is of sim-loopback"]
    metric = next(iter(client.snapshot(first.snapshots[0]).metrics))
    figure = segments.plot(tmp_path / "drift.png", metric=metric)
    assert len(figure.axes) == 2


def test_an_experiment_is_attached_to_from_another_platform_knowingly(client: Client) -> None:
    draft = drafts.programs(hong_ou_mandel(), kind="run", shots=SHOTS)
    made = client.segment(draft, name="hom", count=3, resource="sim-loopback")
    made.wait(LIMIT_S)
    with pytest.raises(ResourceMismatch, match="sim-loopback"):
        client.group("hom", resource="perceval-slos")
    segments = client.group("hom", resource="perceval-slos", override=True).segments()
    assert len(segments.whole) == 3
    text = str(segments.table())
    assert "sim-loopback" in text
    assert "perceval" in text
    assert "named here is perceval-slos; it is of sim-loopback" in text
