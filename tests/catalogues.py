"""Catalogues of a test's own: what is copied need not be migrated again."""

import tempfile
from functools import cache
from pathlib import Path

from quanopy.storage.store import open_store


def new_catalogue(path: Path) -> str:
    """Make an empty SQLite catalogue there, up to date, and return its address."""
    path.write_bytes(_empty())
    return f"sqlite:///{path}"


@cache
def _empty() -> bytes:
    """An empty catalogue's file."""
    with tempfile.TemporaryDirectory(prefix="quanopy-catalogue-") as folder:
        path = Path(folder, "empty.db")
        open_store(f"sqlite:///{path}").close()
        return path.read_bytes()
