"""Commands against a broker of one job."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.cli.broker import OneJob
from tests.unit.client.stub import Stub

BELL = 'OPENQASM 3.0;\ninclude "stdgates.inc";\nqubit[2] q;\nbit[2] c;\nc = measure q;\n'


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[OneJob]:
    """The broker, named in the environment."""
    broker = OneJob()
    with Stub(broker) as stub:
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("QUANOPY_URL", stub.url)
        monkeypatch.setenv("QUANOPY_TOKEN", "t")
        yield broker


@pytest.fixture
def bell(tmp_path: Path) -> Path:
    """A program in a file."""
    path = tmp_path / "bell.qasm"
    path.write_text(BELL)
    return path
