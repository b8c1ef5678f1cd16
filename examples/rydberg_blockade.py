"""Two atoms under one pulse: the nearer they are, the less both are excited.

The pulse excites one atom for sure. Within the blockade radius ``(C6 / Ω)^(1/6)`` the interaction
shifts the state with both excited out of reach (Jaksch et al., Phys. Rev. Lett. 85, 2208, 2000).

    python examples/rydberg_blockade.py [RESOURCE]
"""

import math
import sys

from pulser import AnalogDevice, Pulse, Register, Sequence

from quanopy import Client
from quanopy.domain.programs import PULSER, Program

DISTANCES = (5.0, 7.0, 9.0, 11.0, 14.0)
"""Micrometres."""
RABI = 2 * math.pi
"""Radians per microsecond: half a turn takes 500 ns."""
RUNS = 500


def sequence(distance: float) -> Sequence:
    """A pulse that excites a lone atom, on two of them."""
    made = Sequence(Register.rectangle(1, 2, spacing=distance, prefix="atom"), AnalogDevice)
    made.declare_channel("both", "rydberg_global")
    made.add(Pulse.ConstantPulse(500, RABI, 0, 0), "both")
    made.measure("ground-rydberg")
    return made


def main(resource: str) -> None:
    """Run all distances in one job, and print how often which atoms were excited."""
    radius = (AnalogDevice.interaction_coeff / RABI) ** (1 / 6)
    texts = [sequence(distance).to_abstract_repr() for distance in DISTANCES]
    programs = [Program(format=PULSER, data=text.encode()) for text in texts]
    job = Client().submit(programs, kind="run", resource=resource, shots=RUNS)
    print(f"{job.id} on {resource}; the blockade reaches {radius:.1f} µm")
    print("distance   none    one   both")
    for distance, pub in zip(DISTANCES, job.result(100), strict=True):
        none, both = (pub.counts.get(bits, 0) / pub.shots for bits in ("00", "11"))
        print(f"{distance:5.1f} µm  {none:.3f}  {1 - none - both:.3f}  {both:.3f}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "pulser-qutip")
