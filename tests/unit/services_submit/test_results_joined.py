"""Results put together from the parts that tasks left."""

import json
from datetime import UTC, datetime
from typing import Any

from quanopy.domain.errors import NotReady, TaskFailed
from quanopy.domain.jobs import Extent, Job, JobKind, Problem, Slice, Task
from quanopy.domain.states import JobState, TaskState
from quanopy.services.results import assemble, why_none
from quanopy.wire.jobs import ResultOut

EXTENT = Extent(key="k", offset=0, length=1)


def a_job(state: JobState = JobState.COMPLETED, problem: Problem | None = None) -> Job:
    return Job(
        id="job_1",
        account="ada",
        kind=JobKind.SAMPLE,
        resource='a "quoted" name',
        state=state,
        name=None,
        tags=(),
        priority=0,
        pubs=4,
        shots=10,
        tasks=2,
        spec=EXTENT,
        created_at=datetime.now(UTC),
        problem=problem,
    )


def a_task(id: str, part: Slice) -> Task:
    return Task(
        id=id,
        job_id="job_1",
        account="ada",
        resource="r",
        state=TaskState.COMPLETED,
        slice=part,
        priority=0,
        estimate_s=0,
        attempt=1,
        solo=False,
        spec=EXTENT,
        ready_at=None,
    )


def counts(**numbers: int) -> dict[str, Any]:
    return {
        "shape": [],
        "shots": sum(numbers.values()),
        "registers": [{"name": "c", "bits": 1}],
        "counts": [numbers],
    }


def put_together(job: Job, tasks: list[Task], arrays: dict[str, Any]) -> ResultOut:
    texts = {task: json.dumps(array).encode() for task, array in arrays.items()}
    return ResultOut.model_validate_json(assemble(job, tasks, texts))


def test_arrays_of_tasks_join_in_order() -> None:
    tasks = [a_task("a", Slice(first=0, count=2)), a_task("b", Slice(first=2, count=1))]
    arrays = {"b": [counts(x=3)], "a": [counts(x=1), counts(x=2)]}
    result = put_together(a_job(), tasks, arrays)
    assert [pub["shots"] for pub in result.pubs if pub] == [1, 2, 3]
    assert result.missing == []
    assert result.resource == 'a "quoted" name'


def test_what_is_missing_is_null_and_named() -> None:
    tasks = [
        a_task("a", Slice(first=0, count=1)),
        a_task("b", Slice(first=1, count=2)),
        a_task("c", Slice(first=3, count=1)),
    ]
    result = put_together(a_job(JobState.RUNNING), tasks, {"a": [counts(x=1)], "c": [counts(x=2)]})
    assert [pub is None for pub in result.pubs] == [False, True, True, False]
    assert result.missing == [1, 2]


def test_parts_of_shots_are_added_and_kept_outcomes_follow_each_other() -> None:
    parts = [
        a_task("a", Slice(first=0, count=1, shots_from=0, shots=3)),
        a_task("b", Slice(first=0, count=1, shots_from=3, shots=2)),
    ]
    first = counts(x=2, y=1) | {"memory": [["x", "y", "x"]]}
    second = counts(y=1, z=1) | {"memory": [["z", "y"]]}
    result = put_together(a_job(), parts, {"a": [first], "b": [second]})
    (pub,) = result.pubs
    assert pub is not None
    assert pub["shots"] == 5
    assert pub["counts"] == [{"x": 2, "y": 2, "z": 1}]
    assert pub["memory"] == [["x", "y", "x", "z", "y"]]


def test_some_of_a_pubs_shots_are_shown_but_counted_as_missing() -> None:
    parts = [
        a_task("a", Slice(first=0, count=1, shots_from=0, shots=3)),
        a_task("b", Slice(first=0, count=1, shots_from=3, shots=2)),
    ]
    result = put_together(a_job(JobState.RUNNING), parts, {"a": [counts(x=3)]})
    assert result.pubs[0] is not None
    assert result.missing == [0]


def test_a_failed_job_says_why() -> None:
    job = a_job(JobState.FAILED, Problem(type="ResourceMismatch", message="too wide"))
    error = why_none(job)
    assert isinstance(error, TaskFailed)
    assert error.message == "too wide"
    result = put_together(job, [], {})
    assert result.problem is not None
    assert (result.problem.type, result.problem.message) == ("ResourceMismatch", "too wide")


def test_a_job_under_way_is_not_ready() -> None:
    assert isinstance(why_none(a_job(JobState.RUNNING)), NotReady)
    assert why_none(a_job()) is None
