"""The QRMI provider through the real ``qrmi`` package, before its vendors on loopback."""

import io
import json
import os
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from typing import Any

import pytest
from qiskit import QuantumCircuit, qpy, transpile

from quanopy.codecs.qiskit_targets import qiskit_target
from quanopy.codecs.targets import decode_target
from quanopy.domain.errors import Invalid, ResourceMismatch
from quanopy.domain.ids import new_id
from quanopy.domain.jobs import JobKind, Options, Pub
from quanopy.domain.programs import IQM, PULSER
from quanopy.domain.states import ResourceState
from quanopy.ports.providers import Order, RemoteProvider, Work
from quanopy.providers.qrmi import create
from quanopy.providers.secrets import Secret
from quanopy.testing.remote_provider_contract import Bench, ProviderContract, start, wait_all
from quanopy.testing.vendors.base import Vendor
from quanopy.testing.vendors.bench import Given, VendorBench
from quanopy.testing.vendors.faults import Fault
from quanopy.testing.vendors.ibm import CRN, IbmService
from quanopy.testing.vendors.iqm import IqmVendor
from quanopy.testing.vendors.pasqal import PasqalVendor

CIRCUIT = QuantumCircuit(2, 2)
CIRCUIT.h(0)
CIRCUIT.cx(0, 1)
CIRCUIT.measure([0, 1], [0, 1])


def iqm_machines(given: Given) -> Mapping[str, Mapping[str, str | Secret]]:
    return {
        name: {
            "type": "iqm-server",
            "QRMI_IQM_ISA_ENDPOINT": given.url,
            "QRMI_IQM_ISA_TOKEN": given.secret,
        }
        for name in ("adonis", "deneb")
    }


def ibm_machines(given: Given) -> Mapping[str, Mapping[str, str | Secret]]:
    return {
        "ibm_nairobi": {
            "type": "ibm-quantum-compute-service",
            "QRMI_IBM_QCS_ENDPOINT": f"{given.url}/api/v1",
            "QRMI_IBM_QCS_IAM_ENDPOINT": given.url,
            "QRMI_IBM_QCS_IAM_APIKEY": given.secret,
            "QRMI_IBM_QCS_SERVICE_CRN": CRN,
            "QRMI_JOB_TIMEOUT_SECONDS": "300",
        }
    }


def pasqal_machines(given: Given) -> Mapping[str, Mapping[str, str | Secret]]:
    return {
        "FRESNEL": {
            "type": "pasqal-cloud",
            "QRMI_PASQAL_CLOUD_PROJECT_ID": PasqalVendor.project,
            "QRMI_PASQAL_CLOUD_BASE_URL": given.url,
            "QRMI_PASQAL_CLOUD_AUTH_TOKEN": given.secret,
        }
    }


class QrmiBench(VendorBench):
    """QRMI hands no key on, so what the vendor has made since the last fault counts."""

    _before = 0

    def fault(self, route: str, kind: str) -> None:
        super().fault(route, kind)
        self._before = len(self._vendor.jobs)

    def accepted(self, key: str) -> int:
        return len(self._vendor.jobs) - self._before


@pytest.fixture(scope="module")
def iqm() -> Iterator[IqmVendor]:
    vendor = IqmVendor()
    with vendor:
        yield vendor


@pytest.fixture(scope="module")
def ibm() -> Iterator[IbmService]:
    vendor = IbmService()
    with vendor:
        yield vendor


@pytest.fixture(scope="module")
def pasqal() -> Iterator[PasqalVendor]:
    vendor = PasqalVendor()
    with vendor:
        yield vendor


def made(machines: Callable[[Given], Mapping[str, Any]]) -> Callable[[Given], RemoteProvider]:
    def make(given: Given) -> RemoteProvider:
        return create(
            machines=machines(given),
            account=given.account,
            processes=2,
            timeout_s=given.timeout_s,
        )

    return make


def written(circuit: QuantumCircuit) -> bytes:
    buffer = io.BytesIO()
    qpy.dump([circuit], buffer, version=15)
    return buffer.getvalue()


def work(program: bytes, *pubs: Pub, resource: str, **other: Any) -> Work:
    return Work(
        task_id=new_id("task"),
        resource=resource,
        kind=other.pop("kind", JobKind.SAMPLE),
        circuits=[program],
        pubs=pubs,
        options=other.pop("options", Options()),
        **other,
    )


@pytest.fixture(scope="module")
def iqm_sample() -> Work:
    circuit = QuantumCircuit(5, 2)
    circuit.r(1.5707963267948966, 1.5707963267948966, [0, 2])
    circuit.cz(0, 2)
    circuit.r(-1.5707963267948966, 1.5707963267948966, 2)
    circuit.measure([0, 2], [0, 1])
    return work(written(circuit), Pub(shots=100), resource="adonis")


@pytest.fixture(scope="module")
def ibm_sample() -> Work:
    circuit = QuantumCircuit(7, 2)
    circuit.x(0)
    circuit.cx(0, 1)
    circuit.measure([0, 1], [0, 1])
    return work(written(circuit), Pub(shots=100), resource="ibm-nairobi")


@pytest.fixture(scope="module")
def pasqal_sample() -> Work:
    program = sequence().to_abstract_repr().encode()
    return work(program, Pub(shots=50), resource="fresnel", native=PULSER, kind=JobKind.RUN)


UNASKED = [("stop", kind) for kind in Fault]
"""QRMI looks at a task first, and does not ask for the end of one that has ended."""
FOLLOWED = [(route, Fault.ELSEWHERE) for route in ("login", "poll", "stop")]
"""QRMI asks on where an answer points to, and takes what is said there."""
UNREAD = [("stop", Fault.MALFORMED), ("stop", Fault.STRANGE)]
"""Of the answer that a batch has ended and cannot be cancelled, QRMI reads the status alone."""


class TestIbmThroughQrmi(ProviderContract):
    @pytest.fixture
    def bench(self, ibm: IbmService, ibm_sample: Work) -> Bench:
        return QrmiBench(ibm, made(ibm_machines), ibm_sample, absorbed=[*UNASKED, *FOLLOWED])


class TestIqmThroughQrmi(ProviderContract):
    @pytest.fixture
    def bench(self, iqm: IqmVendor, iqm_sample: Work) -> Bench:
        return QrmiBench(iqm, made(iqm_machines), iqm_sample, absorbed=[*UNASKED, *FOLLOWED])


class PasqalBench(QrmiBench):
    """QRMI is given a token for Pasqal's cloud, and logs in with nothing."""

    def __init__(self, vendor: PasqalVendor, *others: Any, **options: Any) -> None:
        super().__init__(vendor, *others, **options)
        self.secret = vendor.token()


class TestPasqalThroughQrmi(ProviderContract):
    @pytest.fixture
    def bench(self, pasqal: PasqalVendor, pasqal_sample: Work) -> Bench:
        return PasqalBench(
            pasqal, made(pasqal_machines), pasqal_sample, absorbed=[*UNREAD, *FOLLOWED]
        )


@pytest.fixture
def through_iqm(iqm: IqmVendor, iqm_sample: Work) -> Iterator[RemoteProvider]:
    provider = QrmiBench(iqm, made(iqm_machines), iqm_sample).provider()
    yield provider
    provider.close()


@pytest.fixture
def through_ibm(ibm: IbmService, ibm_sample: Work) -> Iterator[RemoteProvider]:
    provider = QrmiBench(ibm, made(ibm_machines), ibm_sample).provider()
    yield provider
    provider.close()


def results(provider: RemoteProvider, one: Work) -> list[dict[str, Any]]:
    order = Order(key=new_id("exec"), resource=one.resource, works=[one])
    (execution,) = start(provider, [order])
    wait_all(provider, [execution])
    (outcome,) = provider.result(execution, lambda: [one])
    assert outcome.error is None
    assert outcome.result is not None
    found: list[dict[str, Any]] = json.loads(outcome.result)
    return found


@pytest.mark.parametrize(
    ("fixture", "resource"), [("through_iqm", "adonis"), ("through_ibm", "ibm-nairobi")]
)
def test_a_circuit_and_its_expectation_values_come_back_from_each_vendor(
    request: pytest.FixtureRequest, fixture: str, resource: str
) -> None:
    provider: RemoteProvider = request.getfixturevalue(fixture)
    target = qiskit_target(decode_target(provider.target(resource)))
    compiled = transpile(CIRCUIT, target=target, optimization_level=1, seed_transpiler=3)
    one = work(written(compiled), Pub(shots=400), resource=resource, options=Options(memory=True))
    (pub,) = results(provider, one)
    counts = {int(key, 16): number for key, number in pub["counts"][0].items()}
    assert sum(counts.values()) == len(pub["memory"][0]) == 400
    assert counts[0] + counts[3] > 300
    assert pub["registers"] == [{"name": "c", "bits": 2}]
    bell = transpile(
        CIRCUIT.remove_final_measurements(inplace=False),
        target=target,
        optimization_level=1,
        seed_transpiler=3,
    )
    asked = Pub(observables=[{"XX": 1.0}, {"ZI": 1.0}], precision=0.05)
    (estimate,) = results(
        provider, work(written(bell), asked, resource=resource, kind=JobKind.ESTIMATE)
    )
    assert estimate["evs"][0] > 0.6
    assert abs(estimate["evs"][1]) < 0.25


def test_iqm_s_own_json_is_passed_on(through_iqm: RemoteProvider, iqm: IqmVendor) -> None:
    flip = {"name": "prx", "locus": ["QB2"], "args": {"angle": 3.141592653589793, "phase": 0.0}}
    seen = {"name": "measure", "locus": ["QB2"], "args": {"key": "m"}}
    program = json.dumps({"name": "flip", "instructions": [flip, seen]}).encode()
    one = work(program, Pub(shots=100), resource="adonis", native=IQM, kind=JobKind.RUN)
    through_iqm.check(one)
    (pub,) = results(through_iqm, one)
    assert pub["outcomes"]["1"] > 80
    newest = list(iqm.jobs.values())[-1]
    assert newest.payload.tag.startswith("exec_")


@pytest.mark.skipif(find_spec("iqm") is not None, reason="iqm-client is here")
def test_a_machine_that_needs_iqm_client_to_compile_for_is_told(
    through_iqm: RemoteProvider,
) -> None:
    target = qiskit_target(decode_target(through_iqm.target("deneb")))
    one = work(written(transpile(CIRCUIT, target=target)), Pub(shots=10), resource="deneb")
    order = Order(key=new_id("exec"), resource="deneb", works=[one])
    with pytest.raises(ResourceMismatch, match="iqm-client"):
        through_iqm.start([order])


def test_what_a_type_does_not_run_is_refused(through_ibm: RemoteProvider) -> None:
    with pytest.raises(Invalid):
        through_ibm.check(
            work(b"{}", Pub(shots=1), resource="ibm-nairobi", native=IQM, kind=JobKind.RUN)
        )


def test_a_session_is_opened_for_an_execution_and_closed_with_it(
    ibm: IbmService, ibm_sample: Work
) -> None:
    provider = create(machines=ibm_machines(_given(ibm)), acquire=True, processes=1)
    order = Order(key=new_id("exec"), resource="ibm-nairobi", works=[ibm_sample])
    (execution,) = start(provider, [order])
    assert execution.count(":") == 2
    wait_all(provider, [execution])
    opened, closed = [what for about, what in ibm.requests if about == "session"][-2:]
    assert opened.startswith("POST")
    assert not closed.startswith(("POST", "GET"))
    provider.close()


def _given(vendor: Vendor) -> Given:
    os.environ["QUANOPY_LOOPBACK_QRMI"] = vendor.secret
    return Given(
        url=vendor.url,
        secret=Secret("env:QUANOPY_LOOPBACK_QRMI"),
        timeout_s=20.0,
        account="somebody",
    )


def test_the_environment_has_no_credential_of_qrmi_s(through_iqm: RemoteProvider) -> None:
    assert {one.state for one in through_iqm.resources()} == {ResourceState.ONLINE}
    assert not [name for name in os.environ if "QRMI_IQM" in name]


@pytest.mark.parametrize(
    ("table", "where"),
    [
        ({"type": "oqtopus"}, "machines.x.type"),
        ({"QRMI_IQM_ISA_ENDPOINT": "http://x"}, "machines.x.type"),
        ({"type": "iqm-server", "QRMI_IQM_ISA_TOKEN": "hunter2"}, "machines.x.QRMI_IQM_ISA_TOKEN"),
        ({"type": "iqm-server", "PATH": "/"}, "machines.x.PATH"),
    ],
)
def test_a_machine_that_cannot_be_meant_is_refused(table: dict[str, str], where: str) -> None:
    with pytest.raises(Invalid) as refused:
        create(machines={"x": table})
    assert refused.value.where == where
    assert "hunter2" not in str(refused.value)


def test_a_vendor_that_is_silent_leaves_the_resource_offline() -> None:
    gone = IqmVendor()
    with gone:
        given = _given(gone)
    provider = create(machines=iqm_machines(given), processes=1, timeout_s=5.0)
    found = provider.resources()
    assert {one.state for one in found} == {ResourceState.OFFLINE}
    assert all(one.reason for one in found)
    provider.close()


def test_a_pulser_sequence_runs_through_qrmi(pasqal: PasqalVendor, pasqal_sample: Work) -> None:
    bench = PasqalBench(pasqal, made(pasqal_machines), pasqal_sample)
    provider = bench.provider()
    (resource,) = provider.resources()
    assert (resource.name, resource.state) == ("fresnel", ResourceState.ONLINE)
    assert provider.calibration("fresnel") is None
    with pytest.raises(ResourceMismatch):
        provider.target("fresnel")
    provider.check(pasqal_sample)
    (pub,) = results(provider, pasqal_sample)
    assert sum(pub["outcomes"].values()) == pub["shots"] == 50
    assert {len(label) for label in pub["outcomes"]} == {4}
    provider.stop([f"fresnel:{next(iter(pasqal.jobs))}"])
    provider.close()


def sequence() -> Any:
    from pulser import Pulse, Register, Sequence
    from pulser.devices import AnalogDevice

    made = Sequence(Register.square(2, spacing=6, prefix="q"), AnalogDevice)
    made.declare_channel("ch", "rydberg_global")
    made.add(Pulse.ConstantPulse(400, 3.0, 0, 0), "ch")
    made.measure()
    return made
