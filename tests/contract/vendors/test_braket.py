"""The Braket provider keeps the contract, before a loopback Braket that runs what it is sent."""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from qiskit import QuantumCircuit, generate_preset_pass_manager
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp, Statevector

from quanopy.codecs.arrays import encode_array
from quanopy.codecs.qiskit_targets import qiskit_target
from quanopy.codecs.targets import decode_target
from quanopy.domain.errors import NotFound, Rejected, ResourceMismatch
from quanopy.domain.ids import new_id
from quanopy.domain.jobs import JobKind, Options, Pub
from quanopy.domain.programs import BRAKET_AHS, BRAKET_IR
from quanopy.domain.states import ExecutionState
from quanopy.ports.providers import Order, Work
from quanopy.providers.braket import create
from quanopy.providers.braket.provider import BraketProvider
from quanopy.providers.braket.service import fingerprint_of
from quanopy.providers.secrets import Secret
from quanopy.sandbox.circuits import dump_qpy
from quanopy.testing.remote_provider_contract import ProviderContract, order, wait_all
from quanopy.testing.vendors.bench import Given, VendorBench
from quanopy.testing.vendors.braket import BUCKET, KEY_ID, BraketVendor
from quanopy.testing.vendors.braket_devices import LARK, REGION

BLOCKADE = {
    "braketSchemaHeader": {"name": "braket.ir.ahs.program", "version": "1"},
    "setup": {"ahs_register": {"sites": [["0", "0"], ["0", "5.5e-6"]], "filling": [1, 1]}},
    "hamiltonian": {
        "drivingFields": [
            {
                "amplitude": {
                    "time_series": {
                        "times": ["0", "1e-7", "3e-7", "4e-7"],
                        "values": ["0", "7.4e6", "7.4e6", "0"],
                    },
                    "pattern": "uniform",
                },
                "phase": {
                    "time_series": {"times": ["0", "4e-7"], "values": ["0", "0"]},
                    "pattern": "uniform",
                },
                "detuning": {
                    "time_series": {"times": ["0", "4e-7"], "values": ["0", "0"]},
                    "pattern": "uniform",
                },
            }
        ],
        "localDetuning": [],
    },
}
BELL = {
    "braketSchemaHeader": {"name": "braket.ir.openqasm.program", "version": "1"},
    "source": "OPENQASM 3.0; bit[2] b; qubit[2] q; h q[0]; cnot q[0], q[1]; b = measure q;",
    "inputs": {},
}


def bell() -> QuantumCircuit:
    circuit = QuantumCircuit(2, 2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure([0, 1], [0, 1])
    return circuit


def work(
    circuit: QuantumCircuit, *pubs: Pub, kind: JobKind = JobKind.SAMPLE, on: str = "sv1"
) -> Work:
    return Work(
        task_id=new_id("task"),
        resource=on,
        kind=kind,
        circuits=[dump_qpy([circuit])],
        pubs=pubs,
        options=Options(),
    )


def native(format: str, program: Any, shots: int, on: str) -> Work:
    return Work(
        task_id=new_id("task"),
        resource=on,
        kind=JobKind.RUN,
        circuits=[json.dumps(program).encode()],
        pubs=[Pub(shots=shots)],
        options=Options(),
        native=format,
    )


@pytest.fixture(scope="module")
def vendor() -> Iterator[BraketVendor]:
    with BraketVendor() as vendor:
        assert isinstance(vendor, BraketVendor)
        yield vendor


def make(given: Given) -> BraketProvider:
    os.environ["QUANOPY_LOOPBACK_BRAKET_ID"] = KEY_ID
    return create(
        access_key_id=Secret("env:QUANOPY_LOOPBACK_BRAKET_ID"),
        secret_access_key=given.secret,
        account=given.account,
        bucket=BUCKET,
        endpoint_url=given.url,
        s3_endpoint_url=given.url,
        timeout_s=given.timeout_s,
        poll_interval_s=0.1,
    )


CONFLICTS = [("stop", "malformed"), ("stop", "strange")]
"""That a task has ended is said by the status of the answer; its body may be what it likes."""


@pytest.fixture
def bench(vendor: BraketVendor) -> VendorBench:
    return VendorBench(vendor, make, work(bell(), Pub(shots=50)))


class TestBraket(ProviderContract):
    """On the simulator."""

    @pytest.fixture
    def bench(self, vendor: BraketVendor) -> VendorBench:
        return VendorBench(vendor, make, work(bell(), Pub(shots=50)), absorbed=CONFLICTS)


@pytest.fixture
def provider(bench: VendorBench) -> Iterator[BraketProvider]:
    provider = bench.provider()
    assert isinstance(provider, BraketProvider)
    yield provider
    provider.close()


def ran(provider: BraketProvider, one: Work) -> list[dict[str, Any]]:
    (answer,) = provider.start([Order(key=new_id("exec"), resource=one.resource, works=[one])])
    assert isinstance(answer, str), answer
    report = wait_all(provider, [answer])[answer]
    assert report.state is ExecutionState.COMPLETED, report
    (outcome,) = provider.result(answer, lambda: [one])
    assert outcome.result is not None
    pubs: list[dict[str, Any]] = json.loads(outcome.result)
    return pubs


def compiled(provider: BraketProvider, circuit: QuantumCircuit, on: str) -> QuantumCircuit:
    target = qiskit_target(decode_target(provider.target(on)))
    return generate_preset_pass_manager(1, target=target, seed_transpiler=1).run(circuit)


def test_three_kinds_of_devices_are_exposed(provider: BraketProvider) -> None:
    found = {resource.name: resource.capabilities for resource in provider.resources()}
    assert set(found) == {"sv1", "lark", "aquila"}
    assert found["sv1"].simulator
    assert found["aquila"].formats == (BRAKET_AHS,)
    assert found["lark"].gates is None


def test_classical_bits_are_those_of_the_circuit(provider: BraketProvider) -> None:
    circuit = QuantumCircuit(3, 4)
    circuit.x(0)
    circuit.barrier()
    circuit.measure([0, 2, 1], [3, 1, 0])
    (pub,) = ran(provider, work(circuit, Pub(shots=9)))
    assert pub["counts"] == [{hex(0b1000): 9}]
    assert pub["registers"] == [{"name": "c", "bits": 4}]


def test_a_machine_runs_what_was_compiled_for_it_on_its_own_qubits(
    provider: BraketProvider,
) -> None:
    circuit = compiled(provider, bell(), "lark")
    assert set(circuit.count_ops()) <= {"r", "cz", "measure"}
    (pub,) = ran(provider, work(circuit, Pub(shots=400), on="lark"))
    counts = pub["counts"][0]
    assert 320 < counts["0x0"] + counts["0x3"] < 400  # it has errors


def test_parameter_sets_and_pubs_of_different_shots_share_a_task(
    provider: BraketProvider, vendor: BraketVendor
) -> None:
    circuit = QuantumCircuit(1, 1)
    circuit.rx(Parameter("a"), 0)
    circuit.measure(0, 0)
    values = encode_array(np.array([[0.0], [np.pi]]))
    ready = compiled(provider, circuit, "lark")
    before = len(vendor.jobs)
    some = work(
        ready, Pub(parameters=values, shots=200), Pub(parameters=values, shots=300), on="lark"
    )
    first, second = ran(provider, replace(some, options=Options(memory=True)))
    assert len(vendor.jobs) == before + 1
    for pub, shots in ((first, 200), (second, 300)):
        assert [sum(counts.values()) for counts in pub["counts"]] == [shots, shots]
        for which, likely in enumerate(("0x0", "0x1")):
            assert pub["counts"][which][likely] > 0.85 * shots
            assert Counter(pub["memory"][which]) == pub["counts"][which]


def test_a_machine_measures_expectation_values(provider: BraketProvider) -> None:
    circuit = QuantumCircuit(2)
    circuit.ry(0.7, 0)
    circuit.cx(0, 1)
    terms = {"ZZ": 1.0, "XX": 0.5, "IY": 0.25}
    pub = Pub(observables=terms, precision=0.03)
    ready = compiled(provider, circuit, "lark")
    (found,) = ran(provider, work(ready, pub, kind=JobKind.ESTIMATE, on="lark"))
    exact = Statevector(circuit).expectation_value(SparsePauliOp(list(terms), list(terms.values())))
    assert 0.75 * exact.real < found["evs"][0] < exact.real  # its errors shrink them
    assert 0 < found["stds"][0] < 0.05


def test_a_simulator_calculates_expectation_values(provider: BraketProvider) -> None:
    circuit = QuantumCircuit(3)
    circuit.ry(0.7, 0)
    circuit.cx(0, 1)
    circuit.rx(0.2, 2)
    terms = [{"IZZ": 1.0, "IXX": 0.5, "III": 2.0}, {"YII": 1.0, "ZIX": 0.5}]
    pub = Pub(observables=terms, precision=0.1)
    (found,) = ran(provider, work(circuit, pub, kind=JobKind.ESTIMATE))
    state = Statevector(circuit)
    exact = [state.expectation_value(SparsePauliOp(list(t), list(t.values()))).real for t in terms]
    assert found["evs"] == pytest.approx(exact)


def test_braket_programs_run_as_they_stand(provider: BraketProvider) -> None:
    (pub,) = ran(provider, native(BRAKET_IR, BELL, 40, "sv1"))
    assert sum(pub["outcomes"].values()) == pub["shots"] == 40
    assert set(pub["outcomes"]) <= {"00", "11"}
    assert pub["documents"][0]["measuredQubits"] == [0, 1]


def test_atoms_in_blockade_are_not_both_excited(provider: BraketProvider) -> None:
    (pub,) = ran(provider, native(BRAKET_AHS, BLOCKADE, 60, "aquila"))
    assert pub["native"] == BRAKET_AHS
    assert sum(pub["outcomes"].values()) == 60
    assert pub["outcomes"].get("rr", 0) <= 2
    assert pub["outcomes"].get("rg", 0) + pub["outcomes"].get("gr", 0) > 40


def test_atoms_have_no_target(provider: BraketProvider) -> None:
    with pytest.raises(ResourceMismatch):
        provider.target("aquila")


def test_a_program_comes_back_with_what_is_known_of_a_task(provider: BraketProvider) -> None:
    one = native(BRAKET_IR, BELL, 10, "sv1")
    (answer,) = provider.start([Order(key=new_id("exec"), resource="sv1", works=[one])])
    assert isinstance(answer, str)
    wait_all(provider, [answer])
    known = provider.describe(answer)
    assert known.program is not None
    assert known.program.format == BRAKET_IR
    assert json.loads(known.program.data)["source"] == BELL["source"]
    assert known.shots == 10
    (adopted,) = provider.result(answer, None)
    assert adopted.result is not None
    assert json.loads(adopted.result)[0]["shots"] == 10


def test_a_program_that_its_device_does_not_take_is_rejected(provider: BraketProvider) -> None:
    one = native(BRAKET_IR, BELL, 10, "aquila")
    (answer,) = provider.start([Order(key=new_id("exec"), resource="aquila", works=[one])])
    assert isinstance(answer, Rejected)


def test_a_program_that_breaks_its_simulator_fails_with_the_reason(
    provider: BraketProvider,
) -> None:
    broken = BELL | {"source": "OPENQASM 3.0; qubit q; nonsense q;"}
    one = native(BRAKET_IR, broken, 10, "sv1")
    (answer,) = provider.start([Order(key=new_id("exec"), resource="sv1", works=[one])])
    assert isinstance(answer, str)
    report = wait_all(provider, [answer])[answer]
    assert report.state is ExecutionState.FAILED
    assert "nonsense" in report.detail


def test_calibration_has_times_units_and_qubits(
    provider: BraketProvider, bench: VendorBench
) -> None:
    before = provider.target("lark")
    snapshot = provider.calibration("lark")
    assert snapshot is not None
    assert snapshot.calibrated_at is not None
    found = {(metric.name, metric.targets): metric for metric in snapshot.metrics}
    assert found["T1", (1,)].unit == "s"
    assert 1e-5 < found["T1", (1,)].value < 1e-4
    assert 0 < found["cz.error", (1, 2)].value < 0.05
    assert 0 < found["measure.error", (5,)].value < 0.1
    bench.recalibrate()
    again = provider.calibration("lark")
    assert again is not None
    assert again.digest != snapshot.digest
    assert provider.target("lark").digest != before.digest
    assert provider.calibration("sv1") is None
    atoms = provider.calibration("aquila")
    assert atoms is not None
    assert "rydberg.rydbergGlobal.T1Single" in {metric.name for metric in atoms.metrics}


def test_many_tasks_are_polled_in_few_requests(
    provider: BraketProvider, vendor: BraketVendor, bench: VendorBench
) -> None:
    bench.hold()
    orders = [
        Order(key=new_id("exec"), resource="sv1", works=[replace(work(bell(), Pub(shots=1)))])
        for _ in range(100)
    ]
    ids = [answer for answer in provider.start(orders) if isinstance(answer, str)]
    assert len(ids) == 100
    counted = requests(vendor, lambda: provider.poll(ids))
    assert counted <= 2
    assert requests(vendor, lambda: provider.poll(ids)) == 1
    bench.release()
    wait_all(provider, ids)


def test_a_fresh_process_asks_by_name_once(
    provider: BraketProvider, vendor: BraketVendor, bench: VendorBench
) -> None:
    orders = [
        Order(key=new_id("exec"), resource="sv1", works=[work(bell(), Pub(shots=1))])
        for _ in range(30)
    ]
    ids = [answer for answer in provider.start(orders) if isinstance(answer, str)]
    fresh = bench.provider()
    assert requests(vendor, lambda: fresh.poll(ids)) == 3
    assert requests(vendor, lambda: fresh.poll(ids)) == 1
    fresh.close()


def requests(vendor: BraketVendor, action: Callable[[], object]) -> int:
    before = len(vendor.requests)
    action()
    return len(vendor.requests) - before


def test_an_account_is_read_from_its_key_without_a_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KEY_ID", "ASIAQNZGKIQY56JQ7WML")
    monkeypatch.setenv("KEY", "none")
    provider = create(access_key_id=Secret("env:KEY_ID"), secret_access_key=Secret("env:KEY"))
    assert provider.fingerprint() == fingerprint_of("029608264753", "us-east-1")
    assert "029608264753" not in provider.fingerprint()
    provider.close()


def test_a_task_tells_whether_it_was_sent_from_here(
    provider: BraketProvider, vendor: BraketVendor
) -> None:
    one = native(BRAKET_IR, BELL, 10, "sv1")
    ours = Order(key=new_id("exec"), resource="sv1", works=[one])
    (answer,) = provider.start([ours])
    assert isinstance(answer, str)
    assert provider.describe(answer).key == ours.key
    sent = vendor.jobs[answer].payload.sent
    stranger = answer[:-4] + "0000"
    elsewhere = replace(vendor.jobs[answer].payload, directory="their/folder")
    vendor.accept(stranger, elsewhere)
    assert sent["outputS3KeyPrefix"] == f"quanopy/{ours.key}"
    assert provider.describe(stranger).key == ""


def test_a_task_s_place_in_the_queue_is_told_as_the_vendor_s_own_task_reads_it(
    provider: BraketProvider, vendor: BraketVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    import boto3
    from braket.aws import AwsQuantumTask, AwsSession
    from braket.aws.queue_information import QueueType

    monkeypatch.setenv("BRAKET_ENDPOINT", vendor.url)
    keys = boto3.Session(KEY_ID, vendor.secret, region_name=REGION)
    one = Order(key=new_id("exec"), resource="sv1", works=[native(BRAKET_IR, BELL, 10, "sv1")])
    (answer,) = provider.start([one])
    assert isinstance(answer, str)
    wait_all(provider, [answer])
    place = AwsQuantumTask(answer, aws_session=AwsSession(keys)).queue_position()
    assert (place.queue_type, place.queue_position) == (QueueType.NORMAL, None)
    assert "COMPLETED" in (place.message or "")


def test_a_task_of_nobody_is_not_found(provider: BraketProvider) -> None:
    unknown = LARK.replace("device/qpu", "quantum-task").replace("::", ":1:")
    with pytest.raises(NotFound):
        provider.describe(unknown)


def test_what_is_accepted_beside_a_denial_is_not_lost(bench: VendorBench) -> None:
    provider = bench.provider()
    bench.fault("start", "denied")
    answers = provider.start([order(bench), order(bench)])
    provider.close()
    assert sum(isinstance(one, str) for one in answers) == 1
    assert sum(isinstance(one, Rejected) for one in answers) == 1
