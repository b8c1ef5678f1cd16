"""1,000 one-circuit jobs, one request each from 8 clients, accepted durably; beside a route of
the same server software that only answers."""

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import Iterator

import httpx

from benchmarks.measure import Measure, report
from benchmarks.serving import JOB, Served, answering, broker, put_offline
from tests.servers import PostgresServer

JOBS = 1000
CLIENTS = 8
ROUNDS = 3


def main() -> None:
    """Measure on SQLite and on PostgreSQL, best round of each."""
    report([_measure("SQLite", 0.6, {}), *_on_postgres()])


def _on_postgres() -> Iterator[Measure]:
    with PostgresServer(durable=True) as server, server.database() as dsn:
        yield _measure("PostgreSQL", 0.4, {"database": dsn})


def _measure(name: str, share: float, settings: dict[str, str]) -> Measure:
    with contextlib.ExitStack() as stack:
        peer = stack.enter_context(answering(_free_port()))
        served = stack.enter_context(broker(**settings))
        put_offline(served)
        pairs = [(_rate(peer), _rate(served)) for _ in range(ROUNDS)]
    answered, accepted = max(pair[0] for pair in pairs), max(pair[1] for pair in pairs)
    return Measure(
        measure=f"jobs accepted durably, one request each, {CLIENTS} clients, {name}",
        value=accepted,
        unit="requests/s",
        peer=answered,
        goal=f"at least {share} of a route that only answers",
        holds=accepted >= share * answered,
    )


def _rate(served: Served) -> float:
    return asyncio.run(_rate_of_clients(served))


async def _rate_of_clients(served: Served) -> float:
    body = json.dumps(JOB).encode()
    headers = served.headers | {"Content-Type": "application/json"}
    turns = iter(range(JOBS))

    async def one(client: httpx.AsyncClient) -> None:
        for _ in turns:
            answer = await client.post("/v1/jobs", content=body)
            answer.raise_for_status()

    async with contextlib.AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(
                httpx.AsyncClient(base_url=served.url, headers=headers, timeout=60)
            )
            for _ in range(CLIENTS)
        ]
        began = time.perf_counter()
        await asyncio.gather(*(one(client) for client in clients))
        return JOBS / (time.perf_counter() - began)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
