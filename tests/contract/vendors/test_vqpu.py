"""The vQPU provider keeps the contract of remote providers, before the vQPU service itself."""

import base64
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
import urllib3
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

from quanopy.codecs.arrays import to_npy
from quanopy.domain.errors import NotFound, QuanopyError, Transient, Unavailable
from quanopy.domain.ids import new_id
from quanopy.domain.jobs import JobKind, Options, Pub
from quanopy.domain.resources import Registration
from quanopy.domain.states import ExecutionState, ResourceState
from quanopy.ports.providers import Order, RemoteProvider, Report, Work
from quanopy.providers.vqpu import create, plain
from quanopy.providers.vqpu.provider import VqpuProvider
from quanopy.sandbox.circuits import dump_qpy
from quanopy.testing.remote_provider_contract import (
    Bench,
    ProviderContract,
    answer,
    caught,
    polled,
    start,
    wait_all,
)
from quanopy.testing.vendors.base import Vendor
from quanopy.testing.vendors.bench import Given, VendorBench
from quanopy.testing.vendors.messages import Reply, Request, Route, route
from quanopy.testing.vendors.vqpu import VqpuVendor
from quanopy.vqpu.machine import build
from tests.servers.hostile import Hostile, Misdeed


def bell() -> QuantumCircuit:
    circuit = QuantumCircuit(2, 2)
    circuit.ry(1.5707963267948966, 0)
    circuit.rx(3.141592653589793, 1)
    circuit.rx(3.141592653589793, 1)
    circuit.ry(-1.5707963267948966, 1)
    circuit.cz(0, 1)
    circuit.ry(1.5707963267948966, 1)
    circuit.measure([0, 1], [0, 1])
    return circuit


def work(kind: JobKind = JobKind.SAMPLE, *pubs: Pub, circuit: QuantumCircuit | None = None) -> Work:
    return Work(
        task_id=new_id("task"),
        resource="vqpu",
        kind=kind,
        circuits=[dump_qpy([bell() if circuit is None else circuit])],
        pubs=pubs or [Pub(shots=100), Pub(shots=7)],
        options=Options(),
    )


def make(given: Given) -> VqpuProvider:
    return create(
        vqpus={"vqpu": {"url": given.url, "token": str(given.secret)}},
        account=given.account,
        request_timeout_s=given.timeout_s,
    )


@pytest.fixture(scope="module")
def vendor() -> Iterator[VqpuVendor]:
    server = VqpuVendor()
    with server:
        yield server


@pytest.fixture
def bench(vendor: VqpuVendor) -> VendorBench:
    return VendorBench(vendor, make, work())


class TestVqpu(ProviderContract):
    @pytest.fixture
    def bench(self, vendor: VqpuVendor) -> Bench:
        return VendorBench(vendor, make, work())


@pytest.fixture
def provider(bench: VendorBench) -> Iterator[RemoteProvider]:
    provider = bench.provider()
    provider.resources()
    yield provider
    provider.close()


def results(provider: RemoteProvider, one: Work) -> Any:
    """The pubs of a work that is run."""
    (execution,) = start(provider, [Order(key=new_id("exec"), resource="vqpu", works=[one])])
    wait_all(provider, [execution])
    (found,) = provider.result(execution, lambda: [one])
    assert found.error is None
    assert found.result is not None
    return json.loads(found.result)


def test_parameter_sets_and_pubs_are_one_submission(
    provider: RemoteProvider, vendor: VqpuVendor
) -> None:
    angle = Parameter("a")
    circuit = QuantumCircuit(1, 1)
    circuit.rx(angle, 0)
    circuit.measure(0, 0)
    sets = {"npy": base64.b64encode(to_npy(np.array([[0.0], [np.pi]]))).decode()}
    pubs = [Pub(shots=200, parameters=sets), Pub(shots=50, parameters=[1.0])]
    before = sum(about == "start" for about, _ in vendor.requests)
    first, second = results(provider, work(JobKind.SAMPLE, *pubs, circuit=circuit))
    assert sum(about == "start" for about, _ in vendor.requests) == before + 1
    assert first["shape"] == [2]
    assert first["counts"][0].get("0x0", 0) > 180
    assert first["counts"][1].get("0x1", 0) > 180
    assert sum(second["counts"][0].values()) == 50


def test_an_execution_tells_with_which_key_it_was_sent(provider: RemoteProvider) -> None:
    one = order_of(work())
    (execution,) = start(provider, [one])
    assert provider.describe(execution).key == one.key


def test_observables_are_measured(provider: RemoteProvider) -> None:
    circuit = bell().remove_final_measurements(inplace=False)
    pub = Pub(observables=[{"ZZ": 1.0}, {"XX": 1.0}, {"ZI": 1.0}], precision=0.02)
    (found,) = results(provider, work(JobKind.ESTIMATE, pub, circuit=circuit))
    assert found["evs"] == pytest.approx([1.0, 1.0, 0.0], abs=0.2)


def test_observables_with_no_precision_take_the_default_shots(provider: RemoteProvider) -> None:
    circuit = bell().remove_final_measurements(inplace=False)
    pub = Pub(observables=[{"ZZ": 1.0}], precision=0.0)
    (found,) = results(provider, work(JobKind.ESTIMATE, pub, circuit=circuit))
    assert found["precision"] == pytest.approx(1024**-0.5)


def test_each_shot_is_told_where_it_is_wanted(provider: RemoteProvider) -> None:
    one = replace(work(JobKind.SAMPLE, Pub(shots=40)), options=Options(memory=True, seed=7))
    (found,) = results(provider, one)
    (memory,) = found["memory"]
    assert len(memory) == 40
    assert {key: memory.count(key) for key in set(memory)} == found["counts"][0]
    assert results(provider, one) == [found]


def test_bits_that_are_not_measured_are_zero(provider: RemoteProvider) -> None:
    circuit = QuantumCircuit(2, 4)
    circuit.rx(np.pi, 1)
    circuit.measure([0, 1], [3, 1])
    (found,) = results(provider, work(JobKind.SAMPLE, Pub(shots=100), circuit=circuit))
    assert found["registers"] == [{"name": "c", "bits": 4}]
    assert found["counts"][0].get("0x2", 0) > 80


def test_what_cannot_be_said_is_refused_before_it_is_sent(
    provider: RemoteProvider, vendor: VqpuVendor
) -> None:
    circuit = QuantumCircuit(1, 2)
    circuit.measure(0, 0)
    circuit.rx(1.0, 0)
    circuit.measure(0, 1)
    before = len(vendor.requests)
    with pytest.raises(QuanopyError, match="after it was measured"):
        provider.check(work(JobKind.SAMPLE, Pub(shots=1), circuit=circuit))
    assert len(vendor.requests) == before


def test_a_vqpu_that_does_not_answer_is_offline_and_harms_no_other(vendor: VqpuVendor) -> None:
    options = vendor.options()["vqpus"]["vqpu"]
    os.environ |= vendor.environment()
    nowhere = {"url": "http://127.0.0.1:1", "token": options["token"]}
    provider = create(vqpus={"vqpu": options, "gone": nowhere})
    found = {one.name: one for one in provider.resources()}
    assert found["vqpu"].state is ResourceState.ONLINE
    assert found["gone"].state is ResourceState.OFFLINE
    assert "cannot be reached" in (found["gone"].reason or "")
    (execution,) = start(provider, [order_of(work())])
    reports = wait_for(provider, [execution, "gone//abc"], execution)
    assert reports["gone//abc"].state is ExecutionState.SUBMITTED
    provider.close()


def order_of(one: Work) -> Order:
    return Order(key=new_id("exec"), resource=one.resource, works=[one])


def wait_for(provider: RemoteProvider, ids: Sequence[str], until: str) -> Mapping[str, Report]:
    """Poll all of these until one has ended."""
    return polled(
        lambda: provider.poll(ids),
        lambda reports: reports[until].state is ExecutionState.COMPLETED,
    )


def test_a_plain_vqpu_is_spoken_to_in_its_own_routes(vendor: VqpuVendor) -> None:
    options = {**vendor.options()["vqpus"]["vqpu"], "qubits": 5}
    os.environ |= vendor.environment()
    before = len(vendor.requests)
    provider = plain(vqpus={"vqpu": options})
    assert not provider.capabilities.idempotent
    (resource,) = provider.resources()
    assert resource.capabilities.limits.pubs == 1
    assert set(resource.capabilities.gates or ()) == {"rx", "ry", "rz", "cz"}
    (found,) = results(provider, work(JobKind.SAMPLE, Pub(shots=60)))
    assert sum(found["counts"][0].values()) == 60
    used = {line for _, line in vendor.requests[before:]}
    assert not any("status" in line or "device" in line for line in used)
    provider.close()


def test_two_languages_come_to_the_same(vendor: VqpuVendor) -> None:
    text = 'OPENQASM 3.0; include "stdgates.inc"; qubit[2] q; bit[2] c;'
    text += " h q[0]; cx q[0], q[1]; c[0] = measure q[0]; c[1] = measure q[1];"
    headers = {"Authorization": f"Bearer {vendor.secret}"}
    body = {
        "format": "openqasm3",
        "program": text,
        "settings": {"shots": 500, "results": "counts"},
    }
    made = urllib3.request(
        "POST", f"{vendor.url}/api/v1/circuits", json=body, headers=headers
    ).json()
    told = polled(
        lambda: urllib3.request(
            "GET", f"{vendor.url}/api/v1/circuits/{made['id']}", headers=headers
        ),
        lambda told: told.status != 425,
    )
    assert told.status == 200
    data = told.json()["data"]
    assert sum(data.values()) == 500
    assert data["0x0"] + data["0x3"] > 450


# -- registered vQPUs -------------------------------------------------------------------------
class Told:
    """What a catalogue knows."""

    def __init__(self, vendor: VqpuVendor) -> None:
        now = datetime.now(UTC)
        self.one = Registration(
            id="registration_1",
            name="vq1",
            owner="alice",
            url=vendor.url,
            target=vendor.device.machine.target,
            accounts=("alice",),
            registered_at=now,
            seen_at=now,
            ttl_s=15.0,
        )
        self.there = True
        self.stale = False
        self._heard: Sequence[Registration] = ()
        self._secret = vendor.secret

    def known(self, *, anew: bool = False) -> Sequence[Registration]:
        """What was heard last, which may be old."""
        if anew or not self.stale:
            self._heard = [self.one] if self.there else []
        return self._heard

    def token(self, registration_id: str) -> str:
        return self._secret if registration_id == "registration_1" else "of-another"


@pytest.fixture
def told(vendor: VqpuVendor, bench: VendorBench) -> Told:
    return Told(vendor)


@pytest.fixture
def serving(told: Told) -> Iterator[VqpuProvider]:
    provider = create(registrations=told)
    provider.resources()
    yield provider
    provider.close()


def test_a_registered_vqpu_is_its_owners_resource(serving: VqpuProvider) -> None:
    (found,) = serving.resources()
    assert (found.name, found.owner, found.accounts) == ("vq1", "alice", ("alice",))
    one = replace(work(), resource="vq1")
    (execution,) = start(serving, [order_of(one)])
    wait_all(serving, [execution])
    assert serving.result(execution, lambda: [one])[0].error is None


def test_one_that_was_started_anew_has_another_token_and_none_of_the_old_work(
    serving: VqpuProvider, told: Told
) -> None:
    (execution,) = start(serving, [order_of(replace(work(), resource="vq1"))])
    told.one = replace(told.one, id="registration_2")
    report = serving.poll([execution])[execution]
    assert report.state is ExecutionState.FAILED
    assert "started anew" in report.detail
    with pytest.raises(NotFound):
        serving.result(execution, None)
    (refused,) = serving.resources()
    assert refused.state is ResourceState.OFFLINE
    assert "401" in (refused.reason or "")


def test_what_one_says_whose_name_has_passed_on_is_no_calibration_of_the_next(
    serving: VqpuProvider, told: Told
) -> None:
    told.stale = True
    told.one = replace(told.one, id="registration_2", owner="mallory")
    with pytest.raises(Transient, match="left, or was registered anew, while it was asked"):
        serving.calibration("vq1")


def test_what_one_says_that_has_left_is_no_calibration(serving: VqpuProvider, told: Told) -> None:
    told.stale, told.there = True, False
    with pytest.raises(Transient, match="left, or was registered anew, while it was asked"):
        serving.calibration("vq1")


def test_what_was_heard_long_ago_fails_nothing(vendor: VqpuVendor, bench: VendorBench) -> None:
    told, other = Told(vendor), Told(vendor)
    other.known()
    other.stale = True
    told.one = other.one = replace(told.one, id="registration_1", name="vq2")
    starting, following = create(registrations=told), create(registrations=other)
    (execution,) = start(starting, [order_of(replace(work(), resource="vq2"))])
    assert wait_all(following, [execution])[execution].state is ExecutionState.COMPLETED
    assert following.target("vq2") == starting.target("vq2")
    starting.close()
    following.close()


def test_what_was_smaller_a_moment_ago_refuses_nothing(vendor: VqpuVendor, told: Told) -> None:
    large, small = told.one, build(name="vq1", qubits=1).target
    told.one = replace(told.one, id="registration_0", target=small)
    with closing(create(registrations=told)) as serving:
        assert serving.target("vq1") == small
        told.stale, told.one = True, large
        serving.check(replace(work(), resource="vq1"))
        told.one = replace(told.one, id="registration_0", target=small)
        serving.target("vq1")
        told.one = large
        assert serving.target("vq1") == vendor.device.machine.target


def test_what_ran_on_one_that_left_has_failed(serving: VqpuProvider, told: Told) -> None:
    (execution,) = start(serving, [order_of(replace(work(), resource="vq1"))])
    told.there = False
    assert serving.resources() == []
    report = serving.poll([execution])[execution]
    assert report.state is ExecutionState.FAILED
    assert "left the catalogue" in report.detail


def test_one_that_cannot_be_reached_is_dead_once_its_heart_has_stopped(
    serving: VqpuProvider, told: Told
) -> None:
    (execution,) = start(serving, [order_of(replace(work(), resource="vq1"))])
    dead = create(registrations=told)
    told.one = replace(told.one, url="http://127.0.0.1:1")
    with pytest.raises(Unavailable):
        dead.poll([execution])
    told.one = replace(told.one, alive=False)
    report = dead.poll([execution])[execution]
    assert report.state is ExecutionState.FAILED
    assert "died" in report.detail
    dead.close()


def test_a_silent_one_that_answers_is_followed(serving: VqpuProvider, told: Told) -> None:
    (execution,) = start(serving, [order_of(replace(work(), resource="vq1"))])
    told.one = replace(told.one, alive=False)
    assert wait_all(serving, [execution])[execution].state is ExecutionState.COMPLETED


class Redirecting(Vendor):
    """Answers everything with a redirection."""

    def __init__(self, to: str) -> None:
        self._to = to
        super().__init__()

    def routes(self) -> Sequence[Route]:
        return [route("GET", r"/.*", "target", self._point)]

    def _point(self, request: Request) -> Reply:
        return Reply(status=307, body={}, headers={"Location": f"{self._to}{request.path}"})


def test_no_redirect_is_followed(vendor: VqpuVendor) -> None:
    elsewhere = Redirecting(vendor.url)
    with elsewhere:
        os.environ |= vendor.environment()
        token = vendor.options()["vqpus"]["vqpu"]["token"]
        provider = create(vqpus={"vqpu": {"url": elsewhere.url, "token": token}})
        before = len(vendor.requests)
        (found,) = provider.resources()
        assert found.state is ResourceState.OFFLINE
        assert "points elsewhere" in (found.reason or "")
        assert len(vendor.requests) == before
        provider.close()


def told_of(reports: object) -> set[str]:
    """The executions whose reports these are; none for an error."""
    return set(reports) if isinstance(reports, Mapping) else set()


def test_one_that_drips_is_cut_off_and_keeps_nobody_waiting(vendor: VqpuVendor) -> None:
    os.environ |= vendor.environment()
    options = vendor.options()["vqpus"]["vqpu"]
    with Hostile(Misdeed.DRIPS) as slow:
        provider = create(
            vqpus={"vqpu": options, "slow": {**options, "url": slow.url}}, request_timeout_s=0.5
        )
        # An answer of the other may be late once, too, and is asked for again.
        polled(
            lambda: {one.name: one.state for one in provider.resources()},
            lambda states: states["vqpu"] is ResourceState.ONLINE,
        )
        one = order_of(work())
        execution = polled(lambda: answer(provider, one), lambda told: isinstance(told, str))
        both = [str(execution), "slow//abc"]
        polled(lambda: caught(lambda: provider.poll(both)), lambda told: told_of(told) == {*both})
        with pytest.raises(Transient):
            provider.poll(["slow//abc"])
        provider.close()
