"""A sequence of Pulser run again with the noise of the device it ran on."""

from pathlib import Path

import pytest

from quanopy.domain.programs import PULSER, Program
from quanopy.testing.vendors.pasqal import PasqalVendor
from tests.contract.vendors.test_pasqal import blockade
from tests.integration.processes import embedded

pytest.importorskip("pasqal_cloud")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_atoms_are_replayed_read_as_wrong_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with PasqalVendor() as vendor:
        for name, value in vendor.environment().items():
            monkeypatch.setenv(name, value)
        for _ in range(300):
            vendor.recalibrate()  # a third of the atoms that are not excited is read as such then
        tables = {"pasqal": dict(vendor.options()), "pasqal-local": {"processes": 1}}
        with embedded(tmp_path / "data", tables) as client:
            program = Program(format=PULSER, data=blockade())
            job = client.submit(program, kind="run", resource="fresnel", shots=2000)
            (ran,) = job.result(100)
            assert ran.counts["11"] > 300
            found = client.replay(job, seed=3, timeout=100)
            assert found.total_variation < 0.06
