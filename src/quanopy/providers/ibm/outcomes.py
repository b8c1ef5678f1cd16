"""A job's result and metrics as outcomes of its works."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from quanopy.codecs.results import PubResult, encode_result
from quanopy.ports.providers import Outcome, Work
from quanopy.providers.ibm.documents import time_of
from quanopy.providers.ibm.results import read_result, split


def outcomes_of(
    data: bytes, works: Sequence[Work] | None, metrics: Mapping[str, Any]
) -> list[Outcome]:
    """One outcome a work; the job's seconds are shared out by what each asked."""
    parts = split(read_result(data), works)
    times = metrics.get("timestamps")
    times = times if isinstance(times, dict) else {}
    weights = [sum(map(_evaluations, pubs)) for pubs in parts]
    seconds, total = _seconds(metrics), sum(weights) or 1
    return [
        Outcome(
            result=encode_result(pubs),
            usage={
                "seconds": seconds * weight / total,
                "shots": float(sum(_shots(pub) for pub in pubs)),
            },
            started_at=time_of(times.get("running")),
            ended_at=time_of(times.get("finished")),
        )
        for pubs, weight in zip(parts, weights, strict=True)
    ]


def _evaluations(pub: PubResult) -> float:
    return _shots(pub) or float(math.prod(pub["shape"]))


def _shots(pub: PubResult) -> float:
    """Shots of all its parameter sets; of an estimate, those its precision stands for."""
    sets = math.prod(pub["shape"])
    if "shots" in pub:
        return float(pub["shots"] * sets)
    return float(math.ceil(1 / pub["precision"] ** 2) * sets) if pub["precision"] else 0.0


def _seconds(metrics: Mapping[str, Any]) -> float:
    usage = metrics.get("usage")
    told = usage if isinstance(usage, dict) else {}
    for name in ("qpu_charge_time_seconds", "quantum_seconds", "seconds"):
        found = told.get(name)
        if isinstance(found, int | float) and math.isfinite(found) and found >= 0:
            return float(found)
    return 0.0
