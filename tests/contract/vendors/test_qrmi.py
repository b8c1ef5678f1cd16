"""The QRMI provider through the real ``qrmi`` package, before the loopback services of its vendors."""

import io
import json
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from qiskit import QuantumCircuit, qpy, transpile

from quanopy.codecs.qiskit_targets import qiskit_target
from quanopy.codecs.targets import decode_target
from quanopy.domain.errors import Invalid, ResourceMismatch, TaskFailed
from quanopy.domain.ids import new_id
from quanopy.domain.jobs import JobKind, Options, Pub
from quanopy.domain.programs import IQM
from quanopy.domain.resources import Resource
from quanopy.domain.states import ResourceState
from quanopy.ports.providers import Order, RemoteProvider, Work
from quanopy.providers.qrmi import create
from quanopy.providers.secrets import Secret
from quanopy.testing.remote_provider_contract import Bench, ProviderContract, start, wait_all
from quanopy.testing.vendors.base import Vendor
from quanopy.testing.vendors.bench import Given, VendorBench
from quanopy.testing.vendors.ibm import CRN, IbmService
from quanopy.testing.vendors.iqm import IqmVendor

CIRCUIT = QuantumCircuit(2, 2)
CIRCUIT.h(0)
CIRCUIT.cx(0, 1)
CIRCUIT.measure([0, 1], [0, 1])


def iqm_machines(given: Given) -> Mapping[str, Mapping[str, str | Secret]]:
    return {
        "adonis": {
            "type": "iqm-server",
            "QRMI_IQM_ISA_ENDPOINT": given.url,
            "QRMI_IQM_ISA_TOKEN": given.secret,
        }
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


UNREAD = [("stop", "malformed"), ("stop", "strange")]
"""QRMI has no use for the answer to a cancellation."""


class TestIqmThroughQrmi(ProviderContract):
    @pytest.fixture
    def bench(self, iqm: IqmVendor, iqm_sample: Work) -> Bench:
        return QrmiBench(iqm, made(iqm_machines), iqm_sample, absorbed=UNREAD)


class TestIbmThroughQrmi(ProviderContract):
    @pytest.fixture
    def bench(self, ibm: IbmService, ibm_sample: Work) -> Bench:
        return QrmiBench(ibm, made(ibm_machines), ibm_sample, absorbed=UNREAD)
