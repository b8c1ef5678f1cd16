"""1,000 one-circuit jobs in one request, two workers, PostgreSQL; beside procrastinate, whose two
workers run the same circuits from the same PostgreSQL (and keep no results)."""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import procrastinate
import psycopg

from benchmarks.measure import Measure, report
from benchmarks.serving import Served, broker
from tests.servers import PostgresServer

if TYPE_CHECKING:
    from qiskit_aer import AerSimulator

JOBS = 1000
SHOTS = 1024
ROUNDS = 3
GOAL = 5.0
WORKERS = 2
PEER = "peer"


def circuit(number: int) -> str:
    """A Bell pair with a turn of its own, so that no two jobs are the same program."""
    return (
        'OPENQASM 3.0; include "stdgates.inc"; qubit[2] q; bit[2] c; '
        f"h q[0]; rz({number * 1e-3}) q[0]; cx q[0], q[1]; c[0] = measure q[0]; "
        "c[1] = measure q[1];"
    )


def main() -> None:
    """Measure both, the best round of each."""
    with PostgresServer(durable=True) as server:
        with server.database() as dsn:
            peer = _procrastinate(dsn)
        with server.database() as dsn:
            own = _quanopy(dsn)
    report(
        [
            Measure(
                measure=f"{JOBS} one-circuit jobs in one request, two workers, PostgreSQL",
                value=own,
                unit="jobs/s",
                peer=peer,
                goal=f"at least {GOAL:g} times procrastinate",
                holds=own >= GOAL * peer,
            )
        ]
    )


def _quanopy(dsn: str) -> float:
    with tempfile.TemporaryDirectory(prefix="quanopy-bench-") as folder:
        objects = Path(folder, "objects").as_uri()
        settings = {"database": dsn, "objects": objects, "emulator_processes": "1"}
        with broker(**settings) as served, _worker(folder, settings):
            _round(served, 100)
            return max(_round(served, JOBS) for _ in range(ROUNDS))


@contextlib.contextmanager
def _worker(folder: str, settings: dict[str, str]) -> Iterator[None]:
    """A second worker, beside the one inside the server."""
    environment = {f"QUANOPY_{name.upper()}": value for name, value in settings.items()}
    command = [str(Path(sys.executable).with_name("quanopy")), "worker"]
    with _running(command, environment | {"QUANOPY_DATA": folder}):
        time.sleep(3)  # until its emulator is loaded
        yield


def _round(served: Served, count: int) -> float:
    """Jobs a second, from the request to all results in hand."""
    jobs = [
        {
            "resource": "aer",
            "programs": [{"format": "openqasm3", "text": circuit(number)}],
            "options": {"shots": SHOTS},
        }
        for number in range(count)
    ]
    with httpx.Client(base_url=served.url, headers=served.headers, timeout=120) as http:
        began = time.perf_counter()
        answer = http.post("/v1/jobs/batch", json={"jobs": jobs}).raise_for_status()
        ids = [job["id"] for job in answer.json()["jobs"]]
        found = http.post("/v1/results", params={"wait": 60}, json={"ids": ids})
        results = found.raise_for_status().json()["results"]
        took = time.perf_counter() - began
    for result in results:
        if result["state"] != "completed":
            raise RuntimeError(result["problem"])
        if sum(result["pubs"][0]["counts"][0].values()) != SHOTS:
            raise RuntimeError(f"shots are missing: {result}")
    return count / took


def _procrastinate(dsn: str) -> float:
    app, task = _app(dsn)
    with app.open():
        app.schema_manager.apply_schema()
    with contextlib.ExitStack() as stack:
        for _ in range(WORKERS):
            stack.enter_context(
                _running([sys.executable, "-m", "benchmarks.bulk_jobs", PEER, dsn], {})
            )
        time.sleep(3)
        with app.open(), psycopg.connect(dsn, autocommit=True) as database:
            _peer_round(task, database, 100)
            return max(_peer_round(task, database, JOBS) for _ in range(ROUNDS))


def _peer_round(
    task: "procrastinate.tasks.Task[..., None, ...]", database: psycopg.Connection, count: int
) -> float:
    left = "SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')"
    began = time.perf_counter()
    task.batch_defer(*({"text": circuit(number)} for number in range(count)))
    while (row := database.execute(left).fetchone()) and row[0]:
        time.sleep(0.01)
    return count / (time.perf_counter() - began)


def _app(dsn: str) -> "tuple[procrastinate.App, procrastinate.tasks.Task[..., None, ...]]":
    app = procrastinate.App(connector=procrastinate.SyncPsycopgConnector(conninfo=dsn))
    return app, app.task(name="emulate")(_emulate)


@cache
def _simulator() -> "AerSimulator":
    from qiskit_aer import AerSimulator

    return AerSimulator()


def _emulate(text: str) -> None:
    """What a job does, by hand: read, run, count."""
    from qiskit import qasm3

    _simulator().run(qasm3.loads_experimental(text), shots=SHOTS).result().get_counts()


def _work(dsn: str) -> None:
    """A worker of procrastinate's, until it is ended."""
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=dsn))
    app.task(name="emulate")(_emulate)
    app.run_worker(concurrency=1, install_signal_handlers=False)


@contextlib.contextmanager
def _running(command: list[str], environment: dict[str, str]) -> Iterator[None]:
    process = subprocess.Popen(command, env=os.environ | environment, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


if __name__ == "__main__":
    if sys.argv[1:2] == [PEER]:
        _work(sys.argv[2])
    else:
        main()
