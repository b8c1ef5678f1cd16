"""The IBM provider keeps the contract, with the vendor's own client before a loopback service."""

import base64
import io
import json
import math
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister, qpy, transpile
from qiskit.circuit import Parameter

from quanopy.codecs.qrmi import parse_payload
from quanopy.domain.errors import (
    Denied,
    Invalid,
    QuanopyError,
    Rejected,
    Transient,
    Unavailable,
)
from quanopy.domain.ids import new_id
from quanopy.domain.jobs import JobKind, Options, Pub
from quanopy.domain.programs import QRMI_PAYLOAD
from quanopy.domain.states import ResourceState
from quanopy.ports.providers import Order, RemoteProvider, Work
from quanopy.providers.ibm import create
from quanopy.providers.ibm.provider import IbmProvider
from quanopy.providers.ibm.results import read_result, split
from quanopy.providers.options import bound
from quanopy.testing.remote_provider_contract import (
    Bench,
    ProviderContract,
    answer,
    polled,
    start,
    wait_all,
)
from quanopy.testing.vendors.bench import Given, VendorBench
from quanopy.testing.vendors.ibm import CRN, IbmService


@pytest.fixture(scope="module")
def vendor() -> Iterator[IbmService]:
    with IbmService(machines=("nairobi",)) as service, pytest.MonkeyPatch.context() as patch:
        for name, text in service.environment().items():
            patch.setenv(name, text)
        yield service


def build(given: Given) -> RemoteProvider:
    return create(
        token=given.secret,
        instance=CRN.replace("quanopy", given.account),
        url=f"{given.url}/api/v1",
        iam_url=given.url,
        timeout_s=given.timeout_s,
        visibility_delay_s=0.0,
    )


def configured(vendor: IbmService, **more: object) -> IbmProvider:
    """As a table of settings makes it."""
    return create(**bound(create, {**vendor.options(), **more}, where="providers.ibm"))


def bell() -> bytes:
    """In gates that the machine has."""
    circuit = QuantumCircuit(2, 2)
    circuit.rz(math.pi / 2, 0)
    circuit.sx(0)
    circuit.rz(math.pi / 2, 0)
    circuit.cx(0, 1)
    circuit.measure([0, 1], [0, 1])
    return written([circuit])


def written(circuits: Sequence[QuantumCircuit]) -> bytes:
    data = io.BytesIO()
    qpy.dump(list(circuits), data, version=15)
    return data.getvalue()


SAMPLE = Work(
    task_id=new_id("task"),
    resource="ibm-nairobi",
    kind=JobKind.SAMPLE,
    circuits=[bell()],
    pubs=[Pub(shots=100), Pub(shots=7)],
    options=Options(),
)
NO_BODY = {("stop", kind) for kind in ("malformed", "strange")}


class TestIbm(ProviderContract):
    @pytest.fixture
    def bench(self, vendor: IbmService) -> Bench:
        return VendorBench(vendor, build, SAMPLE, absorbed=NO_BODY)


# -- what is IBM's own ------------------------------------------------------------------------
def order_of() -> Order:
    return Order(key=new_id("exec"), resource=SAMPLE.resource, works=[SAMPLE])


def pub_of(fields: dict[str, Any]) -> dict[str, Any]:
    """A result of one pub with these data, as the vendor writes it."""
    data = {"__type__": "DataBin", "__value__": {"shape": [], "fields": fields}}
    pub = {"__type__": "PubResult", "__value__": {"data": data, "metadata": {}}}
    return {"__type__": "PrimitiveResult", "__value__": {"pub_results": [pub]}}


def bits_of(array: NDArray[Any], bits: int) -> dict[str, Any]:
    data = io.BytesIO()
    np.save(data, array)
    packed = base64.b64encode(zlib.compress(data.getvalue())).decode()
    value = {"array": {"__type__": "ndarray", "__value__": packed}, "num_bits": bits}
    return {"__type__": "BitArray", "__value__": value}


@pytest.fixture
def bench(vendor: IbmService) -> VendorBench:
    return VendorBench(vendor, build, SAMPLE)


@pytest.fixture
def provider(bench: VendorBench) -> Iterator[RemoteProvider]:
    made = bench.provider()
    yield made
    made.close()


def finished(provider: RemoteProvider, works: Sequence[Work]) -> list[list[dict[str, Any]]]:
    """The pubs of each work, run as one execution."""
    order = Order(key=new_id("exec"), resource=works[0].resource, works=works)
    (execution,) = start(provider, [order])
    wait_all(provider, [execution])
    outcomes = provider.result(execution, lambda: works)
    assert [outcome.error for outcome in outcomes] == [None] * len(works)
    return [json.loads(outcome.result or b"") for outcome in outcomes]


def test_works_that_share_a_job_each_have_their_own_pubs(provider: RemoteProvider) -> None:
    works = [replace(SAMPLE, pubs=[Pub(shots=n) for n in shots]) for shots in ([10, 20], [30])]
    results = finished(provider, works)
    assert [[pub["shots"] for pub in pubs] for pubs in results] == [[10, 20], [30]]


def test_usage_of_a_shared_job_is_shared_out(provider: RemoteProvider) -> None:
    works = [replace(SAMPLE, pubs=[Pub(shots=shots)]) for shots in (100, 300)]
    order = Order(key=new_id("exec"), resource="ibm-nairobi", works=works)
    (execution,) = start(provider, [order])
    wait_all(provider, [execution])
    small, large = provider.result(execution, lambda: works)
    assert (small.usage["shots"], large.usage["shots"]) == (100, 300)
    assert large.usage["seconds"] == pytest.approx(3 * small.usage["seconds"])
    assert small.started_at is not None
    assert small.ended_at is not None
    assert small.started_at <= small.ended_at


def test_registers_parameters_and_memory(provider: RemoteProvider) -> None:
    low, high = ClassicalRegister(1, "low"), ClassicalRegister(2, "high")
    circuit = QuantumCircuit(QuantumRegister(3), low, high)
    circuit.rx(Parameter("t"), 0)
    circuit.x(2)
    circuit.measure([0, 1, 2], [0, 1, 2])
    other = QuantumCircuit(1, 1)
    compiled = transpile([other, circuit], basis_gates=["rz", "sx", "x", "cx"])
    pub = Pub(circuit=1, parameters=[[0.0], [math.pi]], shots=200)
    work = replace(SAMPLE, circuits=[written(compiled)], pubs=[pub], options=Options(memory=True))
    ((result,),) = finished(provider, [work])
    assert result["shape"] == [2]
    assert result["registers"] == [{"name": "low", "bits": 1}, {"name": "high", "bits": 2}]
    most = [max(counts, key=counts.get) for counts in result["counts"]]
    assert most == ["0x4", "0x5"]
    for counts, memory in zip(result["counts"], result["memory"], strict=True):
        assert Counter(memory) == counts


def test_observables_follow_their_qubits_to_where_they_were_compiled(
    provider: RemoteProvider,
) -> None:
    circuit = QuantumCircuit(2)
    circuit.x(0)
    compiled = transpile(
        circuit,
        coupling_map=[[4, 5], [5, 4]],
        basis_gates=["rz", "sx", "x", "cx"],
        initial_layout=[5, 4],
    )
    pub = Pub(observables=[{"IZ": 1.0}, {"ZI": 1.0, "II": 0.5}], precision=0.02)
    work = replace(SAMPLE, kind=JobKind.ESTIMATE, circuits=[written([compiled])], pubs=[pub])
    ((result,),) = finished(provider, [work])
    assert result["shape"] == [2]
    assert result["precision"] == 0.02
    assert result["evs"] == pytest.approx([-1.0, 1.5], abs=0.3)


def test_exact_expectation_values_are_refused(provider: RemoteProvider) -> None:
    work = replace(SAMPLE, kind=JobKind.ESTIMATE, pubs=[Pub(observables={"Z": 1.0}, precision=0)])
    with pytest.raises(Invalid, match="exact"):
        provider.check(work)


def test_states_of_many_jobs_take_one_request(
    bench: VendorBench, vendor: IbmService, provider: RemoteProvider
) -> None:
    bench.hold()
    ids = start(provider, [order_of() for _ in range(100)])
    for _ in range(3):
        before = len(vendor.requests)
        assert set(provider.poll(ids)) == set(ids)
        assert len(vendor.requests) - before == 1
    provider.stop(ids)


def test_a_fresh_process_finds_when_old_jobs_were_made(
    bench: VendorBench, vendor: IbmService, provider: RemoteProvider
) -> None:
    bench.hold()
    old = start(provider, [order_of() for _ in range(50)])
    bench.skew(60.0)
    new = start(provider, [order_of() for _ in range(450)])
    fresh = bench.provider()
    before = len(vendor.requests)
    assert set(fresh.poll(old)) == set(old)
    assert len(vendor.requests) - before <= 6
    before = len(vendor.requests)
    assert set(fresh.poll(old)) == set(old)
    assert len(vendor.requests) - before == 1
    fresh.close()
    provider.stop([*old, *new])


def test_what_was_submitted_is_given_back(provider: RemoteProvider) -> None:
    order = order_of()
    (execution,) = start(provider, [order])
    known = provider.describe(execution)
    assert known.key == order.key
    assert known.kind is JobKind.SAMPLE
    assert known.program is not None
    assert known.program.format == QRMI_PAYLOAD
    payload = parse_payload(known.program.data)
    assert [pub.shots for pub in payload.pubs] == [100, 7]


def test_a_calibration_is_in_si_units_with_its_dates(provider: RemoteProvider) -> None:
    snapshot = provider.calibration("ibm-nairobi")
    assert snapshot is not None
    found = {(metric.name, metric.targets): metric for metric in snapshot.metrics}
    assert found["T1", (0,)].unit == "s"
    assert 1e-6 < found["T1", (0,)].value < 1e-3
    assert found["frequency", (0,)].unit == "Hz"
    assert 0 < found["cx.error", (0, 1)].value < 1
    assert len({metric.measured_at for metric in snapshot.metrics}) > 10


@pytest.mark.parametrize("mode", ["batch", "session"])
def test_work_goes_into_a_session_that_is_opened_and_closed(
    bench: VendorBench, vendor: IbmService, mode: Literal["batch", "session"]
) -> None:
    made = configured(vendor, mode=mode)
    ids = start(made, [order_of() for _ in range(3)])
    sessions = {vendor.jobs[one].payload["session_id"] for one in ids}
    assert len(sessions) == 1
    session = vendor.session(sessions.pop())
    assert session["mode"] == {"batch": "batch", "session": "dedicated"}[mode]
    assert session["accepting_jobs"]
    wait_all(made, ids)
    made.close()
    assert not vendor.session(session["id"])["accepting_jobs"]


def test_a_session_that_the_vendor_has_closed_is_opened_anew(
    bench: VendorBench, vendor: IbmService
) -> None:
    made = configured(vendor, mode="batch")
    (first,) = start(made, [order_of()])
    session = vendor.jobs[first].payload["session_id"]
    vendor.session(session)["accepting_jobs"] = False
    (second,) = start(made, [order_of()])
    assert vendor.jobs[second].payload["session_id"] != session
    made.close()


def test_a_session_is_closed_when_nothing_comes(bench: VendorBench, vendor: IbmService) -> None:
    made = configured(vendor, mode="batch", idle_s=0.2)
    (first,) = start(made, [order_of()])
    session = vendor.jobs[first].payload["session_id"]
    polled(lambda: vendor.session(session)["accepting_jobs"], lambda accepts: not accepts)
    made.close()


def test_a_machine_that_cannot_be_asked_is_offline(
    bench: VendorBench, vendor: IbmService, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = bench.provider()
    assert [one.state for one in made.resources()] == [ResourceState.ONLINE]
    monkeypatch.setattr("quanopy.providers.ibm.machines._FRESH_S", 0.0)
    bench.fault("resources", "busy")
    (resource,) = made.resources()
    assert resource.state is ResourceState.OFFLINE
    assert resource.reason
    assert [one.state for one in made.resources()] == [ResourceState.ONLINE]
    made.close()


@pytest.mark.parametrize(
    ("kind", "error"), [("denied", Denied), ("busy", Transient), ("malformed", Unavailable)]
)
def test_a_login_that_fails_starts_nothing(
    bench: VendorBench, vendor: IbmService, kind: str, error: type[QuanopyError]
) -> None:
    made, one = bench.provider(), order_of()
    bench.fault("login", kind)
    told = answer(made, one)
    assert isinstance(told, error)
    assert bench.accepted(one.key) == 0
    assert isinstance(answer(made, one), str)
    made.close()


@pytest.mark.parametrize(
    "data",
    [
        b"[]",
        b'{"__type__": "settings", "__module__": "os", "__class__": "x", "__value__": {}}',
        b'{"__type__": "PrimitiveResult", "__value__": {"pub_results": [3]}}',
        json.dumps(pub_of({})).encode(),
        json.dumps(pub_of({"c": {"__type__": "BitArray", "__value__": {}}})).encode(),
        json.dumps(pub_of({"c": bits_of(np.zeros((5, 1), np.uint8), 9)})).encode(),
        json.dumps(pub_of({"c": bits_of(np.zeros((5, 1), np.float64), 2)})).encode(),
        json.dumps(pub_of({"evs": {"__type__": "ndarray", "__value__": "####"}})).encode(),
        json.dumps(pub_of({"evs": float("nan")})).encode(),
    ],
)
def test_a_result_that_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(Invalid):
        split(read_result(data), None)


def test_more_results_than_pubs_are_refused() -> None:
    data = json.dumps(pub_of({"c": bits_of(np.zeros((5, 1), np.uint8), 2)})).encode()
    with pytest.raises(Rejected, match="1 results for 2 pubs"):
        split(read_result(data), [SAMPLE])
