"""The target of a resource: its JSON, named by its digest, from whoever serves it."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from quanopy.domain.errors import NotFound
from quanopy.domain.resources import Capabilities, Resource, Target
from quanopy.ports.providers import RemoteCapabilities
from quanopy.ports.store import Store
from quanopy.services.targets import ProviderTargets
from quanopy.storage.store import open_store
from quanopy.testing.fake_local import FakeEmulator
from tests.unit.server.service import AER, WORKER, Service

ELSEWHERE = Resource(name="iqm-garnet", provider="iqm")


def test_a_target_is_its_json_under_its_digest(service: Service) -> None:
    client = service.client()
    found = client.get("/v1/resources/aer/target")
    assert json.loads(found.content)["format"] == "quanopy.target/1"
    assert found.headers["ETag"] == f'"{Target(data=found.content).digest}"'
    known = {"If-None-Match": found.headers["ETag"]}
    again = client.get("/v1/resources/aer/target", headers=known)
    assert (again.status_code, again.content) == (304, b"")


def test_what_no_provider_here_serves_is_not_found(service: Service) -> None:
    service.store.register("worker_far", [ELSEWHERE], ttl_s=60)
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
    store = open_store(f"sqlite:///{tmp_path / 'q.db'}")
    store.register(WORKER, [AER], ttl_s=60)
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
LISTED = replace(AER, name="listed", capabilities=Capabilities(gates=("x", "cx")))


class Exposing(Counting):
    """Has a target for whatever is asked."""

    def target(self, resource: str) -> Target:
        return super().target(self.name)


class Remote(Exposing):
    """Asking it takes long."""

    capabilities = RemoteCapabilities()


def test_a_target_decides_what_fits_only_where_no_gates_are_listed(store: Store) -> None:
    store.register(WORKER, [DEVICE, LISTED], ttl_s=60)
    provider = Exposing(name="aer")
    targets = ProviderTargets(store, lambda: [provider])
    assert targets.deciding("listed") is None
    assert provider.asked == 0
    assert targets.deciding("device") == targets.deciding("device") == provider.target("device")
    assert provider.asked == 2


def test_a_target_that_would_have_to_be_asked_for_elsewhere_decides_nothing(store: Store) -> None:
    store.register(WORKER, [DEVICE], ttl_s=60)
    provider = Remote(name="aer")
    targets = ProviderTargets(store, lambda: [provider])
    assert targets.deciding("device") is None
    assert targets.deciding("moon") is None
    assert provider.asked == 0
    assert targets.target("device") == targets.deciding("device")
    assert ProviderTargets(store, list).deciding("device") is None


def test_nothing_is_loaded_for_a_name_that_no_resource_has(store: Store) -> None:
    def load() -> list[FakeEmulator]:
        raise AssertionError("nobody needs them")

    with pytest.raises(NotFound):
        ProviderTargets(store, load).target("moon")
