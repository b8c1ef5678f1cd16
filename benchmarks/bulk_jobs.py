"""1,000 one-circuit jobs in one request, and one request each from 8 clients; two workers on one
PostgreSQL, from the first request to all results in hand. Beside procrastinate."""

import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from benchmarks import peer
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
    """Measure both, the best round of each."""
    with PostgresServer(durable=True) as server:
        with server.database() as dsn, peer.running(dsn) as other:
            other.together(100)
            peers = (
                max(other.together(JOBS) for _ in range(ROUNDS)),
                max(other.one_by_one(JOBS, clients=CLIENTS) for _ in range(ROUNDS)),
            )
        with server.database() as dsn, _quanopy(dsn) as served:
            _together(served, 100)
            own = (
                max(_together(served, JOBS) for _ in range(ROUNDS)),
                max(_one_by_one(served, JOBS) for _ in range(ROUNDS)),
            )
    names = (
        f"{JOBS} one-circuit jobs in one request, two workers, PostgreSQL",
        f"{JOBS} one-circuit jobs, one request each, {CLIENTS} clients, to all results",
    )
    report(
        [
            Measure(
                measure=name,
                value=value,
                unit="jobs/s",
                peer=beside,
                goal=f"at least {goal:g} times procrastinate",
                holds=value >= goal * beside,
            )
            for name, value, beside, goal in zip(
                names, own, peers, (TOGETHER, ONE_BY_ONE), strict=True
            )
        ]
    )


@contextlib.contextmanager
def _quanopy(dsn: str) -> Iterator[Served]:
    """A server that works itself, and a second worker."""
    with tempfile.TemporaryDirectory(prefix="quanopy-bench-") as folder:
        objects = Path(folder, "objects").as_uri()
        settings = {"database": dsn, "objects": objects, "emulator_processes": "1"}
        environment = {f"QUANOPY_{name.upper()}": value for name, value in settings.items()}
        worker = [str(Path(sys.executable).with_name("quanopy")), "worker"]
        with (
            broker(**settings) as served,
            peer.process(worker, environment | {"QUANOPY_DATA": folder}),
        ):
            time.sleep(peer.START_S)  # until its emulator is loaded
            yield served


def _together(served: Served, count: int) -> float:
    """Jobs a second, in one request."""
    with httpx.Client(base_url=served.url, headers=served.headers, timeout=120) as http:
        began = time.perf_counter()
        body = {"jobs": [_job(number) for number in range(count)]}
        answer = http.post("/v1/jobs/batch", json=body).raise_for_status()
        return _rate(http, [job["id"] for job in answer.json()["jobs"]], began)


def _one_by_one(served: Served, count: int) -> float:
    """Jobs a second, each in a request of its own."""
    began = time.perf_counter()
    ids = asyncio.run(_submit(served, count))
    with httpx.Client(base_url=served.url, headers=served.headers, timeout=120) as http:
        return _rate(http, ids, began)


async def _submit(served: Served, count: int) -> list[str]:
    turns = iter(range(count))

    async def one() -> list[str]:
        async with httpx.AsyncClient(
            base_url=served.url, headers=served.headers, timeout=120
        ) as http:
            answers = [await http.post("/v1/jobs", json=_job(number)) for number in turns]
        return [answer.raise_for_status().json()["id"] for answer in answers]

    return [job for some in await asyncio.gather(*(one() for _ in range(CLIENTS))) for job in some]


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
