"""One Bell job, from the client's call to its result in hand, one after another, over HTTP;
beside a direct Aer call between any two of them."""

from collections.abc import Iterator

from qiskit import QuantumCircuit
from qiskit_aer import AerSimulator

from benchmarks.measure import Measure, p50, p95, report, seconds
from benchmarks.serving import broker
from quanopy.client import Client
from tests.servers import PostgresServer

WARM_UP, JOBS = 30, 200
SHOTS = 1024


def main() -> None:
    """Measure the broker that needs no set-up (SQLite, a folder), and one on PostgreSQL."""
    with broker() as served, Client(served.url, served.token) as client:
        embedded = list(_measures("SQLite", client, 6.0, 10.0))
    with (
        PostgresServer(durable=True) as server,
        server.database() as dsn,
        broker(database=dsn) as served,
        Client(served.url, served.token) as client,
    ):
        beside = list(_measures("PostgreSQL", client, 9.0, 13.0))
    report([*embedded, *beside])


def _measures(name: str, client: Client, half: float, most: float) -> Iterator[Measure]:
    """Median and 95th percentile; goals are milliseconds beyond the direct call's median."""
    circuit = bell()
    simulator = AerSimulator()
    own, direct = [], []
    for _ in range(WARM_UP + JOBS):
        own.append(seconds(lambda: client.sample(circuit, shots=SHOTS).result()) * 1000)
        direct.append(
            seconds(lambda: simulator.run(circuit, shots=SHOTS).result().get_counts()) * 1000
        )
    for share, of, goal in (("p50", p50, half), ("p95", p95, most)):
        value, peer = of(own[WARM_UP:]), of(direct[WARM_UP:])
        yield Measure(
            measure=f"one Bell job over HTTP, {name}, {share}",
            value=value,
            unit="ms",
            peer=peer,
            goal=f"at most a direct Aer call and {goal:g} ms",
            holds=value <= peer + goal,
        )


def bell() -> QuantumCircuit:
    """Two qubits, entangled and measured."""
    circuit = QuantumCircuit(2, 2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure([0, 1], [0, 1])
    return circuit


if __name__ == "__main__":
    main()
