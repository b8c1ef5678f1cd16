"""A job run again with the noise it ran under: alike with it, and not without."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from qiskit import QuantumCircuit

from quanopy import Client
from quanopy.client import Job
from quanopy.client.replays import compare
from quanopy.domain.calibration import CalibrationLabel
from quanopy.domain.errors import Invalid, NotFound, ResourceMismatch, TaskFailed, Unsupported

SHOTS = 8000


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with Client.embedded(tmp_path_factory.mktemp("broker"), read_deadline_s=60.0) as client:
        yield client


@pytest.fixture(scope="module")
def ghz() -> QuantumCircuit:
    circuit = QuantumCircuit(4)
    circuit.h(0)
    for qubit in range(3):
        circuit.cx(qubit, qubit + 1)
    circuit.measure_all()
    return circuit


@pytest.fixture(scope="module")
def job(client: Client, ghz: QuantumCircuit) -> Job:
    """What ran on a noisy device."""
    job = client.sample(ghz, resource="aer-fake-lima", shots=SHOTS)
    job.result(120)
    return job


def test_what_really_ran_has_its_layout(job: Job) -> None:
    (ran,) = job.compiled()
    (circuit,) = ran.circuits
    assert ran.changed
    assert circuit.num_qubits == 5
    assert circuit.layout is not None
    assert (ran.compiler or "").startswith("qiskit ")
    assert (ran.level, ran.seed) == (1, 0)
    assert ran.target == job.identity()["target"]


def test_a_replay_is_alike_with_the_noise_and_not_without(
    client: Client, job: Job, ghz: QuantumCircuit, tmp_path: Path
) -> None:
    found = client.replay(job, seed=7, timeout=120)
    snapshot = job.calibration.snapshot
    assert snapshot is not None
    (run,) = found.runs
    assert (run.calibration, found.label) == (snapshot.digest, CalibrationLabel.EXACT)
    (one,) = found.compared
    assert sum(one.ran.values()) == sum(one.replayed.values()) == SHOTS
    ideal = client.sample(ghz, resource="aer", shots=SHOTS).result(120)[0].raw_counts[0]
    without = compare(0, 0, one.ran, ideal)
    assert without.total_variation > 0.05
    assert found.total_variation < 0.4 * without.total_variation
    assert found.hellinger < 0.5 * without.hellinger
    assert [one["job_id"] for one in found.as_json()["runs"]] == [run.job.id]
    for name in ("replay.png", "replay.svg"):
        found.plot(tmp_path / name)
        assert (tmp_path / name).stat().st_size > 1000
    with pytest.raises(Unsupported):
        found.plot(tmp_path / "replay.txt")


def test_parameter_sets_are_replayed_each(client: Client) -> None:
    from qiskit.circuit import Parameter

    circuit = QuantumCircuit(1)
    circuit.rx(Parameter("x"), 0)
    circuit.measure_all()
    job = client.sample([(circuit, [[0.0], [3.14159]])], resource="aer-fake-lima", shots=500)
    job.result(120)
    found = client.replay(job, timeout=120)
    assert [one.at for one in found.compared] == [0, 1]
    assert found.total_variation < 0.15


def test_what_ran_under_no_known_calibration_is_not_replayed(
    client: Client, ghz: QuantumCircuit
) -> None:
    job = client.sample(ghz, resource="aer", shots=10)
    job.result(120)
    with pytest.raises(NotFound, match="not known"):
        client.replay(job)


def test_only_emulators_that_can_take_noise(client: Client, job: Job, ghz: QuantumCircuit) -> None:
    for resource in ("aer-mps", "aer-fake-lima"):
        with pytest.raises(ResourceMismatch, match="noise"):
            client.replay(job, emulator=resource)
    with pytest.raises(ResourceMismatch, match="noise"):
        client.estimate((ghz.remove_final_measurements(inplace=False), "ZZZZ"), noise="sha256:0")


def test_noise_that_there_is_not_fails_the_job_with_the_reason(
    client: Client, ghz: QuantumCircuit
) -> None:
    job = client.sample(ghz, resource="aer", shots=10, noise="sha256:0")
    with pytest.raises(TaskFailed, match="no calibration"):
        job.result(120)


def test_noise_of_other_qubits_is_refused(client: Client, job: Job) -> None:
    snapshot = job.calibration.snapshot
    assert snapshot is not None
    small = QuantumCircuit(9, 1)
    small.x(8)
    small.measure(8, 0)
    with pytest.raises(TaskFailed, match="tells nothing"):
        client.sample(small, resource="aer", shots=10, noise=snapshot.digest).result(120)


def test_distances() -> None:
    same = compare(0, 0, {"0x0": 5, "0x1": 5}, {"0x0": 50, "0x1": 50})
    assert (same.total_variation, round(same.hellinger, 6)) == (0.0, 0.0)
    apart = compare(0, 0, {"0x0": 5}, {"0x1": 7})
    assert (apart.total_variation, apart.hellinger) == (1.0, 1.0)
    with pytest.raises(Invalid):
        compare(0, 0, {}, {"0x0": 1})


def test_the_command_prints_what_is_found(client: Client, job: Job) -> None:
    found = client.replay(job, shots=200, seed=1, timeout=120)
    shown = json.loads(json.dumps(found.as_json()))
    assert set(shown) >= {"job_id", "runs", "label", "total_variation"}
    assert sum(found.compared[0].replayed.values()) == 200
