"""What 2,000 waiting long polls cost those who submit."""

import asyncio
import contextlib
import json
import resource
import time
from collections.abc import AsyncIterator

import httpx

from benchmarks.measure import Measure, p95, report
from benchmarks.serving import JOB, Served, broker, put_offline

WAITING = 2000
SUBMISSIONS = 300
ROUNDS = 3


def main() -> None:
    """Submit without and with the long polls, without a worker, so that nothing ends them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 8192)), hard))
    with broker() as served:
        put_offline(served)
        idle, busy = asyncio.run(_measure(served))
    report(
        [
            Measure(
                measure=f"submission beside {WAITING} waiting long polls, p95",
                value=busy * 1e3,
                unit="ms",
                peer=idle * 1e3,
                goal="at most twice without them",
                holds=busy <= 2 * idle,
            )
        ]
    )


async def _measure(served: Served) -> tuple[float, float]:
    """The 95th percentile of a submission's seconds, idle and busy: the best of the rounds."""
    idle, busy = [], []
    async with _client(served) as submitter:
        for _ in range(ROUNDS):
            idle.append(p95(await _submissions(submitter)))
            async with _waiting(served, submitter):
                busy.append(p95(await _submissions(submitter)))
    return min(idle), min(busy)


async def _submissions(client: httpx.AsyncClient) -> list[float]:
    taken = []
    for _ in range(SUBMISSIONS):
        began = time.perf_counter()
        answer = await client.post("/v1/jobs", content=json.dumps(JOB))
        taken.append(time.perf_counter() - began)
        answer.raise_for_status()
    return taken


@contextlib.asynccontextmanager
async def _waiting(served: Served, submitter: httpx.AsyncClient) -> AsyncIterator[None]:
    """Many callers, each waiting for a job of its own."""
    body = {"jobs": [JOB] * WAITING}
    made = await submitter.post("/v1/jobs/batch", json=body)
    ids = [job["id"] for job in made.raise_for_status().json()["jobs"]]
    async with _client(served) as client:
        polls = [asyncio.create_task(client.get(f"/v1/jobs/{id_}?wait=60")) for id_ in ids]
        await _until_waiting(submitter)
        yield
        if any(poll.done() for poll in polls):
            raise RuntimeError("a long poll ended early")
        for poll in polls:
            poll.cancel()
        await asyncio.gather(*polls, return_exceptions=True)


async def _until_waiting(client: httpx.AsyncClient) -> None:
    while True:
        text = (await client.get("/metrics")).text
        (line,) = (x for x in text.splitlines() if x.startswith("quanopy_waiting_callers "))
        if float(line.split()[1]) >= WAITING:
            return
        await asyncio.sleep(0.1)


def _client(served: Served) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=served.url,
        headers=served.headers | {"Content-Type": "application/json"},
        limits=httpx.Limits(max_connections=WAITING + 10),
        timeout=120,
    )


if __name__ == "__main__":
    main()
