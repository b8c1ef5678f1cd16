"""The catalogue's contract on SQLite."""

from pathlib import Path

import pytest

from quanopy.storage.store import open_store
from quanopy.testing.store_contract import MakeStore, StoreContract


class TestSqliteStore(StoreContract):
    @pytest.fixture
    def make_store(self, tmp_path: Path) -> MakeStore:
        return lambda clock: open_store(f"sqlite:///{tmp_path / 'catalogue.db'}", clock=clock)
