"""A whole broker with Aer: what emulated devices run under, and what may be asked of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from quanopy.client import Client
from quanopy.domain.calibration import CalibrationLabel
from quanopy.domain.errors import ResourceMismatch

BELL = (
    'OPENQASM 3.0; include "stdgates.inc"; qubit[2] q; bit[2] c; '
    "h q[0]; cx q[0], q[1]; c = measure q;"
)
DEVICE = "aer-fake-manila"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder: Path = tmp_path_factory.mktemp("broker")
    with Client.embedded(folder, emulator_processes=1, emulator_memory_mb=1024) as client:
        yield client


def test_what_runs_on_an_emulated_device_is_bound_to_what_its_noise_is_made_from(
    client: Client,
) -> None:
    job = client.sample(BELL, resource=DEVICE, shots=50)
    job.result(timeout=120)
    ran = job.calibration
    assert (len(ran), ran.label, ran.warnings) == (1, CalibrationLabel.EXACT, [])
    assert ran.snapshot == client.calibration(DEVICE)
    assert ran.snapshot is not None
    assert 1e-6 < ran.snapshot.value("T1", 0) < 1e-3
    assert ran.snapshot.raw()["backend_name"] == "ibmq_manila"
    again = client.sample(BELL, resource=DEVICE, shots=50, same_calibration_as=job)
    again.result(timeout=120)
    assert again.calibration.snapshot == ran.snapshot
    assert len(client.calibrations(DEVICE)) == 1


def test_an_emulator_without_noise_has_nothing_to_be_calibrated(client: Client) -> None:
    job = client.sample(BELL, resource="aer", shots=50)
    job.result(timeout=120)
    ran = job.calibration
    assert (ran.label, ran.snapshot) == (CalibrationLabel.UNKNOWN, None)
    assert client.calibration("aer") is None
    assert client.calibration_of("aer").published is False
    with pytest.raises(ResourceMismatch, match="publishes no calibration"):
        client.sample(BELL, resource="aer", max_calibration_age="1d")


def test_a_device_is_seen_before_anything_ran_on_it(client: Client) -> None:
    found = client.calibration("aer-fake-lima")
    assert found is not None
    assert found.calibrated_at is not None
    listed = {one.name: one.calibrated_at for one in client.resources()}
    assert listed["aer-fake-lima"] == found.calibrated_at


def test_a_calibration_that_never_changes_is_not_waited_for(client: Client) -> None:
    with pytest.raises(ResourceMismatch, match="old; at most 1 d is asked for"):
        client.sample(BELL, resource=DEVICE, max_calibration_age="1d")
    job = client.sample(BELL, resource=DEVICE, shots=50, max_calibration_age="3650d")
    assert job.result(timeout=120)[0].shots == 50
