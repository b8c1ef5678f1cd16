"""The target of a resource: its JSON, named by its digest, from whoever serves it."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from quanopy.codecs.targets import encode_target
from quanopy.domain.errors import NotFound
from quanopy.domain.jobs import JobKind, JobSpec, Options, Reading
from quanopy.domain.programs import Footprint
from quanopy.domain.resources import Capabilities, Resource, Target
from quanopy.ports.providers import RemoteCapabilities
from quanopy.ports.store import Store
from quanopy.server.loop import THREADS
from quanopy.services.targets import ProviderTargets
from quanopy.storage.store import open_store
from quanopy.testing.fake_local import FakeEmulator
from tests.catalogues import new_catalogue
from tests.unit.server.service import AER, PATIENCE_S, WORKER, Service

ELSEWHERE = Resource(name="iqm-garnet", provider="iqm")


@pytest.fixture(scope="module", autouse=True)
def elsewhere(service: Service) -> None:
    """A resource that is known before anybody looks for resources."""
    service.store.register("worker_far", [ELSEWHERE], ttl_s=600)


def test_a_target_is_its_json_under_its_digest(service: Service) -> None:
    client = service.client()
    found = client.get("/v1/resources/aer/target")
    assert json.loads(found.content)["format"] == "quanopy.target/1"
    assert found.headers["ETag"] == f'"{Target(data=found.content).digest}"'
    known = {"If-None-Match": found.headers["ETag"]}
    again = client.get("/v1/resources/aer/target", headers=known)
    assert (again.status_code, again.content) == (304, b"")


def test_who_waits_for_a_vendor_keeps_nobody_else_waiting(service: Service) -> None:
    service.store.register(WORKER, [replace(AER, name="slow")], ttl_s=600)
    service.vendor.hold = Event()
    clients = [service.client() for _ in range(THREADS + 4)]
    with ThreadPoolExecutor(len(clients)) as threads:
        asked = [threads.submit(one.get, "/v1/resources/slow/target") for one in clients]
        try:
            for _ in range(THREADS):  # as many as are asked at once
                assert service.vendor.asked.acquire(timeout=PATIENCE_S)
            assert service.client().get("/v1/jobs").status_code == 200
            assert [one.result().text for one in asked if one.done()] == []
        finally:
            service.vendor.hold.set()
    service.vendor.hold = None


def test_what_no_provider_here_serves_is_not_found(service: Service) -> None:
    client = service.client()
    assert "provider iqm" in client.get("/v1/resources/iqm-garnet/target").json()["detail"]
    for name in ("iqm-garnet", "moon", "%2e%2e"):
        assert client.get(f"/v1/resources/{name}/target").status_code == 404


class Counting(FakeEmulator):
    """Counts how often it is asked."""

    asked = 0

    def target(self, resource: str) -> Target:
        self.asked += 1
        return replace(super().target(resource))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(new_catalogue(tmp_path / "q.db"))
    store.register(WORKER, [AER], ttl_s=600)
    yield store
    store.close()


def test_a_provider_is_asked_once_and_again_when_its_answer_is_old(store: Store) -> None:
    provider = Counting(name="aer")
    targets = ProviderTargets(store, lambda: [provider])
    assert targets.target("aer") == targets.target("aer")
    assert provider.asked == 1
    old = ProviderTargets(store, lambda: [provider], fresh_s=0.0)
    assert old.target("aer") == old.target("aer")
    assert provider.asked == 3


DEVICE = replace(AER, name="device", capabilities=Capabilities(gates=None))
LISTED = replace(AER, name="clifford", capabilities=Capabilities(gates=("x", "cx")))
TARGET = encode_target(
    qubits=3,
    instructions={name: {"parameters": 0, "qubits": None} for name in ("x", "cx", "while_loop")},
)


class Exposing(Counting):
    """Has a target for whatever is asked."""

    def target(self, resource: str) -> Target:
        self.asked += 1
        return TARGET


class Remote(Exposing):
    """Asking it takes long."""

    capabilities = RemoteCapabilities()


def a_job(*gates: str, resource: str = "device", **options: Any) -> tuple[JobSpec, Reading]:
    """A job of two programs, and what was read: the second uses these gates."""
    spec = JobSpec(kind=JobKind.SAMPLE, resource=resource, programs=(), options=Options(**options))
    plain = Footprint(
        circuits=1, qubits=1, clbits=1, gates=("x",), instructions=1, clifford=True, measured=True
    )
    reading = Reading(
        kind=JobKind.SAMPLE,
        circuits=(b"first", b"second"),
        footprints=(plain, replace(plain, gates=("x", *gates))),
        pubs=(),
        evaluations=(),
    )
    return spec, reading


@pytest.mark.parametrize(
    ("resource", "gates", "options", "doubted"),
    [
        ("device", ("t",), {}, []),
        ("device", ("if_else",), {}, [1]),
        ("device", ("t",), {"compile": False}, [0, 1]),
        ("clifford", ("cx",), {"optimization_level": 3}, []),
        ("clifford", ("t",), {}, [1]),
        ("clifford", ("t",), {"compile": False}, []),
    ],
)
def test_only_what_gates_names_do_not_tell_is_tried(
    store: Store, resource: str, gates: tuple[str, ...], options: dict[str, Any], doubted: list[int]
) -> None:
    store.register(WORKER, [DEVICE, LISTED], ttl_s=600)
    provider = Exposing(name="aer")
    trials = ProviderTargets(store, lambda: [provider]).trials(
        *a_job(*gates, resource=resource, **options)
    )
    assert list(trials) == doubted
    assert provider.asked == bool(doubted)
    for index, trial in trials.items():
        assert trial.circuits == (b"first", b"second")[index]
        assert trial.target == provider.target(resource)
        assert trial.level == 1


def test_a_trial_is_compiled_as_the_job_will_be(store: Store) -> None:
    store.register(WORKER, [LISTED], ttl_s=600)
    targets = ProviderTargets(store, lambda: [Exposing(name="aer")])
    (trial,) = targets.trials(*a_job("t", resource="clifford", optimization_level=3)).values()
    assert (trial.level, trial.options) == (3, Options(optimization_level=3))


def test_control_flow_that_the_target_has_is_not_doubted(store: Store) -> None:
    store.register(WORKER, [DEVICE], ttl_s=600)
    targets = ProviderTargets(store, lambda: [Exposing(name="aer")])
    assert not targets.trials(*a_job("while_loop"))


def test_what_would_have_to_be_asked_for_elsewhere_is_left_to_whoever_runs_it(
    store: Store,
) -> None:
    store.register(WORKER, [DEVICE], ttl_s=600)
    provider = Remote(name="aer")
    targets = ProviderTargets(store, lambda: [provider])
    job = a_job("if_else")
    assert not targets.trials(*job)
    assert not targets.trials(*a_job("if_else", resource="moon"))
    assert provider.asked == 0
    targets.target("device")
    assert targets.trials(*job)
    assert not ProviderTargets(store, list).trials(*job)


def test_nothing_is_loaded_for_a_name_that_no_resource_has(store: Store) -> None:
    def load() -> list[FakeEmulator]:
        raise AssertionError("nobody needs them")

    with pytest.raises(NotFound):
        ProviderTargets(store, load).target("moon")
