"""A loopback machine runs in the condition that it reports, before a calibration and after it."""

import io
import json
from collections.abc import Callable

import pytest
from qiskit import QuantumCircuit, qpy

from quanopy.domain.ids import new_id
from quanopy.domain.jobs import JobKind, Options, Pub
from quanopy.domain.programs import BRAKET_IR
from quanopy.ports.providers import Order, RemoteProvider, Work
from quanopy.providers import braket, ibm
from quanopy.providers.options import bound
from quanopy.testing.remote_provider_contract import start, wait_all
from quanopy.testing.vendors.base import Vendor
from quanopy.testing.vendors.braket import BraketVendor
from quanopy.testing.vendors.ibm import IbmService
from tests.contract.vendors.test_braket import native

SHOTS = 20_000
OFTEN = 40
"""Calibrations later the errors are about three times as large."""
VERBATIM = """OPENQASM 3.0;
bit[1] b;
#pragma braket verbatim
box {
prx(3.141592653589793, 0.0) $1;
}
b[0] = measure $1;
"""


def ibm_flip() -> Work:
    circuit = QuantumCircuit(7, 1)
    circuit.x(0)
    circuit.measure(0, 0)
    data = io.BytesIO()
    qpy.dump([circuit], data, version=15)
    return Work(
        task_id=new_id("task"),
        resource="ibm-nairobi",
        kind=JobKind.SAMPLE,
        circuits=[data.getvalue()],
        pubs=[Pub(shots=SHOTS)],
        options=Options(),
    )


def braket_flip() -> Work:
    header = {"name": "braket.ir.openqasm.program", "version": "1"}
    program = {"braketSchemaHeader": header, "source": VERBATIM, "inputs": {}}
    return native(BRAKET_IR, program, SHOTS, "lark")


def ibm_of(vendor: Vendor) -> RemoteProvider:
    return ibm.create(**bound(ibm.create, vendor.options(), where="ibm"))


def braket_of(vendor: Vendor) -> RemoteProvider:
    return braket.create(**bound(braket.create, vendor.options(), where="braket"))


def unflipped(provider: RemoteProvider, work: Work) -> float:
    """How often a qubit that was flipped was read as one that was not."""
    (execution,) = start(
        provider, [Order(key=new_id("exec"), resource=work.resource, works=[work])]
    )
    wait_all(provider, [execution], timeout_s=60.0)
    (outcome,) = provider.result(execution, lambda: [work])
    assert outcome.result is not None, outcome.error
    (pub,) = json.loads(outcome.result)
    counts = pub["counts"][0] if "counts" in pub else pub["outcomes"]
    read = {int(key, 0 if "x" in key else 2): number for key, number in counts.items()}
    return int(read[0]) / SHOTS


def told(provider: RemoteProvider, resource: str, name: str, qubit: int) -> float:
    """The error of reading a qubit, as the calibration has it."""
    snapshot = provider.calibration(resource)
    assert snapshot is not None
    (found,) = [m for m in snapshot.metrics if m.name == name and m.targets == (qubit,)]
    return found.value


@pytest.mark.parametrize(
    ("vendor", "provider_of", "flip", "metric", "qubit"),
    [
        (lambda: IbmService(machines=("nairobi",)), ibm_of, ibm_flip, "readout_error", 0),
        (BraketVendor, braket_of, braket_flip, "measure.error", 1),
    ],
    ids=["ibm", "braket"],
)
def test_what_runs_after_a_calibration_runs_with_its_errors(
    vendor: Callable[[], Vendor],
    provider_of: Callable[[Vendor], RemoteProvider],
    flip: Callable[[], Work],
    metric: str,
    qubit: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    work = flip()
    with vendor() as service:
        for name, value in service.environment().items():
            monkeypatch.setenv(name, value)
        provider = provider_of(service)
        provider.resources()
        before = unflipped(provider, work)
        reported = told(provider, work.resource, metric, qubit)
        assert before == pytest.approx(reported, rel=0.25)
        for _ in range(OFTEN):
            service.recalibrate()
        after = unflipped(provider, work)
        assert after == pytest.approx(told(provider, work.resource, metric, qubit), rel=0.25)
        assert after > 2 * before
        provider.close()
