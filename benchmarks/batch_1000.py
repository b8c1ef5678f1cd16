"""1,000 Bell circuits as one job, submit to results in hand; beside Aer called directly."""

from functools import partial

from qiskit import QuantumCircuit
from qiskit_aer import AerSimulator

from benchmarks.measure import Measure, p50, report, seconds
from benchmarks.serving import broker
from quanopy.client import Client

COUNT, SHOTS, ROUNDS = 1_000, 1024, 7
MOST = 1.25


def bell(name: str) -> QuantumCircuit:
    """A Bell pair, measured."""
    circuit = QuantumCircuit(2, 2, name=name)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure([0, 1], [0, 1])
    return circuit


def counts(client: Client, circuits: list[QuantumCircuit]) -> None:
    """All counts of one job."""
    result = client.sample(circuits, shots=SHOTS).result()
    if sum(sum(pub.counts.values()) for pub in result) != SHOTS * len(circuits):
        raise RuntimeError("shots are missing")


def counts_of_aer(simulator: AerSimulator, circuits: list[QuantumCircuit]) -> None:
    """The same, the direct way."""
    simulator.run(circuits, shots=SHOTS).result().get_counts()


def main() -> None:
    """Measure and report: programs never seen before, each round."""
    simulator = AerSimulator(max_parallel_threads=1)
    own, direct = [], []
    with broker(emulator_processes="1") as served, Client(served.url, served.token) as client:
        counts(client, [bell("first")])
        for turn in range(ROUNDS):
            circuits = [bell(f"{turn}-{index}") for index in range(COUNT)]
            own.append(seconds(partial(counts, client, circuits)))
            direct.append(seconds(partial(counts_of_aer, simulator, circuits)))
    value, peer = p50(own), p50(direct)
    report(
        [
            Measure(
                measure="1,000 Bell circuits as one job, submit to results in hand, one worker",
                value=value,
                unit="s",
                peer=peer,
                goal=f"at most {MOST} times one AerSimulator.run of all with counts",
                holds=value <= MOST * peer,
            )
        ]
    )


if __name__ == "__main__":
    main()
