"""A broker, and beside it a worker in the environment that iqm-client needs, on one catalogue."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from quanopy import Client
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


@pytest.fixture
def vendor() -> Iterator[IqmVendor]:
    vendor = IqmVendor()
    with vendor:
        yield vendor


@pytest.fixture
def broker(tmp_path: Path, vendor: IqmVendor) -> Iterator[Client]:
    """A client of a broker that runs no work itself."""
    if not IQM_QUANOPY.exists():
        raise ServerUnavailable("No .venv-iqm: run `make test`, or tools/make-environment iqm.")
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    settings = tmp_path / "quanopy.toml"
    settings.write_text(
        f'[providers.iqm]\nurl = "{vendor.url}"\ntoken = "env:LOOPBACK_IQM_TOKEN"\n'
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
    worker = None
    try:
        server.wait_until((data / "server.json").exists, timeout_s=START_S)
        worker = ServerProcess(
            [IQM_QUANOPY, "worker", "--providers", "iqm"],
            log=data / "worker.log",
            environment=environment,
        )
        url = json.loads((data / "server.json").read_text())["url"]
        with Client(url, (data / "token").read_text().strip()) as client:
            worker.wait_until(lambda: bool(client.resources()), timeout_s=START_S)
            yield client
    finally:
        if worker is not None:
            worker.stop()
        server.stop()
        assert vendor.secret not in "".join(log.read_text() for log in data.glob("*.log"))


def test_a_job_is_run_by_a_worker_of_another_environment(broker: Client, vendor: IqmVendor) -> None:
    job = broker.submit(BELL, resource="adonis", shots=500)
    (pub,) = job.result(timeout=180)
    counts = pub.counts
    assert sum(counts.values()) == 500
    assert counts["00"] + counts["11"] > 380
    assert len(vendor.jobs) == 1
