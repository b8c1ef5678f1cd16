"""Two atoms in each other's blockade share one excitation, which then turns faster, by √2.

A program of Bloqade, submitted as it is: to Aquila, or to an emulator that takes its programs
(Urban et al., Nature Physics 5, 110, 2009; Gaëtan et al., Nature Physics 5, 115, 2009).

    python examples/aquila_pair.py [RESOURCE]
"""

import math
import sys

from bloqade.analog import start

from quanopy import Client

RABI = 7.0
"""Radians per microsecond."""
RAMP = 0.06
"""Microseconds in which the drive is turned on, and off."""
SHOTS = 200


def pulse(atoms: int, angle: float) -> object:
    """Atoms 5.5 µm apart, driven for as long as turns a lone one by ``angle``."""
    chain = start.add_position([(0.0, 5.5 * atom) for atom in range(atoms)])
    flat = angle / RABI - RAMP
    driven = chain.rydberg.rabi.amplitude.uniform.piecewise_linear(
        [RAMP, flat, RAMP], [0.0, RABI, RABI, 0.0]
    )
    return driven.rydberg.detuning.uniform.constant(0.0, flat + 2 * RAMP)


def main(resource: str) -> None:
    """Run one and two atoms, turned by π and by π/√2, and print how often one was excited."""
    client = Client()
    cases = [(atoms, name) for atoms in (1, 2) for name in ("π", "π/√2")]
    angles = {"π": math.pi, "π/√2": math.pi / math.sqrt(2)}
    jobs = [
        client.submit(pulse(atoms, angles[name]), kind="run", resource=resource, shots=SHOTS)
        for atoms, name in cases
    ]
    print(f"on {resource}:")
    for (atoms, name), job in zip(cases, jobs, strict=True):
        (pub,) = job.result(100)
        excited = sum(n for label, n in pub.counts.items() if label.count("r") == 1)
        both = sum(n for label, n in pub.counts.items() if label.count("r") > 1)
        print(
            f"{atoms} turned by {name:5} one {excited / pub.shots:.3f}  both {both / pub.shots:.3f}"
        )


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "bloqade")
