"""What whole workers are tried on: a fake vendor, and a catalogue with an archive of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from quanopy.services import ending
from tests.integration.workplace import Workplace
from tests.servers.vendor import FakeVendorServer


@pytest.fixture(scope="module")
def servers() -> Iterator[FakeVendorServer]:
    """A vendor of the module's own."""
    with FakeVendorServer() as server:
        yield server


@pytest.fixture
def vendor(servers: FakeVendorServer) -> FakeVendorServer:
    """The vendor, which behaves unless it is told otherwise."""
    servers.script()
    return servers


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Workplace]:
    """A place for workers, on SQLite."""
    with Workplace(f"sqlite:///{tmp_path / 'catalogue.db'}", tmp_path / "objects") as place:
        yield place


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What may be tried again is so soon."""
    monkeypatch.setattr(ending, "_FIRST_RETRY_S", 0.05)
