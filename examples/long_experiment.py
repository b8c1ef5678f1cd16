"""A long experiment: one circuit in 30 segments, each with the calibration it ran under.

Run it, kill it whenever you like, and run it again, from another machine if need be: it finds the
experiment by its name and goes on watching. The broker runs the segments meanwhile. Once all have
run it prints the merged result and a table of the calibrations, and draws a picture.

    python examples/long_experiment.py [RESOURCE [NAME [PICTURE]]]
"""

import sys

from qiskit import QuantumCircuit

from quanopy import Client

SEGMENTS, SHOTS = 30, 1000


def bell() -> QuantumCircuit:
    """Two qubits that always agree, where there is no noise."""
    circuit = QuantumCircuit(2, 2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure([0, 1], [0, 1])
    return circuit


def main(resource: str, name: str, picture: str) -> None:
    """Begin the experiment or attach to it, follow it to its end, and show what came of it."""
    with Client() as client:
        group = client.segment(
            bell(),
            name=name,
            resource=resource,
            total_shots=SEGMENTS * SHOTS,
            shots=SHOTS,
            max_in_flight=2,
        )
        end = group.watch()
        segments = group.segments()
        merged = segments.merged()
        agree = merged.value(observable="ZZ")
        print(f"{name} on {end.resource}: {end.state}")
        print(f"{merged.segments} segments, {merged.shots:,} shots")
        print(f"ZZ = {agree.value:.4f} ± {agree.error:.4f}")
        print(segments.table(observable="ZZ"))
        segments.plot(picture, observable="ZZ")
        print(f"drawn: {picture}")


if __name__ == "__main__":
    given = dict(enumerate(sys.argv[1:]))
    main(given.get(0, "aer-fake-nairobi"), given.get(1, "bell"), given.get(2, "bell.png"))
