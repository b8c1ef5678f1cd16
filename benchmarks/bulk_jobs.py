"""1,000 one-circuit jobs on PostgreSQL, from the first request to all results in hand, beside
procrastinate with two workers: in one request, with two workers of our own, and one request each
from 8 clients, with the worker that is in the server."""

import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import httpx

from benchmarks import peer
from benchmarks.clients import Clients, clients
from benchmarks.measure import Measure, report
from benchmarks.peer import SHOTS, circuit
from benchmarks.serving import Served, broker
from tests.servers import PostgresServer

JOBS = 1000
CLIENTS = 8
ROUNDS = 3
TOGETHER, ONE_BY_ONE = 5.0, 2.0
"""How many times as fast as procrastinate."""


def main() -> None:
    """Measure all, the best round of each."""
    with PostgresServer(durable=True) as server:
        with server.database() as dsn, peer.running(dsn) as other:
            other.together(100)
            bulk = max(other.together(JOBS) for _ in range(ROUNDS))
            single = max(other.one_by_one(JOBS, clients=CLIENTS) for _ in range(ROUNDS))
        with server.database() as dsn, _two_workers(dsn) as served:
            _together(served, range(100))
            new = max(_together(served, _fresh()) for _ in range(ROUNDS))
            seen = max(_together(served, range(JOBS)) for _ in range(ROUNDS + 1))
        with server.database() as dsn, broker(database=dsn) as served:
            _together(served, range(100))
            with clients(served, CLIENTS) as some:
                _one_by_one(served, some, range(100))
                one_by_one = max(_one_by_one(served, some, _fresh()) for _ in range(ROUNDS))
    together = f"{JOBS} one-circuit jobs in one request, two workers, PostgreSQL"
    report(
        [
            _measure(f"{together}, programs that are new", new, bulk, TOGETHER),
            _measure(f"{together}, programs seen before", seen, bulk, TOGETHER),
            _measure(
                f"{JOBS} one-circuit jobs, one request each, {CLIENTS} clients, to all results, "
                "PostgreSQL, programs that are new",
                one_by_one,
                single,
                ONE_BY_ONE,
            ),
        ]
    )


def _measure(name: str, value: float, beside: float, goal: float) -> Measure:
    return Measure(
        measure=name,
        value=value,
        unit="jobs/s",
        peer=beside,
        goal=f"at least {goal:g} times procrastinate",
        holds=value >= goal * beside,
    )


_numbers = count(1)


def _fresh() -> range:
    """As many circuits as there are jobs, none of which was asked for before."""
    first = next(_numbers) * JOBS
    return range(first, first + JOBS)


@contextlib.contextmanager
def _two_workers(dsn: str) -> Iterator[Served]:
    """A server that works itself, and a second worker."""
    with tempfile.TemporaryDirectory(prefix="quanopy-bench-") as folder:
        objects = Path(folder, "objects").as_uri()
        settings = {"database": dsn, "objects": objects}
        environment = {f"QUANOPY_{name.upper()}": value for name, value in settings.items()}
        worker = [str(Path(sys.executable).with_name("quanopy")), "worker"]
        with (
            broker(**settings) as served,
            peer.process(worker, environment | {"QUANOPY_DATA": folder}),
        ):
            time.sleep(peer.START_S)  # until its emulator is loaded
            yield served


def _together(served: Served, circuits: Sequence[int]) -> float:
    """Jobs a second, in one request."""
    with _http(served) as http:
        began = time.perf_counter()
        body = {"jobs": [_job(number) for number in circuits]}
        answer = http.post("/v1/jobs/batch", json=body).raise_for_status()
        return _rate(http, [job["id"] for job in answer.json()["jobs"]], began)


def _one_by_one(served: Served, some: Clients, circuits: Sequence[int]) -> float:
    """Jobs a second, each in a request of its own."""
    with _http(served) as http:
        began = time.perf_counter()
        return _rate(http, some.submit(circuits), began)


def _http(served: Served) -> httpx.Client:
    return httpx.Client(base_url=served.url, headers=served.headers, timeout=120)


def _job(number: int) -> dict[str, Any]:
    return {
        "resource": "aer",
        "programs": [{"format": "openqasm3", "text": circuit(number)}],
        "options": {"shots": SHOTS},
    }


def _rate(http: httpx.Client, ids: list[str], began: float) -> float:
    """Jobs a second once all results are here; raises if any is not what it should be."""
    found = http.post("/v1/results", params={"wait": 60}, json={"ids": ids})
    results = found.raise_for_status().json()["results"]
    took = time.perf_counter() - began
    for result in results:
        if result["state"] != "completed":
            raise RuntimeError(result["problem"])
        if sum(result["pubs"][0]["counts"][0].values()) != SHOTS:
            raise RuntimeError(f"shots are missing: {result}")
    return len(ids) / took


if __name__ == "__main__":
    main()
