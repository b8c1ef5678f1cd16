"""The Aer provider keeps the contract of local providers."""

from collections.abc import Iterator

import pytest
from qiskit import QuantumCircuit

from quanopy.domain.ids import new_id
from quanopy.domain.jobs import JobKind, Options, Pub
from quanopy.ports.providers import Work
from quanopy.providers.aer import create
from quanopy.sandbox.circuits import dump_qpy
from quanopy.testing.local_provider_contract import LocalBench, LocalProviderContract


class AerBench:
    """Aer with a little memory."""

    def __init__(self) -> None:
        self.provider = create(processes=1, memory_bytes=2**28)

    def good(self, kind: JobKind) -> Work:
        circuit = QuantumCircuit(3, 3)
        circuit.h(range(3))
        circuit.cx(0, 1)
        if kind is JobKind.ESTIMATE:
            return _work(kind, circuit, Pub(observables={"ZZZ": 1.0, "IXX": 0.5}, precision=0.0))
        circuit.measure(range(3), range(3))
        return _work(kind, circuit, Pub(shots=100))

    def bad(self) -> Work:
        circuit = QuantumCircuit(1, 1)
        circuit.append(QuantumCircuit(1, name="unheard_of").to_gate(), [0])
        circuit.measure(0, 0)
        return _work(JobKind.SAMPLE, circuit, Pub(shots=10))

    def endless(self) -> Work:
        circuit = QuantumCircuit(22, 1)
        for layer in range(2_000):
            circuit.rx(0.1 * layer, layer % 22)
            circuit.cx(layer % 22, (layer + 7) % 22)
            circuit.measure(0, 0)
        return _work(JobKind.SAMPLE, circuit, Pub(shots=1000), estimate_s=1000.0)


def _work(kind: JobKind, circuit: QuantumCircuit, pub: Pub, estimate_s: float = 0.0) -> Work:
    return Work(
        task_id=new_id("task"),
        resource="aer",
        kind=kind,
        circuits=[dump_qpy([circuit])],
        pubs=[pub],
        options=Options(),
        estimate_s=estimate_s,
    )


@pytest.fixture(scope="module")
def bench() -> Iterator[LocalBench]:
    bench = AerBench()
    yield bench
    bench.provider.close()
    bench.provider.close()


class TestAer(LocalProviderContract):
    """On the resource whose method follows the circuit."""
