"""Results as JSON, versioned; ``result_arrays`` has the same as NumPy's arrays.

A task's result is a JSON array with one entry a pub, as :class:`quanopy.wire.jobs.ResultOut`
describes. That of a native program is ``{"shape": [], "shots": n, "native": FORMAT, "outcomes":
{label: number}, "documents": [the vendor's own result, …]?}``.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from quanopy.domain.errors import Invalid

CODEC = "quanopy.result/1"
PubResult = dict[str, Any]
"""One pub's result in its JSON form."""


def encode_result(pubs: Sequence[PubResult]) -> bytes:
    """The result of a task: its pubs, in order."""
    return json.dumps(pubs, separators=(",", ":")).encode()


def decode_result(data: bytes) -> list[PubResult]:
    """The pubs of a result; raises :class:`Invalid` for bytes that are none."""
    try:
        pubs = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"not a result: {error}") from None
    if not isinstance(pubs, list) or not all(isinstance(pub, dict) for pub in pubs):
        raise Invalid("not a result: a list of objects is needed")
    return pubs


def merge_shots(parts: Sequence[PubResult]) -> PubResult:
    """One pub whose shots were split over tasks: counts added, memory joined, in order."""
    first = parts[0]
    if len(parts) == 1 or not ("counts" in first or "outcomes" in first):
        return first
    merged = {**first, "shots": sum(part["shots"] for part in parts)}
    if "outcomes" in first:
        merged["outcomes"] = _added([part["outcomes"] for part in parts])
        merged["documents"] = [one for part in parts for one in part.get("documents", ())]
        return merged
    merged["counts"] = [
        _added(same) for same in zip(*(part["counts"] for part in parts), strict=True)
    ]
    if all("memory" in part for part in parts):
        merged["memory"] = [
            [shot for part in same for shot in part]
            for same in zip(*(part["memory"] for part in parts), strict=True)
        ]
    return merged


def _added(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for part in counts:
        for outcome, number in part.items():
            total[outcome] = total.get(outcome, 0) + number
    return total
