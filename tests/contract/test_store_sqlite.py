"""The catalogue's contract on SQLite."""

from pathlib import Path

import pytest

from quanopy.storage.store import open_store
from quanopy.testing.store_cases import MakeStore
from quanopy.testing.store_contract import StoreContract
from tests.catalogues import new_catalogue


class TestSqliteStore(StoreContract):
    @pytest.fixture
    def make_store(self, tmp_path: Path) -> MakeStore:
        url = new_catalogue(tmp_path / "catalogue.db")
        return lambda clock: open_store(url, clock=clock)
