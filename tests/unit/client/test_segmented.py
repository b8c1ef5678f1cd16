"""Segments as the broker tells of them: what executions ran under, and what gave no result."""

import json
import sys
from typing import Any
from urllib.parse import urlsplit

import pytest

from quanopy.client import Client, segmented
from quanopy.client.segments import Segments
from quanopy.domain.calibration import CalibrationLabel
from quanopy.domain.errors import Unsupported
from quanopy.domain.ids import new_id
from quanopy.server.routes.examples import DETAIL, RESULT, SNAPSHOT
from tests.unit.client.stub import Answer, Seen, Stub, document

IDS = [new_id("job") for _ in range(6)]
OLD, NEW = "sha256:old", "sha256:new"


def execution(number: int, state: str = "completed", **bound: Any) -> dict[str, Any]:
    return {
        "id": f"exec_{number}",
        "provider": "acme",
        "resource": "acme-7",
        "state": state,
        "created_at": "2026-02-01T09:00:00Z",
        "started_at": f"2026-02-01T0{number}:00:00Z",
        "ended_at": f"2026-02-01T0{number}:30:00Z",
        "calibration": bound,
    }


def exact(digest: str) -> dict[str, Any]:
    seen = dict.fromkeys(("snapshot", "submitted", "started", "ended"), digest)
    return {"label": "exact", **seen}


CHANGED = {"label": "closest", "snapshot": NEW, "started": OLD, "ended": NEW}
EXECUTIONS: dict[str, list[dict[str, Any]]] = {
    IDS[0]: [execution(1, "failed", **exact(NEW)), execution(2, **exact(OLD))],
    IDS[1]: [execution(3, **CHANGED)],
    IDS[2]: [execution(4, **exact(OLD)), execution(5, **exact(NEW))],
    IDS[3]: [execution(6, "failed", **exact(NEW))],
    IDS[4]: [],
    IDS[5]: [execution(7, **exact(NEW))],
}


def answer(seen: Seen) -> Answer:
    """A broker of six jobs: the fourth failed, the fifth waits, the last gave no result proper."""
    path = urlsplit(seen.path).path.removeprefix("/v1")
    if path == "/results":
        return document({"results": [result(one) for one in json.loads(seen.body)["ids"]]})
    if path.startswith("/calibrations/"):
        return document(SNAPSHOT | {"digest": path.rpartition("/")[2], "metrics": {}})
    assert path == "/jobs/details"
    return document({"jobs": [detail(job) for job in json.loads(seen.body)["ids"]]})


def detail(job: str) -> dict[str, Any]:
    state = {IDS[3]: "failed", IDS[4]: "queued"}.get(job, "completed")
    more: dict[str, Any] = {"id": job, "state": state, "executions": EXECUTIONS[job]}
    if job == IDS[3]:
        more["problem"] = {"type": "Rejected", "message": "too deep"}
    return DETAIL | more


def result(job: str) -> dict[str, Any] | None:
    if job == IDS[3]:
        return RESULT | {"job_id": job, "state": "failed", "pubs": [None], "missing": [0]}
    if job == IDS[4]:  # not even read yet
        return RESULT | {"job_id": job, "state": "queued", "pubs": []}
    if job == IDS[5]:
        wrong = {"shape": [], "shots": 1, "registers": [{"name": "c", "bits": 2}]}
        return RESULT | {"job_id": job, "pubs": [wrong | {"counts": [{"0x4": 1}]}]}
    return RESULT | {"job_id": job}


@pytest.fixture(scope="module")
def found() -> Segments:
    with Stub(answer) as stub, Client(stub.url) as client:
        segments = client.segments(IDS, resource="acme-7")
        assert segments.calibration("sha256:old") is not None
        segments.table()
        return segments


def test_a_segment_is_what_completed_of_its_job(found: Segments) -> None:
    first = found[0]
    assert (first.job_id, first.resource, first.platform) == (IDS[0], "acme-7", "acme")
    assert (first.snapshot, first.label, first.across) == (OLD, CalibrationLabel.EXACT, False)
    assert first.started_at is not None
    assert first.started_at.hour == 2


def test_what_ran_under_two_calibrations_is_across(found: Segments) -> None:
    assert [one.across for one in found] == [False, True, True, False, False, False]
    assert [(one.snapshots, len(one.segments)) for one in found.epochs] == [
        ((OLD,), 1),
        ((OLD, NEW), 2),
    ]


def test_what_gave_nothing_is_a_gap_and_says_why(found: Segments) -> None:
    assert [one.index for one in found.gaps] == [3, 4, 5]
    failed, waiting, broken = found.gaps
    assert (failed.problem, failed.platform) == ("too deep", "acme")
    assert (waiting.problem, waiting.platform, waiting.resource) == (None, None, "aer")
    assert broken.problem == "pubs[0].counts[0]: it holds what is no hexadecimal outcome of 2 bits"


def test_what_needs_numpy_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with Stub(answer) as stub, Client(stub.url) as client:
        monkeypatch.setitem(sys.modules, "numpy", None)
        for ask in (
            lambda: client.segments(IDS),
            lambda: client.sweep("OPENQASM 3.0;", {"t": 1}),
            lambda: client.gradient(None, "Z", [1]),
        ):
            with pytest.raises(Unsupported, match="need NumPy") as refused:
                ask()
            assert "pip install" in str(refused.value.hint)


def test_results_are_asked_for_in_lots_of_a_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segmented, "_SHOTS", 2000)
    with Stub(answer) as stub, Client(stub.url) as client:
        assert [one.job_id for one in client.segments(IDS)] == IDS
        lots = [json.loads(seen.body)["ids"] for seen in stub.seen if "/results" in seen.path]
    assert lots == [IDS[:2], IDS[2:4], IDS[4:]]


def test_the_others_are_merged(found: Segments) -> None:
    assert found.merged()[0].counts == {"00": 3 * 497, "11": 3 * 503}
    assert found.notes[0] == "named here is acme-7; it is of aer"
