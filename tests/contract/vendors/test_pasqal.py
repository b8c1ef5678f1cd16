"""The provider of Pasqal's cloud keeps the contract, before the loopback cloud."""

import json
import warnings
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from importlib.util import find_spec

import pytest

from quanopy.domain.errors import (
    Denied,
    Invalid,
    Rejected,
    ResourceMismatch,
    TaskFailed,
    Unavailable,
)
from quanopy.domain.ids import new_id
from quanopy.domain.jobs import JobKind, Options, Pub
from quanopy.domain.programs import PULSER
from quanopy.domain.states import ExecutionState
from quanopy.ports.providers import Order, RemoteProvider, Work
from quanopy.providers.pasqal import create
from quanopy.providers.pasqal.results import pub_of, time_of
from quanopy.providers.secrets import Secret
from quanopy.providers.sessions import VendorSession
from quanopy.testing.remote_provider_contract import Bench, ProviderContract, start, wait_all
from quanopy.testing.vendors.bench import Given, VendorBench
from quanopy.testing.vendors.pasqal import PasqalVendor

pytestmark = pytest.mark.skipif(find_spec("pulser") is None, reason="Pulser is not installed")


@cache
def blockade(atoms: int = 2, spacing: float = 6.0) -> bytes:
    """Atoms too near each other to be excited together, as a program."""
    import pulser

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        register = pulser.Register.rectangle(1, atoms, spacing=spacing, prefix="q")
        sequence = pulser.Sequence(register, pulser.AnalogDevice)
        sequence.declare_channel("all", "rydberg_global")
        sequence.add(pulser.Pulse.ConstantPulse(500, 4.44, 0, 0), "all")
        sequence.measure("ground-rydberg")
        return str(sequence.to_abstract_repr()).encode()


def work(resource: str = "fresnel", *, shots: int = 100) -> Work:
    return Work(
        task_id=new_id("task"),
        resource=resource,
        kind=JobKind.RUN,
        circuits=[blockade()],
        pubs=[Pub(shots=shots)],
        options=Options(),
        native=PULSER,
    )


@pytest.fixture(scope="module")
def vendor() -> Iterator[PasqalVendor]:
    with PasqalVendor() as vendor:
        assert isinstance(vendor, PasqalVendor)
        yield vendor


def provider_of(given: Given) -> RemoteProvider:
    return create(
        project=given.account,
        username=PasqalVendor.user,
        password=given.secret,
        url=given.url,
        token_url=f"{given.url}/oauth/token",
        request_timeout_s=given.timeout_s,
    )


@pytest.fixture
def bench(vendor: PasqalVendor) -> Bench:
    # A cancellation's answer is not read.
    absorbed = {("stop", "strange"), ("stop", "malformed")}
    return VendorBench(vendor, provider_of, work(), absorbed=absorbed)


class TestPasqal(ProviderContract):
    @pytest.fixture
    def bench(self, bench: Bench) -> Bench:
        return bench


@pytest.fixture
def provider(bench: Bench) -> Iterator[RemoteProvider]:
    provider = bench.provider()
    yield provider
    provider.close()


def sent(provider: RemoteProvider, *works: Work) -> str:
    """These in one batch, ended."""
    (job,) = start(provider, [Order(key=new_id("exec"), resource="fresnel", works=works)])
    wait_all(provider, [job])
    return job


# -- atoms ------------------------------------------------------------------------------------
def test_atoms_that_are_near_are_not_excited_together(provider: RemoteProvider) -> None:
    one = work(shots=500)
    (outcome,) = provider.result(sent(provider, one), lambda: [one])
    (pub,) = json.loads(outcome.result or b"")
    assert sum(pub["outcomes"].values()) == 500
    assert pub["outcomes"].get("11", 0) < 75
    assert len(pub["documents"][0]["raw"]) == 500
    assert outcome.started_at is not None
    assert outcome.ended_at is not None
    assert outcome.started_at <= outcome.ended_at


def test_works_share_a_batch_and_each_has_its_own(provider: RemoteProvider) -> None:
    three = replace(
        work(),
        circuits=[blockade(), blockade(3)],
        pubs=[Pub(program=0, shots=10), Pub(program=1, shots=20)],
    )
    works = [work(shots=30), three]
    first, second = provider.result(sent(provider, *works), lambda: works)
    assert [pub["shots"] for pub in json.loads(first.result or b"")] == [30]
    found = json.loads(second.result or b"")
    assert [pub["shots"] for pub in found] == [10, 20]
    assert {len(bits) for bits in found[1]["outcomes"]} == {3}


def test_a_job_that_fails_touches_no_neighbour(provider: RemoteProvider) -> None:
    bad = replace(work(), circuits=[b'{"version": "1"}'])
    works = [work(), bad]
    job = sent(provider, *works)
    good, failed = provider.result(job, lambda: works)
    assert good.error is None
    assert isinstance(failed.error, TaskFailed)
    assert provider.logs(job) in str(failed.error)


def test_a_batch_of_which_all_fails_has_failed_with_its_words(provider: RemoteProvider) -> None:
    bad = replace(work(), circuits=[b'{"version": "1"}'])
    job = sent(provider, bad)
    report = provider.poll([job])[job]
    assert report.state is ExecutionState.FAILED
    assert "Error" in report.detail


def test_a_batch_is_taken_over_with_its_program(provider: RemoteProvider) -> None:
    order = Order(key=new_id("exec"), resource="fresnel", works=[work()])
    (job,) = start(provider, [order])
    wait_all(provider, [job])
    known = provider.describe(job)
    assert known.key == order.key
    assert known.program is not None
    assert known.program.data == blockade()
    assert known.shots == 100
    (outcome,) = provider.result(job, None)
    assert outcome.error is None


def test_two_hundred_batches_are_two_questions(
    provider: RemoteProvider, vendor: PasqalVendor, bench: Bench
) -> None:
    bench.hold()
    ids = start(provider, [Order(key=new_id("exec"), resource="fresnel", works=[work()])] * 200)
    vendor.requests.clear()
    assert len(provider.poll(ids)) == 200
    assert [about for about, _ in vendor.requests] == ["poll", "poll"]
    provider.stop(ids)
    bench.release()


# -- devices ----------------------------------------------------------------------------------
def test_devices_are_resources_with_what_they_publish(provider: RemoteProvider) -> None:
    resources = {one.name: one for one in provider.resources()}
    assert set(resources) == {"fresnel", "emu-free"}
    able = resources["fresnel"].capabilities
    assert not able.simulator
    assert resources["emu-free"].capabilities.simulator
    assert (able.limits.qubits, able.limits.shots) == (80, 2000)
    snapshot = provider.calibration("fresnel")
    assert snapshot is not None
    metrics = {metric.name: metric for metric in snapshot.metrics}
    assert metrics["noise.p_false_neg"].value == 0.03
    assert metrics["rydberg_global.max_amp"].unit == "rad/s"
    assert metrics["min_atom_distance"].value == pytest.approx(5e-6)
    assert snapshot.calibrated_at is None


def test_what_cannot_run_is_refused_offline(provider: RemoteProvider) -> None:
    provider.resources()
    sequence = json.loads(blockade())
    many = {**sequence, "register": [{"name": f"q{i}", "x": 6.0 * i, "y": 0.0} for i in range(81)]}
    unbuilt = {**sequence, "variables": {"t": {"type": "int"}}}
    with pytest.raises(ResourceMismatch, match="81 atoms"):
        provider.check(replace(work(), circuits=[json.dumps(many).encode()]))
    with pytest.raises(Invalid, match="variables"):
        provider.check(replace(work(), circuits=[json.dumps(unbuilt).encode()]))
    with pytest.raises(Invalid):
        provider.check(replace(work(), circuits=[b"[" * 100_000]))
    with pytest.raises(ResourceMismatch, match="2000 times"):
        provider.check(work(shots=2001))
    with pytest.raises(ResourceMismatch):
        provider.check(replace(work(), native=None))


def test_a_cloud_that_never_answered_has_no_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_CLOUD", "token")
    provider = create(project="p", token=Secret("env:NO_CLOUD"), url="http://127.0.0.1:9")
    assert provider.resources() == []
    with pytest.raises(Unavailable):
        provider.calibration("fresnel")
    provider.close()


# -- access -----------------------------------------------------------------------------------
def test_credentials_are_needed() -> None:
    with pytest.raises(Invalid, match="credentials"):
        create(project="p", username="ada")


def test_a_token_from_elsewhere_is_taken(
    vendor: PasqalVendor, provider: RemoteProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.resources()
    monkeypatch.setenv("RENEWED_ELSEWHERE", vendor.secrets()[-1])
    other = create(project="p", token=Secret("env:RENEWED_ELSEWHERE"), url=vendor.url)
    assert other.resources()
    monkeypatch.setenv("RENEWED_ELSEWHERE", "expired")
    with pytest.raises(Denied):
        other.calibration("fresnel")
    other.close()


# -- answers ----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "result",
    [
        None,
        [],
        {"raw": ["01"]},
        {"counter": {"01": -1}},
        {"counter": {"01": 1.5}},
        {"counter": {"0 1": 1}},
        {"counter": {"01": 11}},
        {"counter": {"01": 1}, "extra": float("nan")},
    ],
)
def test_a_result_that_is_none_is_rejected(result: object) -> None:
    with pytest.raises(Rejected):
        pub_of(result, 10)


@pytest.mark.parametrize("value", [None, "", "soon", "1e999", [], "99999999999999"])
def test_a_time_that_is_none_is_unknown(value: object) -> None:
    assert time_of(value) is None


def test_times_without_a_zone_are_utc() -> None:
    for value in ("2021-11-10T15:27:06", "2021-11-10T16:27:06+01:00", "1636558026"):
        found = time_of(value)
        assert found is not None
        assert found.isoformat() == "2021-11-10T15:27:06+00:00"


def test_a_link_to_anywhere_is_not_followed() -> None:
    session = VendorSession("it", home="https://api.example", timeout_s=1.0)
    with pytest.raises(Rejected, match="not https"):
        session.get("http://169.254.169.254/latest/meta-data")
    session.close()
