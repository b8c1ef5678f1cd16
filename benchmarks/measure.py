"""What a benchmark reports, and how a benchmark module runs as a program."""

import json
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from statistics import median, quantiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One figure beside its peer's, from the same run, and the goal it is held against."""

    measure: str
    value: float
    unit: str
    peer: float | None
    """The same work done the direct way, in the same unit; ``None`` where a limit is absolute."""
    goal: str
    holds: bool


def p50(samples: Sequence[float]) -> float:
    """The median."""
    return median(samples)


def p95(samples: Sequence[float]) -> float:
    """The 95th percentile."""
    return quantiles(samples, n=20, method="inclusive")[-1]


def seconds(work: Callable[[], object]) -> float:
    """How long a call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    packages = ("qiskit", "qiskit-aer", "fastapi", "sqlalchemy", "psycopg")
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "omp_threads": os.environ.get("OMP_NUM_THREADS"),
        "versions": {name: metadata.version(name) for name in packages},
    }


def report(measures: Sequence[Measure]) -> None:
    """Print the measures as one JSON document on standard output."""
    document = {"machine": machine(), "measures": [asdict(measure) for measure in measures]}
    json.dump(document, sys.stdout, indent=2)
    sys.stdout.write("\n")
