"""1,000 segments of 10,000 shots on 20 qubits as one result, nearly all outcomes of a segment
distinct: from the answers' JSON as it is fetched to the merged counts; beside the same by ``json``
and adding up dictionaries."""

import json

import numpy as np

from benchmarks.measure import Measure, report, seconds
from quanopy.codecs.count_text import parsed
from quanopy.codecs.merging import Merge
from quanopy.codecs.results import encode_result

SEGMENTS, SHOTS, QUBITS = 1000, 10_000, 20
ROUNDS = 3
LIMIT_S = 2.0


def segment(rng: np.random.Generator) -> bytes:
    """What one job gave, as it is kept and sent."""
    outcomes, numbers = np.unique(rng.integers(0, 2**QUBITS, SHOTS), return_counts=True)
    pub = {
        "shape": [],
        "shots": SHOTS,
        "registers": [{"name": "c", "bits": QUBITS}],
        "counts": [dict(zip(map(hex, outcomes.tolist()), numbers.tolist(), strict=True))],
    }
    return encode_result([pub])


def merged(texts: list[bytes]) -> dict[str, int]:
    """As the client does it."""
    merge = Merge.of(parsed(text) for text in texts)
    counts: dict[str, int] = merge.result()[0]["counts"][0]
    return counts


def added(texts: list[bytes]) -> dict[str, int]:
    """The direct way."""
    total: dict[str, int] = {}
    for text in texts:
        for outcome, number in json.loads(text)[0]["counts"][0].items():
            total[outcome] = total.get(outcome, 0) + number
    return total


def main() -> None:
    """Measure and report, the best of three."""
    rng = np.random.default_rng(7)
    texts = [segment(rng) for _ in range(SEGMENTS)]
    if merged(texts) != added(texts):
        raise RuntimeError("the merged counts differ")
    own = min(seconds(lambda: merged(texts)) for _ in range(ROUNDS))
    direct = min(seconds(lambda: added(texts)) for _ in range(ROUNDS))
    report(
        [
            Measure(
                measure=f"merge of {SEGMENTS:,} segments of {SHOTS:,} shots, {QUBITS} qubits, "
                "from their JSON",
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
