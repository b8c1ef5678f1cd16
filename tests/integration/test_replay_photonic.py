"""An experiment with photons run again with the noise of the platform it ran on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from quanopy import Client
from quanopy.client.replays import compare, distributions
from quanopy.domain.calibration import CalibrationLabel
from quanopy.domain.errors import Unsupported
from quanopy.domain.programs import PERCEVAL, Program
from quanopy.testing.vendors.perceval import PercevalVendor
from tests.integration.processes import embedded

perceval = pytest.importorskip("perceval")

SHOTS = 3000


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder: Path = tmp_path_factory.mktemp("broker")
    with PercevalVendor() as vendor, pytest.MonkeyPatch.context() as patch:
        for name, value in vendor.environment().items():
            patch.setenv(name, value)
        tables = {"perceval": dict(vendor.options()), "perceval-local": {"processes": 1}, "aer": {}}
        with embedded(folder, tables) as client:
            yield client


def hong_ou_mandel() -> Program:
    """Two photons on a beam splitter: alike, they leave it together."""
    experiment = perceval.Experiment(perceval.BS(), name="hom")
    experiment.with_input(perceval.BasicState([1, 1]))
    experiment.min_detected_photons_filter(2)
    text = str(perceval.serialization.serialize(experiment))
    return Program(format=PERCEVAL, data=text.encode())


def test_photons_are_replayed_with_the_noise_of_their_platform(client: Client) -> None:
    job = client.submit(hong_ou_mandel(), kind="run", resource="sim-loopback", shots=SHOTS)
    (ran,) = job.result(120)
    (kept,) = job.compiled()
    assert (kept.native, kept.changed) == (PERCEVAL, False)
    assert kept.data == hong_ou_mandel().data
    with pytest.raises(Unsupported):
        _ = kept.circuits
    with pytest.raises(Unsupported):
        job.circuits()
    found = client.replay(job, seed=3, timeout=120)
    assert found.label is not CalibrationLabel.UNKNOWN
    ideal = client.submit(hong_ou_mandel(), kind="run", resource="perceval-slos", shots=SHOTS)
    (without,) = ideal.result(120)
    apart = compare(0, 0, distributions(ran)[0], distributions(without)[0])
    assert apart.hellinger > 0.1
    assert found.hellinger < 0.4 * apart.hellinger
