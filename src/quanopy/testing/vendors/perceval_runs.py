"""A job of the loopback cloud, run on Perceval."""

import random
from collections.abc import Mapping
from typing import Any

from perceval.algorithm import Sampler
from perceval.components import Experiment
from perceval.runtime import Processor
from perceval.serialization import deserialize, serialize
from perceval.utils.noise_model import perf_dict_to_noise

_BACKENDS = {"samples": "CliffordClifford2017"}
"""Backends by command; all others run on SLOS, which gives distributions."""


def run(payload: Mapping[str, Any], performance: Mapping[str, float]) -> dict[str, Any]:
    """What the worker of a platform with this performance gives for a payload."""
    command = payload["command"]
    experiment = deserialize(payload["experiment"])
    if not isinstance(experiment, Experiment):
        raise TypeError("the payload has no experiment")
    if experiment.min_photons_filter is None:
        experiment.min_detected_photons_filter(1)
    backend = _BACKENDS.get(command, "SLOS")
    noise = perf_dict_to_noise(dict(performance))
    most = int(payload["max_shots"])
    sampler = Sampler(Processor(backend, experiment, noise=noise), max_shots_per_call=most)
    if command == "probs":
        found, used = sampler.probs(), most
    else:
        kept = (
            float(sampler.probs()["global_perf"]) if performance["Transmittance (%)"] < 100 else 1.0
        )
        wanted = int(payload["max_samples"])
        samples = min(wanted, _kept(most, kept))
        found = getattr(sampler, command)(samples) if samples else {"results": _nothing(command)}
        used = most if samples < wanted else min(most, round(samples / kept))
    # Perceval's client cannot read a context that is null.
    context = payload.get("job_context")
    return {
        "results": serialize(found["results"]),
        "global_perf": float(found.get("global_perf", 0.0)),
        "nb_shots_used": used,
        **({} if context is None else {"job_context": context}),
    }


def _kept(shots: int, probability: float) -> int:
    """How many of so many shots give a sample."""
    if probability >= 1:
        return shots
    return sum(random.random() < probability for _ in range(shots))


def _nothing(command: str) -> Any:
    from perceval.utils import BSCount, BSSamples

    return BSSamples() if command == "samples" else BSCount()
