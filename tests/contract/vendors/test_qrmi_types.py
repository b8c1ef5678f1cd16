"""QRMI's other types through the real ``qrmi`` package: Felis, a machine of Pasqal's on premises,
and IBM's Quantum System API."""

import ctypes
import json
import os
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from quanopy.domain.errors import Invalid, NotFound, OutcomeUnknown, Transient, Unavailable
from quanopy.domain.ids import new_id
from quanopy.domain.jobs import JobKind, Options, Pub
from quanopy.domain.programs import PULSER, QIR
from quanopy.domain.states import ExecutionState, ResourceState
from quanopy.ports.providers import Order, RemoteProvider, Work
from quanopy.providers.qrmi import create
from quanopy.providers.secrets import Secret
from quanopy.testing.remote_provider_contract import (
    Bench,
    ProviderContract,
    answer,
    start,
    wait_all,
)
from quanopy.testing.vendors.base import Vendor
from quanopy.testing.vendors.bench import Given, VendorBench
from quanopy.testing.vendors.faults import Fault
from quanopy.testing.vendors.felis import FelisVendor
from quanopy.testing.vendors.ibm import CRN, IbmService
from quanopy.testing.vendors.ibm_system import IbmSystem
from quanopy.testing.vendors.pasqal_local import PasqalWarden
from tests.contract.vendors.test_qrmi import (
    FOLLOWED,
    UNASKED,
    UNREAD,
    QrmiBench,
    results,
    sequence,
    written,
)

BELL = b"""; ModuleID = 'bell'
source_filename = "bell"

define void @main() #0 {
entry:
  call void @__quantum__qis__h__body(ptr null)
  call void @__quantum__qis__cnot__body(ptr null, ptr inttoptr (i64 1 to ptr))
  call void @__quantum__qis__mz__body(ptr null, ptr null)
  call void @__quantum__qis__mz__body(ptr inttoptr (i64 1 to ptr), ptr inttoptr (i64 1 to ptr))
  ret void
}
"""


def native(program: bytes, name: str, resource: str) -> Work:
    return Work(
        task_id=new_id("task"),
        resource=resource,
        kind=JobKind.RUN,
        circuits=[program],
        pubs=[Pub(shots=50)],
        options=Options(),
        native=name,
    )


def made(machines: Callable[[Given], Mapping[str, Any]]) -> Callable[[Given], RemoteProvider]:
    def make(given: Given) -> RemoteProvider:
        return create(
            machines=machines(given),
            account=given.account,
            processes=2,
            timeout_s=given.timeout_s,
        )

    return make


# -- Felis ------------------------------------------------------------------------------------
def cats(given: Given) -> Mapping[str, Any]:
    return {
        "ab_emu_6q_loopback": {
            "type": "alice-bob-felis",
            "QRMI_AB_FELIS_BASE_ENDPOINT": given.url,
            "QRMI_AB_FELIS_API_KEY": given.secret,
        }
    }


@pytest.fixture(scope="module")
def felis() -> Iterator[FelisVendor]:
    vendor = FelisVendor()
    with vendor:
        yield vendor


@pytest.fixture
def bell() -> Work:
    return native(BELL, QIR, "ab-emu-6q-loopback")


class FelisBench(QrmiBench):
    """A key of Felis's is a user and a password."""

    def provider(self, *, secret: str | None = None, **options: Any) -> RemoteProvider:
        key = None if secret is None else b64encode(f"user:{secret}".encode()).decode()
        return super().provider(secret=key, **options)


class TestFelisThroughQrmi(ProviderContract):
    @pytest.fixture
    def bench(self, felis: FelisVendor, bell: Work) -> Bench:
        return FelisBench(felis, made(cats), bell, absorbed=[*UNASKED, *FOLLOWED])


def test_qir_runs_on_felis(felis: FelisVendor, bell: Work) -> None:
    provider = QrmiBench(felis, made(cats), bell).provider()
    (resource,) = provider.resources()
    assert (resource.state, resource.capabilities.limits.qubits) == (ResourceState.ONLINE, 6)
    (pub,) = results(provider, bell)
    assert set(pub["outcomes"]) <= {"00", "11"}
    assert sum(pub["outcomes"].values()) == pub["shots"] == 50
    provider.close()


# -- Pasqal on premises -----------------------------------------------------------------------
STAND_IN = """
#include <string.h>
#include <stdio.h>
int munge_encode(char **to, void *c, const void *b, int n) {
  char line[256] = "";
  FILE *kept = fopen("KEPT", "r");
  if (kept == NULL || fgets(line, sizeof line, kept) == NULL) return 1;
  fclose(kept);
  *to = strdup(line);
  return 0; }
const char *munge_strerror(int e) { return "there is no credential"; }
"""
"""Signs all with the credential in a file. The real one asks a daemon that root has to run."""


@pytest.fixture(scope="module")
def munge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The file with the credential."""
    compiler = which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler to build libmunge's stand-in")
    folder = tmp_path_factory.mktemp("munge")
    source, library = folder / "munge.c", folder / "libmunge.so.2"
    kept = folder / "credential"
    source.write_text(STAND_IN.replace("KEPT", str(kept)))
    kept.write_text(PasqalWarden.secret)
    flags = ["-shared", "-fPIC", "-Wl,-soname,libmunge.so.2"]
    subprocess.run([compiler, *flags, "-o", library, source], check=True)
    ctypes.CDLL(str(library))
    patched = pytest.MonkeyPatch()
    patched.setenv("LD_LIBRARY_PATH", str(folder), prepend=":")
    yield kept
    patched.undo()


def wards(given: Given) -> Mapping[str, Any]:
    return {"FRESNEL": {"type": "pasqal-local", "QRMI_WARDEN_URL": given.url}}


@pytest.fixture(scope="module")
def warden() -> Iterator[PasqalWarden]:
    vendor = PasqalWarden()
    with vendor:
        yield vendor


@pytest.fixture(scope="module")
def square() -> Work:
    return native(sequence().to_abstract_repr().encode(), PULSER, "fresnel")


class WardenBench(QrmiBench):
    """Its credential is munge's, and no option."""

    kept: Path
    astray = ()
    """QRMI sends munge's credential on to where an answer points; it is good for one request."""

    def provider(self, *, secret: str | None = None, **options: Any) -> RemoteProvider:
        self.kept.write_text(secret or PasqalWarden.secret)
        return super().provider(**options)


AT_ONCE = [("result", kind) for kind in Fault]
"""Whoever asks for a job's state is told its result."""


class TestPasqalOnPremisesThroughQrmi(ProviderContract):
    @pytest.fixture
    def bench(self, munge: Path, warden: PasqalWarden, square: Work) -> Bench:
        bench = WardenBench(warden, made(wards), square, absorbed=[*UNREAD, *FOLLOWED, *AT_ONCE])
        bench.kept = munge
        return bench


def test_a_sequence_runs_in_a_session_of_its_own(munge: Path, warden: PasqalWarden) -> None:
    work = native(sequence().to_abstract_repr().encode(), PULSER, "fresnel")
    provider = VendorBench(warden, made(wards), work).provider()
    warden.sessions.clear()
    warden.jobs.clear()
    (resource,) = provider.resources()
    assert (resource.name, resource.state) == ("fresnel", ResourceState.ONLINE)
    warden.hold()
    orders = [Order(key=new_id("exec"), resource="fresnel", works=[work]) for _ in range(2)]
    executions = start(provider, orders)
    assert len(warden.sessions) == 2
    assert {one["user_id"] for one in warden.sessions.values()} == {str(os.getuid())}
    assert {job.key for job in warden.jobs.values()} == set(warden.sessions)
    warden.release()
    wait_all(provider, executions)
    assert not warden.sessions
    (outcome,) = provider.result(executions[0], lambda: [work])
    assert outcome.result is not None
    (pub,) = json.loads(outcome.result)
    assert sum(pub["outcomes"].values()) == pub["shots"] == 50
    assert provider.logs(executions[0]) == "run on loopback"
    provider.close()


def test_without_munge_a_machine_on_premises_is_refused() -> None:
    table = {"FRESNEL": {"type": "pasqal-local", "QRMI_WARDEN_URL": "http://127.0.0.1:9"}}
    code = (
        "from quanopy.domain.errors import Unavailable\n"
        "from quanopy.providers.qrmi import create\n"
        f"try:\n    create(machines={table!r})\n"
        "except Unavailable as error:\n    print(error)\n"
    )
    environment = {name: one for name, one in os.environ.items() if name != "LD_LIBRARY_PATH"}
    said = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
    )
    if not said.stdout:
        pytest.skip("munge is here")
    assert "libmunge.so.2" in said.stdout
    assert "FRESNEL" in said.stdout


# -- IBM's Quantum System API -----------------------------------------------------------------
@pytest.fixture(scope="module")
def system() -> Iterator[IbmSystem]:
    vendor = IbmSystem(machines=("nairobi",))
    with vendor:
        yield vendor


def premises(vendor: IbmSystem, **more: Any) -> Mapping[str, Any]:
    os.environ["QUANOPY_LOOPBACK_QS_KEY"] = vendor.secret
    os.environ["QUANOPY_LOOPBACK_QS_STORAGE"] = vendor.storage_secret
    return {
        "type": "ibm-quantum-system",
        **vendor.variables(),
        "QRMI_IBM_QS_IAM_APIKEY": Secret("env:QUANOPY_LOOPBACK_QS_KEY"),
        "QRMI_IBM_QS_AWS_SECRET_ACCESS_KEY": Secret("env:QUANOPY_LOOPBACK_QS_STORAGE"),
        **more,
    }


@pytest.fixture
def on_premises(system: IbmSystem) -> Iterator[RemoteProvider]:
    system.faults.clear()
    system.release()
    provider = create(machines={"ibm_nairobi": premises(system)}, processes=2)
    yield provider
    provider.close()


@pytest.fixture(scope="module")
def flip() -> Work:
    from qiskit import QuantumCircuit

    circuit = QuantumCircuit(7, 1)
    circuit.x(0)
    circuit.measure(0, 0)
    return Work(
        task_id=new_id("task"),
        resource="ibm-nairobi",
        kind=JobKind.SAMPLE,
        circuits=[written(circuit)],
        pubs=[Pub(shots=200)],
        options=Options(),
    )


TRIED_AGAIN = [
    (route, kind)
    for route in ("start", "poll")
    for kind in (
        *(Fault.DENIED, Fault.ECHO, Fault.TIMEOUT, Fault.LOCKED, Fault.MANY),
        *(Fault.BROKEN, Fault.BUSY, Fault.CUT),
    )
]
"""QRMI asks up to five times."""
IN_A_BUCKET = [
    ("poll", Fault.LOST),
    *(("start", kind) for kind in (Fault.MALFORMED, Fault.STRANGE)),
    *(("result", kind) for kind in Fault),
]
"""A submission is answered with nothing; results are not the API's, but its user's."""


class TestIbmOnPremisesThroughQrmi(ProviderContract):
    @pytest.fixture
    def bench(self, system: IbmSystem, flip: Work) -> Bench:
        def machines(given: Given) -> Mapping[str, Any]:
            return {"ibm_nairobi": premises(system, QRMI_IBM_QS_IAM_APIKEY=given.secret)}

        absorbed = [*UNASKED, *FOLLOWED, *TRIED_AGAIN, *IN_A_BUCKET]
        return QrmiBench(system, made(machines), flip, absorbed=absorbed)


def test_a_circuit_runs_through_the_quantum_system_api(
    on_premises: RemoteProvider, flip: Work
) -> None:
    (resource,) = on_premises.resources()
    assert (resource.name, resource.state) == ("ibm-nairobi", ResourceState.ONLINE)
    assert on_premises.calibration("ibm-nairobi") is not None
    (pub,) = results(on_premises, flip)
    counts = {int(key, 16): number for key, number in pub["counts"][0].items()}
    assert counts[1] > 150
    assert sum(counts.values()) == 200


def test_what_is_stopped_is_deleted_there_and_cancelled_here(
    on_premises: RemoteProvider, system: IbmSystem, flip: Work
) -> None:
    system.hold()
    (execution,) = start(on_premises, [order(flip)])
    on_premises.stop([execution])
    on_premises.stop([execution])
    assert on_premises.poll([execution])[execution].state is ExecutionState.CANCELLED
    system.release()


@pytest.mark.parametrize("kind", [Fault.DENIED, Fault.MANY, Fault.TIMEOUT])
def test_a_program_that_its_bucket_did_not_take_was_not_submitted(
    on_premises: RemoteProvider, system: IbmSystem, flip: Work, kind: Fault
) -> None:
    before = len(system.jobs)
    system.faults.plan("upload", kind, times=None)
    refused = answer(on_premises, order(flip))
    assert isinstance(refused, Unavailable)
    assert "bucket" in refused.message
    assert len(system.jobs) == before


def test_a_result_that_its_bucket_does_not_give_is_asked_for_again(
    on_premises: RemoteProvider, system: IbmSystem, flip: Work
) -> None:
    (execution,) = start(on_premises, [order(flip)])
    wait_all(on_premises, [execution])
    system.faults.plan("download", Fault.FORBIDDEN)
    with pytest.raises(Transient, match="bucket"):
        on_premises.result(execution, lambda: [flip])
    assert len(on_premises.result(execution, lambda: [flip])) == 1


def test_what_has_ended_is_not_deleted_by_stopping_it(
    on_premises: RemoteProvider, flip: Work
) -> None:
    (execution,) = start(on_premises, [order(flip)])
    wait_all(on_premises, [execution])
    on_premises.stop([execution])
    (outcome,) = on_premises.result(execution, lambda: [flip])
    assert outcome.error is None


def test_a_lost_answer_that_qrmi_sends_again_is_no_refusal(
    on_premises: RemoteProvider, system: IbmSystem, flip: Work
) -> None:
    before = len(system.jobs)
    system.faults.plan("start", Fault.LOST)
    assert isinstance(answer(on_premises, order(flip)), OutcomeUnknown)
    assert len(system.jobs) == before + 1


def order(work: Work) -> Order:
    return Order(key=new_id("exec"), resource=work.resource, works=[work])


# -- accounts ---------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def ibm() -> Iterator[IbmService]:
    vendor = IbmService()
    with vendor:
        yield vendor


def account(vendor: IbmService) -> Mapping[str, Any]:
    os.environ["QUANOPY_LOOPBACK_QRMI_ACCOUNT"] = vendor.secret
    return {
        "type": "ibm-quantum-compute-service",
        "is_dynamic": True,
        "QRMI_IBM_QCS_ENDPOINT": f"{vendor.url}/api/v1",
        "QRMI_IBM_QCS_IAM_ENDPOINT": vendor.url,
        "QRMI_IBM_QCS_IAM_APIKEY": Secret("env:QUANOPY_LOOPBACK_QRMI_ACCOUNT"),
        "QRMI_IBM_QCS_SERVICE_CRN": CRN,
    }


def test_an_account_stands_for_all_its_machines(ibm: IbmService, flip: Work) -> None:
    provider = create(machines={"ibm_inst": account(ibm)}, processes=1)
    assert {one.name for one in provider.resources()} == {"ibm-nairobi", "ibm-fez"}
    (execution,) = start(provider, [order(flip)])
    provider.close()
    fresh = create(machines={"ibm_inst": account(ibm)}, processes=1)
    assert set(wait_all(fresh, [execution])) == {execution}
    with pytest.raises(NotFound):
        fresh.calibration("ibm-nowhere")
    fresh.close()


def test_an_account_that_cannot_be_asked_has_forgotten_no_task(flip: Work) -> None:
    gone: Vendor = IbmService()
    with gone:
        machines = {"ibm_inst": account(gone)}  # type: ignore[arg-type]
    provider = create(machines=machines, processes=1, timeout_s=10.0)
    with pytest.raises(Transient):
        provider.poll(["ibm-nairobi:some-task"])
    provider.close()


# -- settings ---------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("table", "where"),
    [
        ({"type": "alice-bob-felis"}, "machines.x.QRMI_AB_FELIS_BASE_ENDPOINT"),
        ({"type": "pasqal-local"}, "machines.x.QRMI_WARDEN_URL"),
        ({"type": "ibm-quantum-system"}, "machines.x.QRMI_IBM_QS_ENDPOINT"),
        ({"type": "iqm-server", "is_dynamic": True}, "machines.x.is_dynamic"),
        ({"type": "iqm-server", "QRMI_IQM_ISA_ENDPOINT": True}, "machines.x.QRMI_IQM_ISA_ENDPOINT"),
    ],
)
def test_a_table_that_lacks_something_is_refused(table: dict[str, Any], where: str) -> None:
    with pytest.raises(Invalid) as refused:
        create(machines={"x": table})
    assert refused.value.where == where
