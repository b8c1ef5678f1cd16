"""In a child process: strangers' experiments read and run on Perceval's backends."""

from collections.abc import Sequence
from functools import partial

import perceval
from perceval.algorithm import Sampler
from perceval.components import Experiment
from perceval.runtime import Processor
from perceval.serialization import deserialize
from perceval.utils import NoiseModel

from quanopy.codecs.calibrations import decode_metrics
from quanopy.codecs.results import PubResult
from quanopy.domain.errors import Invalid, ResourceMismatch
from quanopy.domain.jobs import Pub
from quanopy.domain.programs import PERCEVAL
from quanopy.ports.providers import Outcome, Work
from quanopy.providers.emulated import outcome, seed_of

_NOISE = {"HOM": "indistinguishability", "g2": "g2", "Transmittance": "transmittance"}
"""What platforms publish, as Perceval's noise model calls it."""


def emulate(backend: str, works: Sequence[Work]) -> list[Outcome]:
    """Run a batch, one work after another; a bad one fails alone."""
    return [outcome(work, partial(_pubs, backend, work)) for work in works]


def _pubs(backend: str, work: Work) -> list[PubResult]:
    return [_sampled(backend, work, pub, offset) for offset, pub in enumerate(work.pubs)]


def _sampled(backend: str, work: Work, pub: Pub, offset: int) -> PubResult:
    shots = pub.shots or 1
    seed = seed_of(work, work.first_pub + offset, 0)
    if seed is not None:
        perceval.random_seed(seed >> 1)  # it takes 31 bits
    experiment = experiment_in(work.circuits[pub.program])
    processor = Processor(backend, experiment, noise=noise_of(work.noise))
    found = Sampler(processor, max_shots_per_call=shots).sample_count(shots)
    outcomes = {str(state): int(number) for state, number in found["results"].items()}
    return {
        "shape": [],
        "shots": sum(outcomes.values()),
        "native": PERCEVAL,
        "outcomes": outcomes,
        "documents": [{"backend": backend, "global_perf": float(found["global_perf"])}],
    }


def experiment_in(data: bytes) -> Experiment:
    """The experiment that a program is; raises ``Invalid`` where it is anything else."""
    text = data.decode("ascii", "replace").strip()
    experiment = deserialize(text) if text.startswith(":PCVL:") else None
    if not isinstance(experiment, Experiment):
        raise Invalid(
            "not a serialised Perceval experiment",
            hint="Send what perceval.serialization.serialize(experiment) gives; a Processor has "
            "its experiment as .experiment.",
        )
    return experiment


def noise_of(numbers: bytes | None) -> NoiseModel | None:
    """The noise that a snapshot's numbers tell of; ``None`` for the experiment's own.

    Raises:
        ResourceMismatch: they tell nothing of photons.
    """
    if numbers is None:
        return None
    known = {metric.name: metric.value for metric in decode_metrics(numbers) if not metric.targets}
    told = {_NOISE[name]: value for name, value in known.items() if name in _NOISE}
    if not told or not all(0 <= value <= 1 for value in told.values()):
        raise ResourceMismatch("the snapshot tells nothing of photons", where="options.noise")
    return NoiseModel(**told)
