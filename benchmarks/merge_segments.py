"""1,000 segments of 10,000 shots on 20 qubits as one result, nearly all outcomes of a segment
distinct; beside adding up dictionaries."""

import json

import numpy as np

from benchmarks.measure import Measure, report, seconds
from quanopy.codecs.merging import Merge
from quanopy.codecs.results import PubResult

SEGMENTS, SHOTS, QUBITS = 1000, 10_000, 20
LIMIT_S = 2.0


def segment(rng: np.random.Generator) -> PubResult:
    """What one job gave, as it is read from its JSON."""
    outcomes, numbers = np.unique(rng.integers(0, 2**QUBITS, SHOTS), return_counts=True)
    counts = dict(zip(map(hex, outcomes.tolist()), numbers.tolist(), strict=True))
    pub = {
        "shape": [],
        "shots": SHOTS,
        "registers": [{"name": "c", "bits": QUBITS}],
        "counts": [counts],
    }
    read: PubResult = json.loads(json.dumps(pub))
    return read


def add(total: dict[str, int], counts: dict[str, int]) -> None:
    """The direct way."""
    for outcome, number in counts.items():
        total[outcome] = total.get(outcome, 0) + number


def main() -> None:
    """Measure and report: from the answers' JSON, already read, to the merged counts."""
    rng = np.random.default_rng(7)
    merge, total = Merge(), dict[str, int]()
    own = direct = 0.0
    merge.add([segment(rng)])
    add(total, merge.result()[0]["counts"][0])
    for _ in range(SEGMENTS - 1):
        pub = segment(rng)
        own += seconds(lambda pub=pub: merge.add([pub]))
        direct += seconds(lambda pub=pub: add(total, pub["counts"][0]))
    own += seconds(merge.result)
    if merge.result()[0]["counts"][0] != total or sum(total.values()) != SEGMENTS * SHOTS:
        raise RuntimeError("the merged counts differ")
    report(
        [
            Measure(
                measure=f"merge of {SEGMENTS:,} segments of {SHOTS:,} shots, {QUBITS} qubits",
                value=own,
                unit="s",
                peer=direct,
                goal=f"at most {LIMIT_S:g} s",
                holds=own <= LIMIT_S,
            )
        ]
    )


if __name__ == "__main__":
    main()
