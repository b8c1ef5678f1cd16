"""A loopback machine runs in the condition that it reports, before a calibration and after it."""

import io
import json
import math
import warnings
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest
from qiskit import QuantumCircuit, qpy

from quanopy.domain.ids import new_id
from quanopy.domain.jobs import JobKind, Options, Pub
from quanopy.domain.programs import BRAKET_IR, PERCEVAL, PULSER
from quanopy.ports.providers import Order, RemoteProvider, Work
from quanopy.providers import braket, ibm, pasqal, perceval, qrmi, vqpu
from quanopy.providers.options import bound
from quanopy.testing.remote_provider_contract import start, wait_all
from quanopy.testing.vendors.base import Vendor
from quanopy.testing.vendors.braket import BraketVendor
from quanopy.testing.vendors.ibm import IbmService
from quanopy.testing.vendors.iqm import IqmVendor
from quanopy.testing.vendors.pasqal import PasqalVendor
from quanopy.testing.vendors.perceval import PercevalVendor
from quanopy.testing.vendors.vqpu import VqpuVendor
from quanopy.vqpu.machine import Machine, Pace, build
from quanopy.vqpu.noise import Parameters
from tests.contract.vendors.test_braket import native
from tests.contract.vendors.test_perceval import hong_ou_mandel

SHOTS = 20_000
OFTEN = 40
"""Calibrations later most machines err about three times as often."""
VERBATIM = """OPENQASM 3.0;
bit[1] b;
#pragma braket verbatim
box {
prx(3.141592653589793, 0.0) $1;
}
b[0] = measure $1;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """How often a machine errs at what it should do without fail, and what it says of that."""

    vendor: Callable[[], Vendor]
    module: ModuleType
    work: Callable[[], Work]
    wrong: Callable[[Mapping[str, int]], float] = lambda counts: read_wrong(counts)
    """The rate of errors in the counts."""
    metric: str
    target: tuple[int, ...] = ()
    expected: Callable[[float], float] = lambda value: value
    """That rate, from the metric."""
    options: Callable[[Vendor], Mapping[str, Any]] = lambda vendor: vendor.options()
    often: int = OFTEN


def read_wrong(counts: Mapping[str, int]) -> float:
    """How often a qubit that was flipped was read as one that was not."""
    read = {int(key, 0 if "x" in key else 2): number for key, number in counts.items()}
    return read[0] / SHOTS


def excited(counts: Mapping[str, int]) -> float:
    """How often an atom that was left alone was read as excited."""
    return sum(bits.count("1") * number for bits, number in counts.items()) / (2 * SHOTS)


def apart(counts: Mapping[str, int]) -> float:
    """How often two photons that are alike left a beam splitter apart."""
    two = {label: n for label, n in counts.items() if label in ("|2,0>", "|1,1>", "|0,2>")}
    return two["|1,1>"] / sum(two.values())


def circuit(resource: str, made: QuantumCircuit) -> Work:
    data = io.BytesIO()
    qpy.dump([made], data, version=15)
    return work(resource, data.getvalue(), JobKind.SAMPLE)


def work(resource: str, program: bytes, kind: JobKind, format: str | None = None) -> Work:
    return Work(
        task_id=new_id("task"),
        resource=resource,
        kind=kind,
        circuits=[program],
        pubs=[Pub(shots=SHOTS)],
        options=Options(),
        native=format,
    )


def flip(resource: str, gate: str, *angles: float, qubits: int, qubit: int = 0) -> Work:
    made = QuantumCircuit(qubits, 1)
    getattr(made, gate)(*angles, qubit)
    made.measure(qubit, 0)
    return circuit(resource, made)


def braket_flip() -> Work:
    header = {"name": "braket.ir.openqasm.program", "version": "1"}
    program = {"braketSchemaHeader": header, "source": VERBATIM, "inputs": {}}
    return native(BRAKET_IR, program, SHOTS, "lark")


def atoms_left_alone() -> Work:
    import pulser

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        register = pulser.Register.rectangle(1, 2, spacing=20.0, prefix="q")
        sequence = pulser.Sequence(register, pulser.AnalogDevice)
        sequence.declare_channel("all", "rydberg_global")
        sequence.add(pulser.Pulse.ConstantPulse(100, 0, 0, 0), "all")
        sequence.measure("ground-rydberg")
        program = str(sequence.to_abstract_repr()).encode()
    return work("fresnel", program, JobKind.RUN, PULSER)


def photons() -> Work:
    return work("sim-loopback", hong_ou_mandel(), JobKind.RUN, PERCEVAL)


def misread() -> Machine:
    """A vQPU that errs often enough to count it."""
    noise = Parameters(depolarising=0.001, readout=0.05)
    return build(name="vqpu", qubits=5, noise=noise, memory_bytes=2**28, pace=Pace())


def through_qrmi(vendor: Vendor) -> Mapping[str, Any]:
    token = vendor.options()["token"]
    server = {"type": "iqm-server", "QRMI_IQM_ISA_ENDPOINT": vendor.url}
    return {"machines": {"adonis": {**server, "QRMI_IQM_ISA_TOKEN": token}}}


CASES = {
    "ibm": Case(
        vendor=lambda: IbmService(machines=("nairobi",)),
        module=ibm,
        work=lambda: flip("ibm-nairobi", "x", qubits=7),
        metric="readout_error",
        target=(0,),
    ),
    "braket": Case(
        vendor=BraketVendor, module=braket, work=braket_flip, metric="measure.error", target=(1,)
    ),
    "iqm": Case(
        vendor=IqmVendor,
        module=qrmi,
        options=through_qrmi,
        work=lambda: flip("adonis", "r", math.pi, 0.0, qubits=5, qubit=2),
        metric="measure.error_1_to_0",
        target=(2,),
    ),
    "pasqal": Case(
        vendor=PasqalVendor,
        module=pasqal,
        work=atoms_left_alone,
        wrong=excited,
        metric="noise.p_false_pos",
    ),
    "perceval": Case(
        vendor=PercevalVendor,
        module=perceval,
        work=photons,
        wrong=apart,
        metric="HOM",
        expected=lambda visibility: (1 - visibility) / 2,
    ),
    "vqpu": Case(
        vendor=lambda: VqpuVendor(machine=misread()),
        module=vqpu,
        work=lambda: flip("vqpu", "rx", math.pi, qubits=5),
        metric="measure.error",
        often=110,
    ),
}


def measured(provider: RemoteProvider, work: Work) -> Mapping[str, int]:
    """What came out, by outcome."""
    (execution,) = start(
        provider, [Order(key=new_id("exec"), resource=work.resource, works=[work])]
    )
    wait_all(provider, [execution])
    (outcome,) = provider.result(execution, lambda: [work])
    assert outcome.result is not None, outcome.error
    (pub,) = json.loads(outcome.result)
    counts: Mapping[str, int] = pub["counts"][0] if "counts" in pub else pub["outcomes"]
    return counts


def told(provider: RemoteProvider, resource: str, name: str, target: tuple[int, ...]) -> float:
    """A number of the calibration."""
    snapshot = provider.calibration(resource)
    assert snapshot is not None
    numbers = {(metric.name, tuple(metric.targets)): metric.value for metric in snapshot.metrics}
    assert (name, target) in numbers
    return numbers[name, target]


@pytest.mark.parametrize("name", CASES)
def test_what_runs_after_a_calibration_runs_with_its_errors(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = CASES[name]
    work = case.work()
    with case.vendor() as service:
        for key, value in service.environment().items():
            monkeypatch.setenv(key, value)
        options = bound(case.module.create, case.options(service), where=name)
        provider: RemoteProvider = case.module.create(**options)
        with closing(provider):
            provider.resources()
            rates = []
            for _ in range(2):
                wrong = case.wrong(measured(provider, work))
                reported = told(provider, work.resource, case.metric, case.target)
                assert wrong == pytest.approx(case.expected(reported), rel=0.25)
                rates.append(wrong)
                for _ in range(case.often):
                    service.recalibrate()
        assert rates[1] > 2 * rates[0]
