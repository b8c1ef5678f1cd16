"""From an event to its webhook: the ends of Bell jobs, one after another, each from the time that
history has of it (which is before its commit) until the whole request has been received."""

import json
import time
from collections.abc import Iterator
from datetime import datetime

from benchmarks.measure import Measure, p50, p95, report
from benchmarks.serving import BELL, broker
from quanopy.client import Client
from tests.servers import PostgresServer
from tests.servers.receiver import OK, Call, Receiver

WARM_UP, JOBS = 20, 200
MOST_MS = 200.0
ALLOWED = {"webhook_networks": "127.0.0.0/8"}


def main() -> None:
    """Measure the broker that needs no set-up (SQLite, a folder), and one on PostgreSQL."""
    with broker(**ALLOWED) as served, Client(served.url, served.token) as client:
        embedded = list(_measures("SQLite", client))
    with (
        PostgresServer(durable=True) as server,
        server.database() as dsn,
        broker(database=dsn, **ALLOWED) as served,
        Client(served.url, served.token) as client,
    ):
        beside = list(_measures("PostgreSQL", client))
    report([*embedded, *beside])


def _measures(name: str, client: Client) -> Iterator[Measure]:
    """Median and 95th percentile, in milliseconds."""
    took: list[float] = []

    def note(call: Call) -> bool | None:
        event = json.loads(call.request.body)
        took.append((time.time() - datetime.fromisoformat(event["timestamp"]).timestamp()) * 1000)
        return OK(call)

    with Receiver() as receiver:
        receiver.usual = note
        client.webhooks.add(receiver.url, kinds=["job.completed"])
        for number in range(1, WARM_UP + JOBS + 1):
            client.submit(BELL, shots=100).result()
            receiver.await_requests(number)
    for share, of in (("p50", p50), ("p95", p95)):
        value = of(took[WARM_UP:])
        yield Measure(
            measure=f"event to webhook received, {name}, {share}",
            value=value,
            unit="ms",
            peer=None,
            goal=f"at most {MOST_MS:g} ms",
            holds=value <= MOST_MS,
        )


if __name__ == "__main__":
    main()
