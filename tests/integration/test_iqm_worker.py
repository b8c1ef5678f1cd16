"""A broker, and beside it a worker in the environment that iqm-client needs, on one catalogue."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from quanopy import Client
from quanopy.client.replays import compare
from quanopy.domain.calibration import CalibrationLabel
from quanopy.testing.vendors.iqm import IqmVendor
from tests.integration.processes import QUANOPY, START_S, outside
from tests.servers.process import ServerProcess, ServerUnavailable

IQM_QUANOPY = Path(__file__).parents[2] / ".venv-iqm" / "bin" / "quanopy"
BELL = """OPENQASM 3.0;
include "stdgates.inc";
qubit[2] q;
bit[2] c;
h q[0];
cx q[0], q[1];
c = measure q;
"""

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def vendor() -> Iterator[IqmVendor]:
    vendor = IqmVendor()
    with vendor:
        yield vendor


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory, vendor: IqmVendor) -> Iterator[Client]:
    """A client of a broker that runs no work itself."""
    if not IQM_QUANOPY.exists():
        raise ServerUnavailable("No .venv-iqm: run `make test`, or tools/make-environment iqm.")
    tmp_path = tmp_path_factory.mktemp("broker")
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    settings = tmp_path / "quanopy.toml"
    settings.write_text(
        f'[providers.iqm]\nurl = "{vendor.url}"\ntoken = "env:LOOPBACK_IQM_TOKEN"\n'
        "[providers.aer]\n"
    )
    settings.chmod(0o600)
    environment = outside() | {
        "QUANOPY_DATA": str(data),
        "QUANOPY_CONFIG": str(settings),
        "LOOPBACK_IQM_TOKEN": vendor.secret,
    }
    server = ServerProcess(
        [QUANOPY, "serve", "--no-worker", "--port", "0"],
        log=data / "server.log",
        environment=environment,
    )
    workers: list[ServerProcess] = []
    try:
        server.wait_until((data / "server.json").exists, timeout_s=START_S)
        workers += [
            ServerProcess(
                [command, "worker", "--providers", name],
                log=data / f"{name}.log",
                environment=environment,
            )
            for command, name in ((IQM_QUANOPY, "iqm"), (QUANOPY, "aer"))
        ]
        url = json.loads((data / "server.json").read_text())["url"]
        with Client(url, (data / "token").read_text().strip()) as client:
            workers[0].wait_until(
                lambda: {"adonis", "aer"} <= {one.name for one in client.resources()},
                timeout_s=START_S,
            )
            yield client
    finally:
        for worker in workers:
            worker.stop()
        server.stop()
        assert vendor.secret not in "".join(log.read_text() for log in data.glob("*.log"))


def test_a_job_is_run_by_a_worker_of_another_environment(broker: Client, vendor: IqmVendor) -> None:
    before = len(vendor.jobs)
    job = broker.submit(BELL, resource="adonis", shots=500)
    (pub,) = job.result(timeout=180)
    counts = pub.counts
    assert sum(counts.values()) == 500
    assert counts["00"] + counts["11"] > 380
    assert len(vendor.jobs) == before + 1


def test_what_ran_on_iqm_is_replayed_with_the_errors_of_its_calibration_set(
    broker: Client, vendor: IqmVendor
) -> None:
    job = broker.submit(BELL, resource="adonis", shots=4000)
    job.result(timeout=180)
    assert job.calibration.label is CalibrationLabel.EXACT
    found = broker.replay(job, seed=11, timeout=120)
    ideal = broker.submit(BELL, resource="aer", shots=4000)
    (perfect,) = ideal.result(timeout=120)
    (one,) = found.compared
    without = compare(0, 0, one.ran, perfect.raw_counts[0])
    assert without.total_variation > 0.03
    assert found.total_variation < 0.6 * without.total_variation
    assert found.runs[0].calibration == job.calibration.snapshot.digest  # type: ignore[union-attr]
