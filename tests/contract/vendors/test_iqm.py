"""The IQM provider before IQM's service on loopback, in the environment that has iqm-client."""

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("iqm.iqm_server_client", reason="iqm-client has an environment of its own")

from qiskit import QuantumCircuit, qpy, transpile

from quanopy.codecs.qiskit_targets import qiskit_target
from quanopy.codecs.targets import decode_target
from quanopy.domain.errors import Invalid, TaskFailed, Unavailable
from quanopy.domain.ids import new_id
from quanopy.domain.jobs import JobKind, Options, Pub
from quanopy.domain.programs import IQM
from quanopy.domain.states import ExecutionState, ResourceState
from quanopy.ports.providers import Order, Outcome, RemoteProvider, Work
from quanopy.providers.iqm import create
from quanopy.providers.iqm.jobs import report
from quanopy.providers.secrets import Secret
from quanopy.testing.remote_provider_contract import (
    Bench,
    ProviderContract,
    polled,
    start,
    wait_all,
)
from quanopy.testing.vendors.bench import Given, VendorBench
from quanopy.testing.vendors.iqm import IqmVendor


@pytest.fixture(scope="module")
def vendor() -> Iterator[IqmVendor]:
    vendor = IqmVendor()
    with vendor:
        yield vendor


UNREAD = [("stop", "malformed"), ("stop", "strange")]
"""iqm-client has no use for the answer to a cancellation, and neither has the provider."""


@pytest.fixture
def bench(vendor: IqmVendor) -> VendorBench:
    return VendorBench(vendor, made, bell(), absorbed=UNREAD)


def made(given: Given) -> RemoteProvider:
    return create(
        url=given.url, token=given.secret, account=given.account, timeout_s=given.timeout_s
    )


def written(*circuits: QuantumCircuit) -> bytes:
    buffer = io.BytesIO()
    qpy.dump(list(circuits), buffer, version=15)
    return buffer.getvalue()


def bell() -> Work:
    circuit = QuantumCircuit(5, 2)
    circuit.r(1.5707963267948966, 1.5707963267948966, 0)
    circuit.r(1.5707963267948966, 1.5707963267948966, 2)
    circuit.cz(0, 2)
    circuit.r(-1.5707963267948966, 1.5707963267948966, 2)
    circuit.measure([0, 2], [0, 1])
    return work(written(circuit), Pub(shots=100))


def work(program: bytes, *pubs: Pub, resource: str = "adonis", **other: Any) -> Work:
    kind = other.pop("kind", JobKind.SAMPLE)
    return Work(
        task_id=new_id("task"),
        resource=resource,
        kind=kind,
        circuits=[program],
        pubs=pubs,
        options=other.pop("options", Options()),
        **other,
    )


def run(provider: RemoteProvider, one: Work) -> Outcome:
    (execution,) = start(provider, [Order(key=new_id("exec"), resource=one.resource, works=[one])])
    wait_all(provider, [execution])
    (outcome,) = provider.result(execution, lambda: [one])
    return outcome


def results(provider: RemoteProvider, one: Work) -> list[dict[str, Any]]:
    outcome = run(provider, one)
    assert outcome.error is None
    assert outcome.result is not None
    found: list[dict[str, Any]] = json.loads(outcome.result)
    return found


class TestIqm(ProviderContract):
    @pytest.fixture
    def bench(self, vendor: IqmVendor) -> Bench:
        return VendorBench(vendor, made, bell(), absorbed=UNREAD)


@pytest.fixture
def provider(bench: VendorBench) -> Iterator[RemoteProvider]:
    provider = bench.provider()
    yield provider
    provider.close()


def compiled(provider: RemoteProvider, circuit: QuantumCircuit, resource: str) -> QuantumCircuit:
    target = qiskit_target(decode_target(provider.target(resource)))
    return transpile(circuit, target=target, optimization_level=2, seed_transpiler=7)


def test_machines_are_resources_and_say_what_is_calibrated(provider: RemoteProvider) -> None:
    assert {one.name: one.state for one in provider.resources()} == {
        "adonis": ResourceState.ONLINE,
        "deneb": ResourceState.ONLINE,
    }
    document = decode_target(provider.target("adonis"))
    assert document["qubits"] == 5
    cz = document["instructions"]["cz"]
    assert dict(zip(map(tuple, cz["qubits"]), cz["errors"], strict=True))[0, 2] == pytest.approx(
        provider_error("cz", provider)
    )


def provider_error(gate: str, provider: RemoteProvider) -> float:
    snapshot = provider.calibration("adonis")
    assert snapshot is not None
    (found,) = [m for m in snapshot.metrics if (m.name, m.targets) == (f"{gate}.fidelity", (0, 2))]
    return 1 - found.value


@pytest.mark.parametrize("resource", ["adonis", "deneb"])
def test_a_compiled_circuit_gives_what_it_should(provider: RemoteProvider, resource: str) -> None:
    circuit = QuantumCircuit(4, 4)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.cx(1, 2)
    circuit.x(3)
    circuit.measure(range(4), range(4))
    one = work(written(compiled(provider, circuit, resource)), Pub(shots=2000), resource=resource)
    (pub,) = results(provider, one)
    counts = {int(key, 16): number for key, number in pub["counts"][0].items()}
    assert sum(counts.values()) == 2000
    assert counts[0b1000] + counts[0b1111] > 1300
    assert min(counts[0b1000], counts[0b1111]) > 600


def test_registers_parameters_and_memory_come_back_in_their_shapes(
    provider: RemoteProvider,
) -> None:
    from qiskit.circuit import ClassicalRegister, Parameter, QuantumRegister

    angle = Parameter("angle")
    circuit = QuantumCircuit(
        QuantumRegister(2), ClassicalRegister(1, "a"), ClassicalRegister(2, "b")
    )
    circuit.rx(angle, 0)
    circuit.measure(0, 0)
    circuit.measure(1, 2)
    one = work(
        written(compiled(provider, circuit, "adonis")),
        Pub(shots=50, parameters=[[0.0], [3.141592653589793]]),
        Pub(shots=20, parameters=[3.141592653589793]),
        options=Options(memory=True),
    )
    first, second = results(provider, one)
    assert first["registers"] == [{"name": "a", "bits": 1}, {"name": "b", "bits": 2}]
    assert first["shape"] == [2]
    assert [max(counts, key=counts.get) for counts in first["counts"]] == ["0x0", "0x1"]
    assert [len(shots) for shots in first["memory"]] == [50, 50]
    assert sum(second["counts"][0].values()) == 20


def test_expectation_values_are_measured(provider: RemoteProvider) -> None:
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    one = work(
        written(compiled(provider, circuit, "adonis")),
        Pub(observables=[{"XX": 1.0}, {"ZZ": 1.0}, {"ZI": 1.0}], precision=0.02),
        kind=JobKind.ESTIMATE,
    )
    (pub,) = results(provider, one)
    xx, zz, zi = pub["evs"]
    assert xx > 0.7
    assert zz > 0.7
    assert abs(zi) < 0.2


NATIVE = {
    "name": "flip",
    "instructions": [
        {"name": "prx", "locus": ["QB1"], "args": {"angle": 3.141592653589793, "phase": 0.0}},
        {"name": "measure", "locus": ["QB1", "QB2"], "args": {"key": "both"}},
    ],
}


@pytest.mark.parametrize(
    "program",
    [
        NATIVE,
        [NATIVE],
        {
            "circuits": [json.loads(json.dumps(NATIVE).replace("QB", "logical"))],
            "qubit_mapping": [
                {"logical_name": "logical1", "physical_name": "QB4"},
                {"logical_name": "logical2", "physical_name": "QB5"},
            ],
        },
    ],
    ids=["circuit", "list", "definition"],
)
def test_a_native_program_runs_as_it_stands(provider: RemoteProvider, program: Any) -> None:
    one = work(json.dumps(program).encode(), Pub(shots=200), native=IQM, kind=JobKind.RUN)
    provider.check(one)
    (pub,) = results(provider, one)
    assert pub["native"] == IQM
    assert sum(pub["outcomes"].values()) == 200
    assert pub["outcomes"]["10"] > 160


def test_circuits_of_one_program_are_told_apart(provider: RemoteProvider) -> None:
    one = work(json.dumps([NATIVE, NATIVE]).encode(), Pub(shots=10), native=IQM, kind=JobKind.RUN)
    (pub,) = results(provider, one)
    assert {label.partition("/")[0] for label in pub["outcomes"]} == {"0", "1"}
    assert pub["shots"] == 20


def test_programs_that_are_no_circuits_are_refused(provider: RemoteProvider) -> None:
    for program in (b"[]", b"{", b'{"instructions": []}', b'[{"name": "x", "instructions": 1}]'):
        with pytest.raises(Invalid):
            provider.check(work(program, Pub(shots=1), native=IQM, kind=JobKind.RUN))


def test_a_job_that_iqm_fails_says_why(provider: RemoteProvider) -> None:
    bad = json.dumps(NATIVE).replace("prx", "teleport").encode()
    outcome = run(provider, work(bad, Pub(shots=10), native=IQM, kind=JobKind.RUN))
    assert isinstance(outcome.error, TaskFailed)
    assert "teleport" in outcome.error.message


def test_a_job_that_waits_says_how_many_are_ahead(
    vendor: IqmVendor, provider: RemoteProvider
) -> None:
    vendor.hold()
    orders = [Order(key=new_id("exec"), resource="adonis", works=[bell()]) for _ in range(3)]
    first, second, third = [start(provider, [order])[0] for order in orders]
    try:
        polled(
            lambda: provider.poll([first])[first].state,
            lambda state: state is ExecutionState.RUNNING,
        )
        reports = provider.poll([first, second, third])
        assert [reports[one].queue_position for one in (first, second, third)] == [None, 0, 1]
    finally:
        vendor.release()
    wait_all(provider, [first, second, third])


@pytest.mark.parametrize("said", [-1, 10**400, True, "3", None])
def test_a_place_in_the_queue_that_is_none_is_not_told(said: object) -> None:
    assert report({"status": "waiting", "queue_position": said}).queue_position is None


def test_a_result_names_the_calibration_it_ran_under(
    provider: RemoteProvider, bench: VendorBench
) -> None:
    before = provider.calibration("adonis")
    outcome = run(provider, bell())
    assert before is not None
    assert outcome.calibration == before.vendor_id
    bench.recalibrate()
    after = provider.calibration("adonis")
    assert after is not None
    assert after.vendor_id != before.vendor_id
    assert run(provider, bell()).calibration == after.vendor_id


def test_metrics_have_qubits_units_and_times_of_their_own(provider: RemoteProvider) -> None:
    snapshot = provider.calibration("adonis")
    assert snapshot is not None
    by_name = {(one.name, one.targets): one for one in snapshot.metrics}
    t1 = by_name["t1_time", (1,)]
    assert 1e-6 < t1.value < 1e-3
    assert t1.unit == "s"
    assert t1.measured_at is not None
    assert ("measure.error_0_to_1", (4,)) in by_name
    assert ("cz.fidelity", (2, 3)) in by_name
    assert snapshot.calibrated_at is not None
    assert set(json.loads(snapshot.raw)) == {
        "dynamic_quantum_architecture",
        "calibration_set",
        "quality_metrics",
    }


def test_a_silent_vendor_leaves_its_machines_offline_with_the_reason() -> None:
    gone = IqmVendor()
    with gone:
        bench = VendorBench(gone, made, bell())
        provider = bench.provider()
        assert len(provider.resources()) == 2
    provider.close()
    fresh = create(url=gone.url, token=Secret("env:NOWHERE"), quantum_computers=["adonis"])
    (only,) = fresh.resources()
    assert only.state is ResourceState.OFFLINE
    assert only.reason
    fresh.close()


def test_a_foreign_job_is_read_without_what_was_sent(provider: RemoteProvider) -> None:
    one = bell()
    order = Order(key=new_id("exec"), resource="adonis", works=[one])
    (execution,) = start(provider, [order])
    wait_all(provider, [execution])
    known = provider.describe(execution)
    assert known.key == order.key
    assert known.program is not None
    assert known.program.format == IQM
    assert known.shots == 100
    assert known.state is ExecutionState.COMPLETED
    (outcome,) = provider.result(execution, None)
    assert outcome.result is not None
    (pub,) = json.loads(outcome.result)
    assert sum(pub["outcomes"].values()) == 100


def test_a_variable_that_iqm_client_reads_by_itself_is_told(
    bench: VendorBench, vendor: IqmVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IQM_TOKEN", "of-somebody-else")
    provider = bench.provider()
    with pytest.raises(Unavailable, match="IQM_TOKEN"):
        provider.calibration("adonis")
    provider.close()
    monkeypatch.setenv("IQM_TOKEN", bench.secret)
    same = create(url=vendor.url, token=Secret("env:IQM_TOKEN"))
    assert same.calibration("adonis") is not None
    same.close()
