"""What a virtual QPU answers of executions: states and results, checked."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from quanopy.codecs.results import encode_result
from quanopy.domain.errors import NotReady, Rejected, Transient
from quanopy.domain.states import ExecutionState
from quanopy.ports.providers import Outcome, Report

_STATES: Mapping[object, ExecutionState] = {
    "queued": ExecutionState.SUBMITTED,
    "running": ExecutionState.RUNNING,
    "done": ExecutionState.COMPLETED,
    "failed": ExecutionState.FAILED,
    "cancelled": ExecutionState.CANCELLED,
}


def lost(why: str) -> Report:
    """An emulation that nobody can fetch any more: nothing was billed."""
    return Report(state=ExecutionState.FAILED, detail=f"{why}; submit it again")


def report_of(row: object) -> Report:
    """The state in a row of many; one never seen before is told as such."""
    state = row.get("state") if isinstance(row, dict) else None
    error = row.get("error") if isinstance(row, dict) else None
    detail = " ".join(str(error if isinstance(error, str) else state).split())[:500]
    return Report(state=_STATES.get(state if isinstance(state, str) else None), detail=detail)


def answers_of(who: str, document: object) -> tuple[list[Any], float]:
    """What came of each circuit (a text: why nothing did), and the seconds it took."""
    if not isinstance(document, dict) or "data" not in document:
        raise Transient(f"{who} answered no result")
    data, errors = document["data"], document.get("errors")
    if data is None and not errors:
        raise NotReady(f"{who}: it has not ended")
    if not isinstance(data, list):
        raise Rejected(f"{who} answered a result that is none")
    # One circuit's shots, or several circuits' answers.
    rows = [data] if data and isinstance(data[0], list) and _is_shot(data[0]) else data
    texts = errors if isinstance(errors, dict) else {}
    found = [
        str(texts.get(str(index), "it failed"))[:500] if row is None else row
        for index, row in enumerate(rows)
    ]
    return found, _seconds(document.get("seconds"))


def _is_shot(row: Sequence[object]) -> bool:
    return not row or not isinstance(row[0], list)


def _seconds(value: object) -> float:
    good = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 10**7
    return float(value) if good and isinstance(value, int | float) else 0.0


def foreign_outcome(who: str, answers: Sequence[Any], seconds: float) -> Outcome:
    """The outcome of a job that was not made here: counts of bits as they are."""
    pubs = [_foreign_pub(who, answer) for answer in answers]
    shots = float(sum(pub["shots"] for pub in pubs))
    return Outcome(result=encode_result(pubs), usage={"seconds": seconds, "shots": shots})


def _foreign_pub(who: str, answer: object) -> dict[str, Any]:
    counts = dict(_foreign_counts(who, answer))
    bits = max((int(key, 16).bit_length() for key in counts), default=1)
    if isinstance(answer, list) and answer and isinstance(answer[0], list):
        bits = len(answer[0])
    return {
        "shape": [],
        "shots": sum(counts.values()),
        "registers": [{"name": "c", "bits": max(1, bits)}],
        "counts": [counts],
    }


def _foreign_counts(who: str, answer: object) -> Iterator[tuple[str, int]]:
    if isinstance(answer, dict):
        for key, number in answer.items():
            if not isinstance(number, int) or not re.fullmatch(r"0x[0-9a-f]{1,2500}", str(key)):
                raise Rejected(f"{who} answered a result that is none")
            yield str(key), number
        return
    if not isinstance(answer, list):
        raise Rejected(f"{who} answered a result that is none")
    total: dict[str, int] = {}
    for row in answer:
        if not isinstance(row, list) or any(bit not in (0, 1) for bit in row):
            raise Rejected(f"{who} answered a result that is none")
        key = hex(sum(int(bit) << index for index, bit in enumerate(row)))
        total[key] = total.get(key, 0) + 1
    yield from total.items()
