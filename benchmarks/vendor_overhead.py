"""What a provider costs over the vendor's own client, on the same loopback job, vendor by vendor.

``python -m benchmarks.vendor_overhead [NAME …]`` measures these vendors alone. Of all, those are
left out whose client is installed neither here nor in the environment that is theirs.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.measure import Measure, p50, report, seconds
from benchmarks.vendor_pairs import PAIRS

ROUNDS = 40
SHARE = 0.10
MORE_S = 0.020
APART: Mapping[str, Path] = {"iqm": Path(".venv-iqm/bin/python")}
"""Interpreters of vendors whose client has an environment of its own."""


def measured(name: str) -> Measure:
    """One vendor; both ways take turns, so that a busy machine is busy for both."""
    with PAIRS[name]() as pair:
        pair.theirs()
        pair.ours()
        theirs, ours = [], []
        for _ in range(ROUNDS):
            theirs.append(seconds(pair.theirs))
            ours.append(seconds(pair.ours))
    limit = p50(theirs) * (1 + SHARE) + MORE_S
    return Measure(
        measure=f"{name}: a job through the provider, p50",
        value=p50(ours) * 1e3,
        unit="ms",
        peer=p50(theirs) * 1e3,
        goal=f"≤ {SHARE:.0%} + {MORE_S * 1e3:.0f} ms over the vendor's own client",
        holds=p50(ours) <= limit,
    )


def is_apart(name: str) -> bool:
    """Whether its client is in an environment that is not this one."""
    python = APART.get(name)
    if python is None or not python.exists():
        return False
    return python.parent.parent.resolve() != Path(sys.prefix).resolve()


def measured_apart(name: str) -> Measure:
    """One vendor, by the interpreter of its environment."""
    command = [APART[name], "-m", "benchmarks.vendor_overhead", name]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    (found,) = json.loads(done.stdout)["measures"]
    return Measure(**found)


def measures(names: Sequence[str]) -> Iterator[Measure]:
    """The named vendors, or all whose client is installed."""
    for name in names or PAIRS:
        try:
            yield measured_apart(name) if is_apart(name) else measured(name)
        except ModuleNotFoundError as missing:
            if names:
                raise
            sys.stderr.write(f"{name} is left out: there is no {missing.name}\n")


if __name__ == "__main__":
    report(list(measures(sys.argv[1:])))
