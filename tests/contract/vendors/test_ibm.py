"""The IBM provider keeps the contract, with the vendor's own client before a loopback service."""

import io
from collections.abc import Iterator

import pytest
from qiskit import QuantumCircuit, qpy, transpile

from quanopy.domain.ids import new_id
from quanopy.domain.jobs import JobKind, Options, Pub
from quanopy.ports.providers import RemoteProvider, Work
from quanopy.providers.ibm import create
from quanopy.testing.remote_provider_contract import Bench, ProviderContract
from quanopy.testing.vendors.bench import Given, VendorBench
from quanopy.testing.vendors.ibm import CRN, IbmService


@pytest.fixture(scope="module")
def vendor() -> Iterator[IbmService]:
    with IbmService(machines=("nairobi",)) as service:
        yield service


def build(given: Given) -> RemoteProvider:
    return create(
        token=given.secret.reference,
        instance=CRN.replace("quanopy", given.account),
        url=f"{given.url}/api/v1",
        iam_url=given.url,
        timeout_s=given.timeout_s,
        visibility_delay_s=0.0,
    )


def bell() -> bytes:
    circuit = QuantumCircuit(2, 2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure([0, 1], [0, 1])
    written = io.BytesIO()
    qpy.dump([transpile(circuit, basis_gates=["rz", "sx", "x", "cx"])], written, version=15)
    return written.getvalue()


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
