"""Fake devices publish the snapshot that their noise is made from, and nothing heavy is loaded."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest

from quanopy.codecs.calibrations import check, decode_metrics, encode_metrics
from quanopy.domain.calibration import Snapshot
from quanopy.domain.errors import NotFound
from quanopy.providers.aer import create
from quanopy.providers.aer.provider import AerProvider


@pytest.fixture(scope="module")
def aer() -> Iterator[AerProvider]:
    with closing(create(processes=1)) as provider:
        yield provider


def published(aer: AerProvider, resource: str) -> Snapshot:
    """What it publishes, which is something."""
    snapshot = aer.calibration(resource)
    assert snapshot is not None
    return snapshot


def test_a_fake_device_publishes_the_properties_it_was_made_from(aer: AerProvider) -> None:
    snapshot = published(aer, "aer-fake-torino")
    check(snapshot)
    assert snapshot.calibrated_at is not None
    assert snapshot.calibrated_at.isoformat() == "2025-02-26T15:26:08-05:00"
    numbers = {(one.name, one.targets): one for one in snapshot.metrics}
    t1 = numbers["T1", (0,)]
    assert t1.value == pytest.approx(224.08727568067368e-6)
    assert t1.unit == "s"
    assert t1.measured_at is not None
    assert 0 < numbers["cz.error", (0, 1)].value <= 1
    assert numbers["cz.length", (0, 1)].unit == "s"


def test_it_is_the_same_each_time_and_another_for_another_device(aer: AerProvider) -> None:
    torino = published(aer, "aer-fake-torino").digest
    assert published(aer, "aer-fake-torino").digest == torino
    assert published(aer, "aer-fake-fez").digest != torino


def test_its_numbers_can_be_kept_and_read_again(aer: AerProvider) -> None:
    metrics = published(aer, "aer-fake-manila").metrics
    again = decode_metrics(encode_metrics(metrics))
    assert {(one.name, one.targets): one for one in again} == {
        (one.name, one.targets): one for one in metrics
    }


def test_emulators_without_noise_have_none(aer: AerProvider) -> None:
    assert aer.calibration("aer") is None
    assert aer.calibration("aer-mps") is None
    with pytest.raises(NotFound):
        aer.calibration("aer-fake-nothing")


def test_qiskit_is_not_loaded_for_it() -> None:
    code = (
        "import sys; from quanopy.providers.aer import create; p = create(processes=1);"
        "assert p.calibration('aer-fake-fez'); p.close();"
        "print([name for name in sys.modules if name.startswith('qiskit')])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert found.stdout.strip() == "[]"
