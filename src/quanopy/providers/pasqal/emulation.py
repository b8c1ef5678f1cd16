"""In a child process: strangers' sequences built and run on Pulser's emulator."""

import hashlib
import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from pulser import NoiseModel
from pulser import Sequence as PulserSequence
from pulser.backend import BitStrings, EmulationConfig
from pulser_simulation import QutipBackendV2

from quanopy.codecs.calibrations import decode_metrics
from quanopy.codecs.results import encode_result
from quanopy.domain.errors import QuanopyError, ResourceMismatch, TaskFailed
from quanopy.domain.jobs import Pub
from quanopy.domain.programs import PULSER
from quanopy.ports.providers import Outcome, Work
from quanopy.providers.pasqal.devices import UNITS
from quanopy.providers.pasqal.programs import check_work, sequence_in

_NOISE = ("p_false_pos", "p_false_neg", "relaxation_rate", "dephasing_rate", "depolarizing_rate")


def emulate(atoms: int, works: Sequence[Work]) -> list[Outcome]:
    """Run a batch for registers of so many atoms, one work after another; a bad one fails alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [_outcome(atoms, work) for work in works]


def _outcome(atoms: int, work: Work) -> Outcome:
    began = time.perf_counter()
    try:
        check_work(work, atoms=atoms, runs=None)
        pubs = [_sampled(work, pub, offset) for offset, pub in enumerate(work.pubs)]
    except QuanopyError as error:
        return Outcome(error=error)
    except MemoryError:
        return Outcome(error=ResourceMismatch("the emulation ran out of memory"))
    except Exception as error:  # noqa: BLE001 - Pulser raises what it likes: this work's outcome
        return Outcome(
            error=TaskFailed(f"the emulation failed: {type(error).__name__}: {error}"[:500])
        )
    usage = {
        "seconds": time.perf_counter() - began,
        "shots": float(sum(pub["shots"] for pub in pubs)),
    }
    return Outcome(result=encode_result(pubs), usage=usage)


def _sampled(work: Work, pub: Pub, offset: int) -> dict[str, Any]:
    if work.options.seed is not None:
        np.random.seed(_seed(work, work.first_pub + offset))
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


def _seed(work: Work, index: int) -> int:
    """From the job's own indices alone: the same however the job is split."""
    name = f"{work.options.seed}/{index}/{work.shots_from}".encode()
    return int.from_bytes(hashlib.sha256(name).digest()[:4], "big")
