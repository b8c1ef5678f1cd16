"""In a child process: strangers' sequences built and run on Pulser's emulator."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from pulser import NoiseModel
from pulser import Sequence as PulserSequence
from pulser.backend import BitStrings, EmulationConfig
from pulser_simulation import QutipBackendV2

from quanopy.codecs.calibrations import decode_metrics
from quanopy.codecs.results import PubResult
from quanopy.domain.errors import ResourceMismatch
from quanopy.domain.jobs import Pub
from quanopy.domain.programs import PULSER
from quanopy.ports.providers import Outcome, Work
from quanopy.providers.emulated import outcome, seed_of
from quanopy.providers.pasqal.devices import UNITS
from quanopy.providers.pasqal.programs import check_work, sequence_in

_NOISE = ("p_false_pos", "p_false_neg", "relaxation_rate", "dephasing_rate", "depolarizing_rate")


def emulate(atoms: int, works: Sequence[Work]) -> list[Outcome]:
    """Run a batch for registers of so many atoms, one work after another; a bad one fails alone."""
    return [outcome(work, partial(_pubs, atoms, work)) for work in works]


def _pubs(atoms: int, work: Work) -> list[PubResult]:
    check_work(work, atoms=atoms, runs=None)
    return [_sampled(work, pub, offset) for offset, pub in enumerate(work.pubs)]


def _sampled(work: Work, pub: Pub, offset: int) -> PubResult:
    seed = seed_of(work, work.first_pub + offset, 0)
    if seed is not None:
        np.random.seed(seed)
    counts = counts_of(sequence_in(work, pub.program), pub.shots or 1, noise_of(work.noise))
    return {"shape": [], "shots": sum(counts.values()), "native": PULSER, "outcomes": counts}


def counts_of(sequence: str, shots: int, noise: NoiseModel | None) -> dict[str, int]:
    """How often each bitstring was measured at a sequence's end, by default with the noise of its
    own device."""
    built = PulserSequence.from_abstract_repr(sequence)
    noise = noise or built.device.noise_model
    options: dict[str, Any] = {} if noise is None else {"noise_model": noise}
    config: EmulationConfig[Any] = EmulationConfig(
        observables=[BitStrings(num_shots=shots)], **options
    )
    found = QutipBackendV2(built, config=config).run().final_bitstrings
    return {str(bits): int(number) for bits, number in found.items()}


def noise_of(numbers: bytes | None) -> NoiseModel | None:
    """The noise that a snapshot's numbers tell of: wrong readings, and rates of decay.

    Raises:
        ResourceMismatch: they tell of none.
    """
    if numbers is None:
        return None
    told: dict[str, Any] = {}
    for metric in decode_metrics(numbers):
        prefix, _, name = metric.name.rpartition(".")
        if prefix == "noise" and name in _NOISE and metric.value > 0:
            told[name] = metric.value / UNITS.get(name, (1.0, ""))[0]
    if not told:
        raise ResourceMismatch("the snapshot tells of no noise", where="options.noise")
    return NoiseModel(**told)
