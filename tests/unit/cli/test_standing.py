"""What ``quanopy status`` says beside a job's state."""

from typing import Any

import pytest

from quanopy.cli.standing import notes
from quanopy.server.routes.examples import DETAIL
from quanopy.wire.groups import GroupOut
from quanopy.wire.jobs import JobDetail
from tests.unit.cli.test_calibration import RAN


def said(detail: dict[str, Any]) -> list[str]:
    """Sentences about a job."""
    return list(notes(JobDetail.model_validate(detail)))


def waiting(**wait: Any) -> dict[str, Any]:
    """A queued job that waits for one thing."""
    return DETAIL | {"state": "queued", "waits": [wait]}


@pytest.mark.parametrize(
    ("wait", "expected"),
    [
        (
            {"awaited": "turn", "message": "its turn on aer: 2 tasks queued there, 1 at work"},
            "waits for its turn on aer: 2 tasks queued there, 1 at work",
        ),
        (
            {"awaited": "resource", "message": "fez is offline: quenched"},
            "waits: fez is offline: quenched",
        ),
        (
            {"awaited": "release", "message": "it was restored"},
            f"is held: it was restored: `quanopy retry {DETAIL['id']}`",
        ),
    ],
)
def test_what_a_job_waits_for_is_a_sentence(wait: dict[str, Any], expected: str) -> None:
    assert said(waiting(**wait)) == [expected]


@pytest.mark.parametrize(
    ("state", "then"),
    [
        ("open", ": `quanopy group run '[b]scan'`"),
        ("paused", ": `quanopy group resume '[b]scan'`"),
        ("running", ""),
        ("done", ""),
    ],
)
def test_a_job_of_a_group_says_its_place_and_what_has_the_group_begin(
    state: str, then: str
) -> None:
    waits = {"group": "group_1", "position": 2, "state": "queued", "ended_at": None}
    job = JobDetail.model_validate(DETAIL | waits)
    shown = {"id": "group_1", "name": "[b]scan", "account": "ada", "state": state, "size": 30}
    group = GroupOut.model_validate(shown | {"created_at": "2026-01-01T00:00:00Z"})
    assert next(notes(job, group)) == f"is 3 of 30 in group [b]scan, which is {state}{then}"


def test_of_a_job_that_has_ended_nothing_is_to_be_begun() -> None:
    job = JobDetail.model_validate(
        DETAIL | {"group": "group_1", "position": 2, "ended_at": "2026-01-01T00:00:00Z"}
    )
    shown = {"id": "group_1", "name": "scan", "account": "ada", "state": "paused", "size": 30}
    group = GroupOut.model_validate(shown | {"created_at": "2026-01-01T00:00:00Z"})
    assert next(notes(job, group)) == "is 3 of 30 in group scan, which is paused"


def test_a_wait_that_ends_says_when() -> None:
    until = "2026-02-01T08:00:00Z"
    (demand,) = said(waiting(awaited="calibration", message="a young one", until=until))
    (again,) = said(waiting(awaited="time", message="it is tried again", until=until))
    assert demand.startswith("waits for a young one; it fails at 2026-0")
    assert again.startswith("waits: it is tried again, at 2026-0")


def test_a_recalibration_is_told_with_the_label_and_the_three_looks() -> None:
    (note,) = said(RAN)
    assert "calibrated anew" in note
    assert "sha256:3a7b… at submission, none at start, sha256:later at end" in note
    assert note.endswith("is closest")


def test_a_stranded_execution_is_told() -> None:
    (stranded, _) = said(
        RAN | {"executions": [one | {"state": "stranded"} for one in RAN["executions"][:1]]}
    )
    assert "acme may have run it" in stranded


def test_of_what_ran_well_there_is_nothing_to_say() -> None:
    assert said(DETAIL) == []
