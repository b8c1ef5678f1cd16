"""What came back from a vendor stays readable when the vendor is gone: its provider taken out of
the settings, its credential, and every vendor's SDK."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from qiskit import QuantumCircuit

from quanopy import Client
from quanopy.testing.fake_vendor import TOKEN
from tests.servers.vendor import FakeVendorServer

_READ = """
import json
import sys
from importlib.abc import MetaPathFinder

GONE = {"qiskit_aer", "qiskit_ibm_runtime", "braket", "boto3", "bloqade", "perceval",
        "pasqal_cloud", "pulser", "iqm", "qrmi"}


class Gone(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in GONE:
            raise ModuleNotFoundError(f"{name} is not installed")


sys.meta_path.insert(0, Gone())

if __name__ == "__main__":
    from quanopy import Client

    folder, job_id = sys.argv[1:]
    with Client.embedded(folder, providers={}, worker=False) as client:
        job = client.job(job_id, expect={"resource": "fake", "provider": "fake"})
        (ran,) = job.compiled()
        print(json.dumps({
            "counts": job.result(10)[0].raw_counts,
            "qubits": [circuit.num_qubits for circuit in job.circuits()],
            "compiled": [circuit.num_qubits for circuit in ran.circuits],
            "programs": [program.format for program in job.programs()],
            "events": [event.kind for event in job.events()],
            "identity": job.identity(),
            "label": job.calibration.label,
            "listed": [found.id for found in client.listing()],
        }))
"""


@pytest.fixture(scope="module")
def vendor() -> Iterator[FakeVendorServer]:
    with FakeVendorServer() as server:
        yield server


def test_a_job_of_a_vendor_that_is_gone_is_read(vendor: FakeVendorServer, tmp_path: Path) -> None:
    folder = tmp_path / "broker"
    table = {"plugin": "quanopy.testing.fake_provider:FakeProvider", "url": vendor.url}
    tables = {"fake": {**table, "token": TOKEN}}
    with Client.embedded(folder, providers=tables, read_deadline_s=60.0) as client:
        bell = QuantumCircuit(2)
        bell.h(0)
        bell.cx(0, 1)
        bell.measure_all()
        job = client.sample(bell, resource="fake", shots=10)
        job.result(60)
        before = job.identity()
    script = tmp_path / "read.py"
    script.write_text(_READ)
    done = subprocess.run(
        [sys.executable, str(script), str(folder), job.id],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert found["counts"] == [{"0x0": 10}]
    assert (found["qubits"], found["compiled"]) == ([2], [2])
    assert found["programs"] == ["qpy"]
    assert found["events"][-1] == "job.completed"
    assert found["identity"] == before
    assert set(before) == {"resource", "provider", "target", "fingerprint"}
    assert found["label"] == "unknown"
    assert found["listed"] == [job.id]
    assert TOKEN not in done.stdout + done.stderr
