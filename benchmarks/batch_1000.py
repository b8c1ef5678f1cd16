"""1,000 Bell circuits read and emulated in child processes, beside Aer called directly."""

import time
from dataclasses import replace

from qiskit import QuantumCircuit
from qiskit_aer import AerSimulator

from benchmarks.measure import Measure, p50, report, seconds
from quanopy.domain.jobs import JobKind, JobSpec, Options, Reading
from quanopy.domain.programs import QPY, Program
from quanopy.ports.providers import Work
from quanopy.providers.aer import create
from quanopy.providers.aer.provider import AerProvider
from quanopy.sandbox.circuits import dump_qpy
from quanopy.sandbox.reader import ProcessReader

COUNT, SHOTS, ROUNDS = 1_000, 1024, 7


def bell(name: str) -> QuantumCircuit:
    """A Bell pair, measured."""
    circuit = QuantumCircuit(2, 2, name=name)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure([0, 1], [0, 1])
    return circuit


def job(*circuits: QuantumCircuit) -> JobSpec:
    """A job of one QPY program."""
    program = Program(format=QPY, data=dump_qpy(circuits))
    return JobSpec(kind=JobKind.SAMPLE, resource="aer", programs=[program])


def read(reader: ProcessReader, specs: list[JobSpec]) -> tuple[float, list[Reading]]:
    """How long reading takes, and what comes of it."""
    began = time.perf_counter()
    answers = reader.read(specs, deadline_s=60)
    return time.perf_counter() - began, [one for one in answers if isinstance(one, Reading)]


def work(reading: Reading) -> Work:
    """A task of a job that has been read."""
    return Work(
        task_id="task",
        resource="aer",
        kind=reading.kind,
        circuits=reading.circuits,
        pubs=[replace(pub, shots=SHOTS) for pub in reading.pubs],
        options=Options(),
    )


def reading(reader: ProcessReader) -> tuple[list[Measure], Reading]:
    """Programs never seen before, in one program and in one job each."""
    read(reader, [job(bell("first"))])
    together, apart = [], []
    for turn in range(ROUNDS):
        circuits = [bell(f"{turn}-{index}") for index in range(COUNT)]
        took, [whole] = read(reader, [job(*circuits)])
        together.append(took * 1e3)
        apart.append(read(reader, [job(circuit) for circuit in circuits])[0] * 1e3)
    measures = [
        _absolute("1,000 Bell circuits read as one QPY program", p50(together), 60),
        _absolute("1,000 jobs of one Bell circuit read in one call", p50(apart), 120),
    ]
    return measures, whole


def _absolute(measure: str, value: float, most: float) -> Measure:
    return Measure(
        measure=measure,
        value=value,
        unit="ms",
        peer=None,
        goal=f"≤ {most:g} ms",
        holds=value <= most,
    )


def emulating(aer: AerProvider, whole: Reading) -> list[Measure]:
    """One task of all, and one of one circuit."""
    simulator = AerSimulator(max_parallel_threads=1)
    circuits = [bell(str(index)) for index in range(COUNT)]
    many = work(whole)
    one = replace(many, pubs=many.pubs[:1])
    aer.start([one]).wait()
    direct, ours, direct_one, ours_one = [], [], [], []
    for _ in range(ROUNDS):
        direct.append(seconds(lambda: simulator.run(circuits, shots=SHOTS).result().get_counts()))
        ours.append(seconds(lambda: aer.start([many]).wait()))
        for _ in range(10):
            direct_one.append(
                seconds(lambda: simulator.run(circuits[0], shots=SHOTS).result().get_counts())
            )
            ours_one.append(seconds(lambda: aer.start([one]).wait()))
    return [
        Measure(
            measure="1,000 Bell circuits as one task",
            value=p50(ours),
            unit="s",
            peer=p50(direct),
            goal="≤ 1.10 times AerSimulator.run and get_counts",
            holds=p50(ours) <= 1.10 * p50(direct),
        ),
        Measure(
            measure="one Bell circuit",
            value=p50(ours_one) * 1e3,
            unit="ms",
            peer=p50(direct_one) * 1e3,
            goal="≤ AerSimulator.run and get_counts + 1 ms",
            holds=p50(ours_one) <= p50(direct_one) + 1e-3,
        ),
    ]


def main() -> None:
    """Measure and report."""
    reader, aer = ProcessReader(), create(processes=1)
    try:
        measures, whole = reading(reader)
        report([*measures, *emulating(aer, whole)])
    finally:
        reader.close()
        aer.close()


if __name__ == "__main__":
    main()
