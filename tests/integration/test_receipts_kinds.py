"""Receipts of jobs however they ended or came to be: each has all of it, and another broker too."""

import json
import time
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from qiskit import QuantumCircuit

import quanopy
from quanopy import Client
from quanopy.client import Job
from quanopy.domain.calibration import CalibrationLabel
from quanopy.domain.states import JobState
from quanopy.testing.fake_vendor import TOKEN
from tests.servers.vendor import FakeVendorServer

DEVICE = "aer-fake-manila"
LIMIT_S = 60.0


@pytest.fixture(scope="module")
def vendor() -> Iterator[FakeVendorServer]:
    with FakeVendorServer() as server:
        yield server


@pytest.fixture(scope="module")
def origin(vendor: FakeVendorServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Where jobs run."""
    fake = {
        "plugin": "quanopy.testing.fake_provider:FakeProvider",
        "url": vendor.url,
        "token": TOKEN,
        "poll_interval_s": 0.05,
        "request_timeout_s": LIMIT_S,
    }
    folder = tmp_path_factory.mktemp("origin")
    providers = {"fake": fake, "aer": {"processes": 1}}
    with Client.embedded(folder, providers=providers, read_deadline_s=60.0) as client:
        yield client


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Where they are told of."""
    with Client.embedded(tmp_path_factory.mktemp("other"), worker=False) as client:
        yield client


def bell() -> QuantumCircuit:
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    return circuit


def completed(client: Client, vendor: FakeVendorServer) -> Job:
    return client.sample([bell(), bell()], resource="fake", shots=10)


def split(client: Client, vendor: FakeVendorServer) -> Job:
    return client.sample(bell(), resource="aer", shots=2_000_001, seed=3)


def estimate(client: Client, vendor: FakeVendorServer) -> Job:
    circuit = bell().remove_final_measurements(inplace=False)
    return client.estimate([(circuit, ["ZZ", "XX"])], resource="aer")


def failed(client: Client, vendor: FakeVendorServer) -> Job:
    vendor.script(fail=True)
    job = client.sample(bell(), resource="fake", shots=10)
    job.wait(LIMIT_S)
    vendor.script()
    return job


def retried(client: Client, vendor: FakeVendorServer) -> Job:
    job = failed(client, vendor)
    job.retry()
    return job


def cancelled(client: Client, vendor: FakeVendorServer) -> Job:
    vendor.script(queue_s=3600.0)
    job = client.sample(bell(), resource="fake", shots=10)
    job.cancel()
    job.wait(LIMIT_S)
    vendor.script()
    return job


def adopted(client: Client, vendor: FakeVendorServer) -> Job:
    works = [{"task": "t", "kind": "sample", "pubs": [{"program": 0, "shots": 7}]}]
    order = {"key": f"somebody {time.time()}", "resource": "fake", "works": works}
    request = urllib.request.Request(
        f"{vendor.url}/start",
        data=json.dumps({"orders": [order]}).encode(),
        headers={"Authorization": f"Bearer {TOKEN}"},
    )
    with urllib.request.urlopen(request, timeout=LIMIT_S) as answer:
        id_ = str(json.load(answer)["answers"][0]["id"])
    return client.adopt("fake", id_, name="old")


def replayed(client: Client, vendor: FakeVendorServer) -> Job:
    job = client.sample(bell(), resource=DEVICE, shots=50)
    job.result(LIMIT_S)
    return client.replay(job, seed=3, timeout=LIMIT_S).runs[0].job


ENDS: dict[Callable[[Client, FakeVendorServer], Job], JobState] = {
    completed: JobState.COMPLETED,
    split: JobState.COMPLETED,
    estimate: JobState.COMPLETED,
    failed: JobState.FAILED,
    retried: JobState.COMPLETED,
    cancelled: JobState.CANCELLED,
    adopted: JobState.COMPLETED,
    replayed: JobState.COMPLETED,
}


def members(path: Path) -> dict[str, bytes]:
    """All but the manifest."""
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist() if name != "manifest.json"}


@pytest.mark.parametrize("made", ENDS, ids=lambda made: made.__name__)
def test_a_receipt_has_all_that_the_broker_tells(
    origin: Client,
    other: Client,
    vendor: FakeVendorServer,
    tmp_path: Path,
    made: Callable[[Client, FakeVendorServer], Job],
) -> None:
    job = made(origin, vendor)
    job.wait(LIMIT_S)
    file, again = tmp_path / "one.quanopy", tmp_path / "again.quanopy"
    origin.export(job, file).close()
    with quanopy.load(file) as receipt:
        assert receipt.verify() == []
        kept = receipt.job(job.id)
        detail, submitted = job.detail(), job.submitted()
        assert kept.state is detail.state is ENDS[made]
        assert [one.data for one in kept.programs()] == [one.data for one in job.programs()]
        options, asked = kept.options, submitted.options
        assert (options.shots, options.seed, options.compile) == (
            asked.shots,
            asked.seed,
            asked.compile,
        )
        if kept.state is JobState.COMPLETED:
            assert kept.result().to_dict() == job.result(0).to_dict()
        else:
            told = kept.record.problem
            assert (told and told.message) == (detail.problem and detail.problem.message)
        assert [one.kind for one in kept.events()] == [one.kind for one in job.events()]
        assert [one.at for one in kept.events()] == [one.at for one in job.events()]
        ran = {one.execution_id for one in detail.parts} - {None}
        assert {one.id for one in kept.executions} == ran
        assert [part.attempt for part in kept.record.parts] == [p.attempt for p in detail.parts]
        for execution in kept.executions:
            theirs = next(one for one in detail.executions if one.id == execution.id)
            assert (execution.target, execution.fingerprint) == (theirs.target, theirs.fingerprint)
            assert (execution.usage, execution.adopted) == (theirs.usage, theirs.adopted)
            assert execution.provider_job_id == theirs.provider_job_id
        assert kept.calibration.label is job.calibration.label
        if kept.calibration.label is not CalibrationLabel.UNKNOWN:
            ours, theirs_too = kept.calibration.snapshot, job.calibration.snapshot
            assert ours is not None
            assert theirs_too is not None
            assert (ours.raw(), ours.metrics) == (theirs_too.raw(), theirs_too.metrics)
        assert receipt.made["versions"]["quanopy"] == quanopy.__version__
    assert other.import_receipt(file).new == [job.id]
    other.export(job.id, again).close()
    assert members(again) == members(file)
    assert other.import_receipt(again).known == [job.id]
