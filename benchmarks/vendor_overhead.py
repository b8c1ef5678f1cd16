"""What a provider costs over the vendor's own client, on the same loopback job, vendor by vendor.

``python -m benchmarks.vendor_overhead [NAME …]`` measures these vendors alone.
"""

import sys

from benchmarks.measure import Measure, p50, report, seconds
from benchmarks.vendor_pairs import PAIRS

ROUNDS = 40
SHARE = 0.10
MORE_S = 0.020


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


if __name__ == "__main__":
    report([measured(name) for name in sys.argv[1:] or PAIRS])
