"""What a worker serves: names that two have, names that are another's, providers that are slow."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from quanopy.domain.resources import Resource
from quanopy.ports.providers import Provider
from quanopy.ports.store import Store
from quanopy.services.serving import Serving
from quanopy.storage.store import open_store
from quanopy.testing.catalogue import MovableClock
from quanopy.testing.fake_local import FakeEmulator
from quanopy.testing.registrations_contract import registration, resource
from tests.catalogues import new_catalogue

WORKER = "worker_1"


class Renamed(FakeEmulator):
    """An emulator whose resources have these names; it answers while its gate is open."""

    def __init__(self, name: str, *names: str) -> None:
        super().__init__(name=name)
        self.names = names

    def resources(self) -> Sequence[Resource]:
        self.gate.wait(10)
        return [Resource(name=one, provider=self.name) for one in self.names]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(open_store(new_catalogue(tmp_path / "catalogue.db"))) as store:
        yield store


def serving(store: Store, *providers: Provider) -> Serving:
    return Serving(store, WORKER, providers, ttl_s=30.0)


def known(store: Store) -> set[tuple[str, str]]:
    return {(one.resource.name, one.resource.provider) for one in store.resources()}


def test_what_providers_have_is_told_and_known_by_name(store: Store) -> None:
    with closing(serving(store, Renamed("a", "x", "y"), Renamed("b", "z"))) as own:
        own.tell(patience_s=10.0)
        assert own.names == {"a": ("x", "y"), "b": ("z",)}
        assert {name: one.provider for name, one in own.resources.items()} == {
            "x": "a",
            "y": "a",
            "z": "b",
        }
    assert known(store) == {("x", "a"), ("y", "a"), ("z", "b")}


def test_of_two_providers_with_one_name_the_first_has_it_and_that_is_said_once(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(serving(store, Renamed("a", "x"), Renamed("b", "x", "y"))) as own:
        for _ in range(3):
            own.tell(patience_s=10.0)
        assert own.names == {"a": ("x",), "b": ("y",)}
    assert known(store) == {("x", "a"), ("y", "b")}
    assert caplog.text.count("x of provider b is not served") == 1


def test_a_name_that_is_anothers_is_left_out(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    made = registration(MovableClock())
    store.enrol(made, resource(made))
    with closing(serving(store, Renamed("a", made.name, "x"))) as own:
        own.tell(patience_s=10.0)
        assert own.resources.keys() == {"x"}
        assert own.names == {"a": ("x",)}
    assert f"{made.name} is another's" in caplog.text


def test_a_provider_that_is_slow_serves_what_it_said_last(store: Store) -> None:
    slow = Renamed("a", "x")
    with closing(serving(store, slow, Renamed("b", "y"))) as own:
        own.tell(patience_s=10.0)
        slow.gate.clear()
        own.tell(patience_s=0.05)
        assert own.names == {"a": ("x",), "b": ("y",)}
        slow.gate.set()
