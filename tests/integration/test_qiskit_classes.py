"""Qiskit's classes over a whole broker, beside Qiskit's own reference primitives."""

import pickle
from collections.abc import Iterator

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister, transpile
from qiskit.circuit import ParameterVector
from qiskit.primitives import (
    BackendSamplerV2,
    BaseEstimatorV2,
    BaseSamplerV2,
    StatevectorEstimator,
    StatevectorSampler,
)
from qiskit.providers import JobStatus
from qiskit.quantum_info import SparsePauliOp

from quanopy import Client
from quanopy.domain.errors import ResourceMismatch, TaskFailed
from quanopy.qiskit import Backend, Estimator, Sampler

SHOTS = 20_000
FAR = 6 / np.sqrt(SHOTS)
"""Two empirical distributions of so many shots differ by less, nearly always."""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client with its own broker, which has time to start what reads and tries programs."""
    data = tmp_path_factory.mktemp("b") / "d"
    with Client.embedded(data, emulator_processes=1, read_deadline_s=120.0) as client:
        yield client


def two_registers() -> QuantumCircuit:
    """Registers a (2 bits) and b (1 bit), correlated, with two parameters."""
    theta = ParameterVector("t", 2)
    qubits, a, b = QuantumRegister(3), ClassicalRegister(2, "a"), ClassicalRegister(1, "b")
    circuit = QuantumCircuit(qubits, a, b)
    circuit.ry(theta[0], 0)
    circuit.cx(0, 1)
    circuit.ry(theta[1], 2)
    circuit.cx(1, 2)
    circuit.measure([0, 1, 2], [a[0], a[1], b[0]])
    return circuit


def distribution(counts: dict[str, int]) -> dict[str, float]:
    total = sum(counts.values())
    return {outcome: count / total for outcome, count in counts.items()}


def distance(one: dict[str, int], other: dict[str, int]) -> float:
    p, q = distribution(one), distribution(other)
    return max(abs(p.get(key, 0) - q.get(key, 0)) for key in p.keys() | q.keys())


def sampled(sampler: BaseSamplerV2) -> list[dict[str, int]]:
    """Code of somebody who knows nothing of Quanopy."""
    values = np.array([[[0.3, 1.0], [1.1, 0.2]], [[2.0, 0.5], [0.0, 0.0]]])
    result = sampler.run([(two_registers(), values)], shots=SHOTS).result()
    data = result[0].data
    assert data.a.shape == data.b.shape == (2, 2)
    assert data.a.num_shots == SHOTS
    joint = result[0].join_data()
    return [joint.get_counts(index) for index in np.ndindex(2, 2)]


def estimated(estimator: BaseEstimatorV2) -> np.ndarray:
    """Likewise."""
    circuit = two_registers().remove_final_measurements(inplace=False)
    observables = [[SparsePauliOp(["ZZI", "IXX"], [0.5, 2.0])], [SparsePauliOp("YIZ")]]
    values = np.linspace(0, 3, 8).reshape(1, 4, 2)
    evs: np.ndarray = estimator.run([(circuit, observables, values)]).result()[0].data.evs
    assert evs.shape == (2, 4)
    return evs


def test_the_sampler_agrees_with_qiskits(client: Client) -> None:
    ours = sampled(Sampler(client, seed=11))
    theirs = sampled(StatevectorSampler(seed=11))
    assert all(distance(one, other) < FAR for one, other in zip(ours, theirs, strict=True))


def test_the_estimator_agrees_with_qiskits(client: Client) -> None:
    ours = estimated(Estimator(client, default_precision=0.0))
    assert np.allclose(ours, estimated(StatevectorEstimator()))


def test_one_call_is_one_job(client: Client) -> None:
    circuit = QuantumCircuit(1, metadata={"mine": 1})
    circuit.measure_all()
    before = len(list(client.jobs()))
    job = Sampler(client, default_shots=11).run([circuit, (circuit, None, 22)])
    result = job.result()
    assert [pub.data.meas.num_shots for pub in result] == [11, 22]
    assert result.metadata["job_id"] == job.job_id()
    assert result[0].metadata["circuit_metadata"] == {"mine": 1}
    assert len(list(client.jobs())) == before + 1
    assert job.done()
    assert job.in_final_state()
    assert not job.running()


def test_the_environment_says_where_and_on_what(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUANOPY_URL", client.settings.url)
    monkeypatch.setenv("QUANOPY_TOKEN", client.settings.token or "")
    monkeypatch.setenv("QUANOPY_RESOURCE", "aer-stabilizer")
    circuit = QuantumCircuit(1)
    circuit.measure_all()
    job = Sampler().run([circuit], shots=10)
    assert job.result().metadata["resource"] == "aer-stabilizer"
    again = pickle.loads(pickle.dumps(job.job))  # noqa: S301 - our own bytes
    assert again.result()[0].counts == {"0": 10}


def test_a_backend_takes_transpiled_circuits(client: Client) -> None:
    backend = Backend(client, "aer")
    circuit = QuantumCircuit(3)
    circuit.h(0)
    circuit.ccx(0, 1, 2)
    circuit.measure_all()
    job = backend.run(transpile(circuit, backend), shots=500)
    result = job.result()
    assert job.status() is JobStatus.DONE
    assert sum(result.get_counts().values()) == 500
    assert set(result.get_counts()) <= {"000", "001"}


@pytest.mark.parametrize("resource", ["aer-fake-belem", "aer-fake-fez"])
def test_what_is_transpiled_for_a_device_runs_as_it_stands(client: Client, resource: str) -> None:
    backend = Backend(client, resource)
    circuit = QuantumCircuit(3)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.cx(0, 2)
    circuit.measure_all()
    fitting = transpile(circuit, backend, seed_transpiler=1)
    assert backend.coupling_map is not None
    assert fitting.num_qubits == backend.num_qubits
    assert set(fitting.count_ops()) <= set(backend.operation_names) | {"barrier"}
    counts = backend.run(fitting, shots=500).result().get_counts()
    assert counts["000"] + counts["111"] > 350
    job = client.sample([fitting], resource=resource, shots=500, compile=False)
    assert sum(job.result(60)[0].counts.values()) == 500
    with pytest.raises(ResourceMismatch, match="does not carry out"):
        client.sample([circuit], resource=resource, compile=False)


def test_what_cannot_be_made_of_clifford_gates_is_refused_at_submission(client: Client) -> None:
    circuit = QuantumCircuit(1)
    circuit.h(0)
    circuit.t(0)
    circuit.h(0)
    fitting = circuit.compose(circuit.inverse())
    fitting.measure_all()
    assert client.sample([fitting], resource="aer-stabilizer", shots=9).result(60)[0].counts == {
        "0": 9
    }
    circuit.measure_all()
    with pytest.raises(ResourceMismatch, match="cannot be made to fit"):
        client.sample([circuit], resource="aer-stabilizer")


@pytest.mark.parametrize("resource", ["aer-extended-stabilizer", "aer-fake-yorktown"])
def test_control_flow_is_refused_at_submission_where_there_is_none(
    client: Client, resource: str
) -> None:
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    with circuit.if_test((0, 1)):
        circuit.x(0)
    circuit.measure(0, 0)
    with pytest.raises(ResourceMismatch, match="'if_else' is not supported"):
        client.sample([circuit], resource=resource)


def test_a_backend_serves_qiskits_own_sampler(client: Client) -> None:
    sampler = BackendSamplerV2(backend=Backend(client, "aer"))
    circuit = two_registers().assign_parameters([0.3, 1.0])
    ours = sampler.run([circuit], shots=SHOTS).result()[0].join_data().get_counts()
    theirs = StatevectorSampler(seed=1).run([circuit], shots=SHOTS).result()[0]
    assert distance(ours, theirs.join_data().get_counts()) < FAR


def test_a_backend_refuses_options_it_does_not_have(client: Client) -> None:
    with pytest.raises(ValueError, match="noise_model is no option of aer"):
        Backend(client, "aer").run(QuantumCircuit(1, 1), noise_model=True)


def test_a_backend_takes_what_a_job_may_say(client: Client) -> None:
    circuit = QuantumCircuit(1)
    circuit.measure_all()
    backend = Backend(client, "aer-fake-belem", tags=["qiskit"], max_calibration_age="3650d")
    backend.set_options(name="from a backend")
    job = backend.run(circuit, shots=10, compile=False, priority=3, seed_simulator=5).job
    said = job.detail()
    assert (said.tags, said.name, said.priority) == (["qiskit"], "from a backend", 3)
    options = job.submitted().options
    assert (options.max_calibration_age, options.compile, options.seed) == (3650 * 86400, False, 5)
    assert job.wait() == "completed"


def test_a_cancelled_call_raises(client: Client) -> None:
    client.set_resource_state("aer-mps", "maintenance")
    circuit = QuantumCircuit(1)
    circuit.measure_all()
    job = Sampler(client, "aer-mps").run([circuit])
    job.cancel()
    assert job.cancelled()
    with pytest.raises(TaskFailed):
        job.result()
    client.set_resource_state("aer-mps", "online")
