"""What is said to Quandela's cloud, and what its answers mean."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from quanopy.codecs.results import encode_result
from quanopy.domain.errors import Invalid, Rejected, ResourceMismatch
from quanopy.domain.programs import PERCEVAL
from quanopy.domain.states import ExecutionState
from quanopy.ports.providers import Outcome, Report, Work
from quanopy.providers.perceval.platforms import Platform
from quanopy.providers.perceval.results import outcomes_of

WHO = "Quandela's cloud"
_MOST_PROGRAM = 16 * 1024 * 1024
_STATES = {
    "waiting": ExecutionState.SUBMITTED,
    "suspended": ExecutionState.SUBMITTED,
    "running": ExecutionState.RUNNING,
    "cancel_requested": ExecutionState.RUNNING,
    "completed": ExecutionState.COMPLETED,
    "error": ExecutionState.FAILED,
    "canceled": ExecutionState.CANCELLED,
}


def text_of(work: Work) -> str:
    """The experiment of a work's one pub, as the text it is."""
    data = work.circuits[work.pubs[0].program]
    if len(data) > _MOST_PROGRAM:
        raise ResourceMismatch(f"an experiment of {len(data)} bytes; {_MOST_PROGRAM} are sent")
    try:
        text = data.decode("ascii").strip()
    except UnicodeDecodeError:
        text = ""
    if not text.startswith(":PCVL:"):
        raise Invalid("not a serialised Perceval experiment", where="programs")
    return text


def request_of(key: str, work: Work, platform: Platform, spent: float) -> dict[str, Any]:
    """A job as Perceval's own processors send it, with the experiment as it was submitted."""
    from perceval.runtime import PayloadGenerator

    shots = work.pubs[0].shots or 1
    able = platform.commands
    wanted = "samples" if work.options.memory else "sample_count"
    payload = {
        "command": wanted if wanted in able else able[0],
        "experiment": text_of(work),
        "max_samples": shots,
        "max_shots": round(shots * spent),
        "job_context": None,
    }
    about = {"platform_name": platform.name, "job_name": key, "job_group_name": None}
    request: dict[str, Any] = PayloadGenerator.generate_global_data(payload, about)
    return request


def report_of(status: Mapping[str, Any]) -> Report:
    """A job's state, and why."""
    said = str(status["status"])[:100]
    why = status.get("status_message")
    detail = f"{said}: {why[:500]}" if isinstance(why, str) and why else said
    return Report(state=_STATES.get(said.lower()), detail=detail)


def document_of(results: str) -> dict[str, Any]:
    """A result's document; raises :class:`Rejected` for what is none."""
    try:
        document = json.loads(results, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise Rejected(f"{WHO} gave a result that is no JSON") from None
    if not isinstance(document, dict) or "results" not in document:
        raise Rejected(f"{WHO} gave a result without results")
    return document


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def outcome_of(
    id: str,
    document: Mapping[str, Any],
    status: Mapping[str, Any],
    works: Callable[[], Sequence[Work]] | None,
) -> Outcome:
    """What a completed job came to: outcomes counted, the cloud's document beside them."""

    def shots() -> int:
        return 0 if works is None else works()[0].pubs[0].shots or 0

    outcomes = outcomes_of(document["results"], shots=shots, seed=id)
    counted = sum(outcomes.values())
    pub = {
        "shots": counted,
        "shape": [],
        "native": PERCEVAL,
        "outcomes": outcomes,
        "documents": [document],
    }
    seconds = _number(status.get("duration"))
    spent = _number(document.get("nb_shots_used"))
    started = time_of(status.get("start_time"))
    return Outcome(
        result=encode_result([pub]),
        usage={"seconds": min(seconds or 0.0, 3e7), "shots": float(spent or counted)},
        started_at=started,
        ended_at=time_of(started.timestamp() + seconds)
        if started is not None and seconds is not None
        else None,
    )


def _number(value: Any) -> float | None:
    """A number that something can have lasted or been counted to."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < 2**53 else None


def time_of(value: Any) -> datetime | None:
    """Seconds since 1970, by the cloud's clock."""
    seconds = _number(value)
    try:
        return None if not seconds else datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        return None
