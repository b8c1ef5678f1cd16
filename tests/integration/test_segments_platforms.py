"""A photonic experiment begun on a chip, and picked up by a script that names its simulator."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from quanopy import Client
from quanopy.client.groups import Group
from quanopy.domain.calibration import CalibrationLabel
from quanopy.domain.errors import ResourceMismatch
from quanopy.testing.vendors.perceval import CHIP, SIMULATOR, PercevalVendor
from tests.integration.processes import embedded

perceval = pytest.importorskip("perceval")

CHIP_HERE, SIMULATOR_HERE = "qpu-loopback", "sim-loopback"
PATIENCE_S = 100.0


@pytest.fixture(scope="module")
def vendor() -> Iterator[PercevalVendor]:
    with PercevalVendor() as vendor, pytest.MonkeyPatch.context() as patch:
        for name, value in vendor.environment().items():
            patch.setenv(name, value)
        yield vendor


@pytest.fixture(scope="module")
def client(vendor: PercevalVendor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    table = {**vendor.options(), "platforms": [CHIP, SIMULATOR]}
    folder = tmp_path_factory.mktemp("broker")
    with embedded(folder, {"perceval": table}, calibration_fresh_s=0.0) as client:
        yield client


def hong_ou_mandel() -> Any:
    """Two photons on a beam splitter: alike, they leave it together."""
    experiment = perceval.Experiment(perceval.BS(), name="hom")
    experiment.with_input(perceval.BasicState([1, 1]))
    experiment.min_detected_photons_filter(2)
    return experiment


def begin(client: Client, resource: str, **how: Any) -> Group:
    """As a script does it, which makes its experiment anew."""
    return client.segment(
        hong_ou_mandel(),
        name="hom",
        resource=resource,
        total_shots=4000,
        shots=1000,
        max_in_flight=1,
        **how,
    )


def until(holds: Callable[[], object]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_was_begun_on_a_chip_is_no_simulator_s(
    client: Client, vendor: PercevalVendor, tmp_path: Path
) -> None:
    vendor.hold()
    group = begin(client, CHIP_HERE)
    until(lambda: vendor.jobs)
    group.pause()
    vendor.release()
    first, *_ = group.jobs()
    first.wait(timeout=PATIENCE_S)
    vendor.recalibrate()
    with pytest.raises(ResourceMismatch, match="of qpu-loopback, not of sim-loopback"):
        begin(client, SIMULATOR_HERE)
    assert begin(client, CHIP_HERE) == group
    knowingly = begin(client, SIMULATOR_HERE, override=True)
    assert knowingly == group
    knowingly.resume().wait(PATIENCE_S)

    segments = knowingly.segments()
    assert len(segments) == 4
    assert {one.resource for one in segments} == {CHIP_HERE}
    assert all(one.snapshot is not None for one in segments)
    assert all(one.label is not CalibrationLabel.UNKNOWN for one in segments)
    assert len({one.snapshot for one in segments}) >= 2
    merged = segments.merged()
    (pub,) = merged
    # The chip loses photons: fewer samples come back than shots were asked for.
    assert 0 < pub.shots == sum(pub.counts.values()) <= 4000
    each = [found[0] for found in knowingly.results() if found is not None]
    assert pub.shots == sum(one.shots for one in each)
    for outcome, count in pub.counts.items():
        assert count == sum(one.counts.get(outcome, 0) for one in each)

    said = str(segments.table(outcome="|1,1>"))
    assert "named here is sim-loopback; it is of qpu-loopback" in said
    rows = [line for line in said.splitlines() if CHIP_HERE in line and "perceval" in line]
    assert len(rows) == len(segments.epochs) >= 2
    segments.plot(tmp_path / "hom.svg", outcome="|1,1>")
    assert "<svg" in (tmp_path / "hom.svg").read_text()


def test_its_owner_sees_no_mismatch(client: Client) -> None:
    group = begin(client, CHIP_HERE)
    group.wait(PATIENCE_S)
    assert "named here" not in str(group.segments().table())
