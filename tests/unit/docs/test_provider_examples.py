"""The modules that the reference shows whole do what it says."""

import importlib.util
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister, qpy

from quanopy.domain.ids import new_id
from quanopy.domain.jobs import JobKind, Options, Pub
from quanopy.ports.providers import RemoteProvider, Work
from quanopy.providers.secrets import Secret
from quanopy.testing.fake_vendor import TOKEN
from quanopy.testing.remote_provider_contract import Bench, ProviderContract
from tests.servers.vendor import FakeVendorServer
from tests.unit.docs.blocks import DOCS, files


def shown(name: str, folder: Path) -> ModuleType:
    """A module of the page, imported from a file."""
    file = folder / name
    file.write_text(files(DOCS / "reference" / "providers.md")[name], encoding="utf-8")
    spec = importlib.util.spec_from_file_location(f"shown_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


# -- the local one ----------------------------------------------------------------------------
@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    return shown("reference.py", tmp_path_factory.mktemp("reference"))


def work(*, seed: int | None = None, shots: int = 50) -> Work:
    circuit = QuantumCircuit(
        QuantumRegister(3), ClassicalRegister(2, "low"), ClassicalRegister(1, "high")
    )
    circuit.x(0)
    circuit.h(1)
    circuit.measure([0, 1, 2], [0, 1, 2])
    blob = io.BytesIO()
    qpy.dump([circuit], blob)
    return Work(
        task_id=new_id("task"),
        resource="reference",
        kind=JobKind.SAMPLE,
        circuits=[blob.getvalue()],
        pubs=[Pub(shots=shots)],
        options=Options(seed=seed),
    )


def test_the_local_example_samples(reference: ModuleType) -> None:
    provider = reference.create()
    (resource,) = provider.resources()
    assert provider.target(resource.name).digest == provider.target(resource.name).digest
    (outcome,) = provider.start([work()]).wait()
    (pub,) = json.loads(outcome.result)
    assert pub["registers"] == [{"name": "low", "bits": 2}, {"name": "high", "bits": 1}]
    assert set(pub["counts"][0]) == {"0x1", "0x3"}
    assert sum(pub["counts"][0].values()) == 50
    assert outcome.usage["shots"] == 50
    provider.close()


def test_the_local_example_repeats_what_is_seeded(reference: ModuleType) -> None:
    results = [reference.create().start([work(seed=3)]).wait()[0].result for _ in range(2)]
    assert results[0] == results[1]


def test_the_local_example_leaves_out_what_is_cancelled(reference: ModuleType) -> None:
    one, other = work(), work()
    batch = reference.create().start([one, other])
    batch.cancel([one.task_id])
    cancelled, done = batch.wait()
    assert cancelled.error is not None
    assert done.error is None


# -- the remote one ---------------------------------------------------------------------------
class AcmeBench:
    """The example before its vendor."""

    secret = TOKEN
    secrets = (TOKEN,)
    astray = ()
    absorbed = frozenset({("stop", "strange")})

    def __init__(self, vendor: FakeVendorServer, module: ModuleType, place: Path) -> None:
        self._vendor = vendor
        self._place = place
        self._module = module
        vendor.script(idempotent=True)

    def provider(
        self,
        *,
        secret: str | None = None,
        timeout_s: float | None = None,
        account: str | None = None,
    ) -> RemoteProvider:
        self._place.write_text(secret or TOKEN, encoding="utf-8")
        made: RemoteProvider = self._module.create(
            url=f"http://{account}.example" if account else self._vendor.url,
            token=Secret(f"file:{self._place}"),
            timeout_s=timeout_s or 30.0,
        )
        return made

    def work(self) -> Work:
        return Work(
            task_id=new_id("task"),
            resource="acme",
            kind=JobKind.SAMPLE,
            circuits=[b"qpy"],
            pubs=[Pub(shots=100)],
            options=Options(),
        )

    def hold(self) -> None:
        self._vendor.script(idempotent=True, run_s=3600.0)

    def release(self) -> None:
        self._vendor.script(idempotent=True)

    def fault(self, route: str, kind: str) -> None:
        self._vendor.script(idempotent=True, next={route: [kind]})

    def skew(self, seconds: float) -> None:
        """It tells no time."""

    def recalibrate(self) -> None:
        """It publishes no calibration."""

    def accepted(self, key: str) -> int:
        counts: int = self._vendor.counts()["keys"].get(key, 0)
        return counts


@pytest.fixture(scope="module")
def vendor() -> Iterator[FakeVendorServer]:
    with FakeVendorServer() as server:
        yield server


@pytest.fixture(scope="module")
def acme(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    return shown("acme.py", tmp_path_factory.mktemp("acme"))


class TestRemoteExample(ProviderContract):
    @pytest.fixture
    def bench(self, vendor: FakeVendorServer, acme: ModuleType, tmp_path: Path) -> Bench:
        return AcmeBench(vendor, acme, tmp_path / "token")
