"""Two photons on a beam splitter: how often they leave it apart tells how alike they are.

Photons that are alike leave apart with probability ``cos²θ``, where ``cos²(θ/2)`` is the part that
the splitter reflects: never, at one half (Hong, Ou and Mandel, Phys. Rev. Lett. 59, 2044, 1987).
Photons that can be told apart do so with probability ``(1 + cos²θ) / 2``.

    python examples/hong_ou_mandel.py [RESOURCE]
"""

import math
import sys

import perceval
from perceval.serialization import serialize

from quanopy import Client
from quanopy.domain.programs import PERCEVAL, Program

ANGLES = [i * math.pi / 8 for i in range(9)]
SHOTS = 2000


def experiment(angle: float) -> perceval.Experiment:
    """A photon in each of two modes, which meet on a beam splitter; both have to be detected."""
    made = perceval.Experiment(perceval.BS(angle), name="hong-ou-mandel")
    made.with_input(perceval.BasicState([1, 1]))
    made.min_detected_photons_filter(2)
    return made


def main(resource: str) -> None:
    """Run a job an angle, and print what came beside what is expected."""
    client = Client()
    texts = [serialize(experiment(angle)) for angle in ANGLES]
    programs = [Program(format=PERCEVAL, data=text.encode()) for text in texts]
    jobs = [client.submit(one, kind="run", resource=resource, shots=SHOTS) for one in programs]
    print(f"{jobs[0].id} and {len(jobs) - 1} more on {resource}")
    print("reflected  samples  apart   alike   unlike")
    for angle, job in zip(ANGLES, jobs, strict=True):
        (pub,) = job.result(100)
        apart = pub.counts.get("|1,1>", 0) / pub.shots
        alike, unlike = math.cos(angle) ** 2, (1 + math.cos(angle) ** 2) / 2
        reflected = math.cos(angle / 2) ** 2
        print(f"{reflected:9.3f} {pub.shots:8d}  {apart:.3f}   {alike:.3f}   {unlike:.3f}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "perceval-slos")
