"""Jobs of the loopback IBM Quantum service, as its API lists, shows and counts them."""

from datetime import datetime, timedelta
from typing import Any

from quanopy.testing.vendors.jobs import ENDED, State, VendorJob
from quanopy.testing.vendors.messages import Request

_STATUS = {
    State.QUEUED: "Queued",
    State.RUNNING: "Running",
    State.DONE: "Completed",
    State.FAILED: "Failed",
    State.CANCELLED: "Cancelled",
}


def about_list(request: Request) -> str:
    """A list by tags of one's own is a search, any other one way to ask for states."""
    tags = {value for name, value in request.queries if name == "tags"}
    return "find" if any(tag.startswith("exec_") for tag in tags) else "poll"


def matches(job: VendorJob, request: Request) -> bool:
    """Whether a job is in the list that is asked for."""
    query, told = request.query, job.payload
    tags = {value for name, value in request.queries if name == "tags"}
    return (
        tags <= set(told.get("tags") or ())
        and query.get("backend") in (None, told["backend"])
        and query.get("program") in (None, told["program_id"])
        and query.get("session_id") in (None, told.get("session_id"))
        and query.get("pending") in (None, "true" if job.state not in ENDED else "false")
        and ("created_after" not in query or job.created_at >= time_of(query["created_after"]))
        and ("created_before" not in query or job.created_at <= time_of(query["created_before"]))
    )


def shown_job(job: VendorJob, *, unseen: bool) -> dict[str, Any]:
    """A job as the API has it; ``unseen``: in a state that nobody has seen yet."""
    status = "Recalibrating" if unseen else _STATUS[job.state]
    state: dict[str, Any] = {"status": status}
    if job.error is not None:
        state |= {"reason": job.error, "reason_code": 1517}
    return {
        "id": job.id,
        "backend": job.payload["backend"],
        "status": status,
        "state": state,
        "program": {"id": job.payload["program_id"]},
        "created": iso(job.created_at),
        "ended": iso(job.ended_at),
        "tags": job.payload.get("tags") or [],
        "session_id": job.payload.get("session_id"),
        "cost": job.payload.get("cost", 10000),
        "usage": {"seconds": seconds_of(job)},
        "user_id": "loopback",
        "private": False,
    }


def plain_result(found: Any) -> dict[str, Any]:
    """A result for clients that do not speak Qiskit."""
    return {
        "results": [{"data": _plain_data(pub.data), "metadata": {}} for pub in found],
        "metadata": {"version": 2},
    }


def _plain_data(data: Any) -> dict[str, Any]:
    if "evs" in data:
        return {name: data[name].tolist() for name in ("evs", "stds")}
    return {
        name: {
            "samples": [hex(int(shot, 2)) for shot in bits.get_bitstrings()],
            "num_bits": bits.num_bits,
        }
        for name, bits in data.items()
    }


def seconds_of(job: VendorJob) -> float:
    """How long it ran; none until it has ended."""
    if job.started_at is None or job.ended_at is None:
        return 0.0
    return max(timedelta(), job.ended_at - job.started_at).total_seconds()


def iso(at: datetime | None) -> str | None:
    """A time as the API has it."""
    return None if at is None else at.isoformat().replace("+00:00", "Z")


def time_of(text: str) -> datetime:
    """The same, read."""
    return datetime.fromisoformat(text)
