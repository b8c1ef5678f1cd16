"""procrastinate, a task queue on PostgreSQL, running the same circuits: two workers, whose
simulators are kept between jobs, and no results."""

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import procrastinate
import psycopg

if TYPE_CHECKING:
    from qiskit_aer import AerSimulator

SHOTS = 1024
WORKERS = 2
START_S = 3


def circuit(number: int) -> str:
    """A Bell pair with a turn of its own, so that no two jobs are the same program."""
    return (
        'OPENQASM 3.0; include "stdgates.inc"; qubit[2] q; bit[2] c; '
        f"h q[0]; rz({number * 1e-3}) q[0]; cx q[0], q[1]; c[0] = measure q[0]; "
        "c[1] = measure q[1];"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Its workers are running."""

    dsn: str

    def together(self, count: int) -> float:
        """Jobs a second, deferred in one go."""
        return self._rate(count, clients=0)

    def one_by_one(self, count: int, *, clients: int) -> float:
        """Jobs a second, deferred one by one by so many clients."""
        return self._rate(count, clients=clients)

    def _rate(self, count: int, *, clients: int) -> float:
        left = "SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')"
        with psycopg.connect(self.dsn, autocommit=True) as database:
            began = time.perf_counter()
            asyncio.run(self._defer(count, clients))
            while (row := database.execute(left).fetchone()) and row[0]:
                time.sleep(0.01)
            return count / (time.perf_counter() - began)

    async def _defer(self, count: int, clients: int) -> None:
        app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=self.dsn))
        task = app.task(name="emulate")(_emulate)
        turns = iter(range(count))

        async def one() -> None:
            for number in turns:
                await task.defer_async(text=circuit(number))

        async with app.open_async():
            if clients:
                await asyncio.gather(*(one() for _ in range(clients)))
            else:
                await task.batch_defer_async(*({"text": circuit(n)} for n in range(count)))


@contextlib.contextmanager
def running(dsn: str) -> Iterator[Peer]:
    """Its schema and workers, on a database of its own."""
    app = procrastinate.App(connector=procrastinate.SyncPsycopgConnector(conninfo=dsn))
    with app.open():
        app.schema_manager.apply_schema()
    with contextlib.ExitStack() as stack:
        for _ in range(WORKERS):
            stack.enter_context(process([sys.executable, "-m", "benchmarks.peer", dsn], {}))
        time.sleep(START_S)  # until their simulators are loaded
        yield Peer(dsn=dsn)


@contextlib.contextmanager
def process(command: list[str], environment: dict[str, str]) -> Iterator[None]:
    """A process for as long as the block lasts."""
    started = subprocess.Popen(command, env=os.environ | environment, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        started.terminate()
        started.wait(30)


@cache
def _simulator() -> "AerSimulator":
    from qiskit_aer import AerSimulator

    return AerSimulator()


def _emulate(text: str) -> None:
    """What a job does, by hand: read, run, count."""
    from qiskit import qasm3

    _simulator().run(qasm3.loads_experimental(text), shots=SHOTS).result().get_counts()


def _work(dsn: str) -> None:
    """A worker, until it is ended."""
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=dsn))
    app.task(name="emulate")(_emulate)
    app.run_worker(concurrency=1, install_signal_handlers=False)


if __name__ == "__main__":
    _work(sys.argv[1])
