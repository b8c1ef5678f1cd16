"""A worker beside a server, or alone: from its start to its end."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from quanopy.server.settings import Settings
from quanopy.server.wiring import Broker, build
from quanopy.server.working import working
from quanopy.services.notifying import Notifying


class Unstartable(Notifying):
    """It has no thread to run in."""

    def __init__(self, settled: Notifying) -> None:
        self.settled = settled

    def start(self) -> None:
        raise RuntimeError("can't start new thread")


class Poor(Broker):
    """A broker on a machine that has no threads left."""

    def notifying(self) -> Notifying:
        return Unstartable(super().notifying())


def test_a_start_that_fails_leaves_no_worker_behind(tmp_path: Path) -> None:
    built = build(Settings(data=tmp_path, providers={}))
    broker = Poor(parts=built.parts, providers=lambda: (), stack=built.stack)
    before = set(threading.enumerate())
    with pytest.raises(RuntimeError, match="thread"), working(broker):
        raise AssertionError("it does not begin")
    assert {"claim", "keep", "turns"}.isdisjoint(
        one.name for one in set(threading.enumerate()) - before
    )
    broker.close()


def test_a_worker_loads_nothing_that_only_servers_and_terminals_need() -> None:
    needless = {"alembic", "fastapi", "numpy", "prometheus_client", "qiskit", "rich", "starlette"}
    program = (
        "import sys\n"
        "from quanopy.cli import main\n"
        "from quanopy.server import settings, working\n"
        f"assert not {needless!r} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
