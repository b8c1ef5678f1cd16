"""Jobs of several parts run again, each part as it ran: its compilation, its shots, its noise."""

from collections.abc import Iterator

import pytest
from qiskit import QuantumCircuit

from quanopy import Client
from quanopy.client import Job
from quanopy.domain.errors import TaskFailed
from quanopy.domain.states import JobState
from quanopy.testing.vendors.faults import Fault
from quanopy.testing.vendors.ibm import IbmService

pytest.importorskip("qiskit_ibm_runtime")

MOST = 4000
"""Shots that the machine takes at once."""
SHOTS = 6000
OFTEN = 40
"""Calibrations later a qubit is read wrong about three times as often."""


@pytest.fixture(scope="module")
def vendor() -> Iterator[IbmService]:
    with IbmService(machines=("nairobi",), most_shots=MOST) as vendor:
        yield vendor


@pytest.fixture(scope="module")
def client(vendor: IbmService, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in vendor.environment().items():
            patch.setenv(name, value)
        haste = {"tasks_per_execution": 1, "poll_interval_s": 0.2}
        tables = {"ibm": {**vendor.options(), **haste}, "aer": {}}
        # What is read late is not split.
        settings = {"providers": tables, "calibration_fresh_s": 0.0, "read_deadline_s": 60.0}
        folder = tmp_path_factory.mktemp("broker")
        with Client.embedded(folder, **settings) as client:
            yield client


@pytest.fixture(scope="module")
def flip() -> QuantumCircuit:
    circuit = QuantumCircuit(1)
    circuit.x(0)
    circuit.measure_all()
    return circuit


@pytest.fixture(scope="module")
def job(client: Client, vendor: IbmService, flip: QuantumCircuit) -> Job:
    """One of its two parts ran before the machine was calibrated anew, the other after it."""
    vendor.faults.plan("start", Fault.REJECT)
    job = client.sample(flip, resource="ibm-nairobi", shots=SHOTS)
    with pytest.raises(TaskFailed):
        job.result(100)
    for _ in range(OFTEN):
        vendor.recalibrate()
    job.retry()
    assert job.wait(timeout=100) is JobState.COMPLETED, job.detail().problem
    return job


def test_parts_tell_how_many_of_the_shots_are_theirs(job: Job) -> None:
    assert [part.shots for part in job.detail().parts] == [MOST, SHOTS - MOST]


def test_each_part_runs_again_with_its_own_shots_under_its_own_calibration(
    client: Client, job: Job, flip: QuantumCircuit
) -> None:
    found = client.replay(job, seed=5, timeout=100)
    detail = job.detail()
    executions = {one.id: one.calibration.snapshot for one in detail.executions}
    under = [executions[part.execution_id or ""] for part in detail.parts]
    assert len(set(under)) == 2
    assert [run.calibration for run in found.runs] == under
    assert [run.parts for run in found.runs] == [(0,), (1,)]
    given = [run.job.submitted() for run in found.runs]
    assert [[pub.shots for pub in one.pubs or ()] for one in given] == [[MOST], [SHOTS - MOST]]
    assert [one.options.noise for one in given] == under
    assert len({one.options.seed for one in given}) == 2
    (one,) = found.compared
    assert sum(one.ran.values()) == sum(one.replayed.values()) == SHOTS
    assert one.total_variation < 0.02
    wrong = [
        run.job.result()[0].raw_counts[0].get("0x0", 0) / run.job.result()[0].shots
        for run in found.runs
    ]
    assert max(wrong) > 2 * min(wrong)


def test_fewer_shots_are_shared_as_the_parts_had_them(client: Client, job: Job) -> None:
    found = client.replay(job, shots=100, timeout=100)
    assert [run.job.result()[0].shots for run in found.runs] in ([67, 33], [66, 34])
    assert sum(found.compared[0].replayed.values()) == 100


def test_parts_that_ran_alike_run_again_as_one_job(client: Client, flip: QuantumCircuit) -> None:
    job = client.sample(flip, resource="ibm-nairobi", shots=SHOTS)
    job.result(100)
    (run,) = client.replay(job, timeout=100).runs
    assert run.parts == (0, 1)
    assert run.job.result()[0].shots == SHOTS


def test_parts_of_other_pubs_run_again_with_those(client: Client, flip: QuantumCircuit) -> None:
    idle = QuantumCircuit(1)
    idle.measure_all()
    job = client.sample(
        [(flip, None, 5000), (idle, None, 300), (flip, None, 200)], resource="ibm-nairobi"
    )
    job.result(100)
    assert len(job.detail().parts) == 3
    found = client.replay(job, seed=1, timeout=100)
    assert [sum(one.replayed.values()) for one in found.compared] == [5000, 300, 200]
    assert found.total_variation < 0.1
