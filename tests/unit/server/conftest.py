"""One server a module: tests keep apart by their accounts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.server.service import Service, running


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A running server."""
    folder: Path = tmp_path_factory.mktemp("service")
    with running(folder) as service:
        yield service
