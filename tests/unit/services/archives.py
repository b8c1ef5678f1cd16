"""A small archive to restore, check and clean up: builders for its tests."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from quanopy.codecs.records import TaskRecord
from quanopy.domain.ids import new_id
from quanopy.domain.jobs import (
    Execution,
    Extent,
    JobKind,
    JobSpec,
    Options,
    Problem,
    Pub,
    Reading,
    Slice,
    Task,
)
from quanopy.domain.programs import OPENQASM3, Footprint, Program
from quanopy.domain.states import ExecutionState, TaskState
from quanopy.ports.objects import Objects
from quanopy.services.packing import Packed, pack_endings, pack_executions, pack_submissions
from quanopy.services.recording import Accepted, Ended, EndedTask, Sent

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
FOOTPRINT = Footprint(
    circuits=1,
    qubits=2,
    clbits=2,
    gates=("h", "cx", "measure"),
    instructions=4,
    clifford=True,
    measured=True,
)


def later(seconds: float) -> datetime:
    """So long after the archive's beginning."""
    return NOW + timedelta(seconds=seconds)


def accepted(
    text: str = "one", *, parts: int = 1, key: str | None = None, read: bool = True
) -> Accepted:
    """A job of so many pubs, each a task."""
    program = Program(format=OPENQASM3, data=f"OPENQASM 3; // {text}".encode())
    reading = Reading(
        kind=JobKind.SAMPLE,
        circuits=(f"QISKIT {text}".encode(),),
        footprints=(FOOTPRINT,),
        pubs=tuple(Pub(shots=100) for _ in range(parts)),
        evaluations=(1,) * parts,
    )
    return Accepted(
        id=new_id("job"),
        account="ada",
        created_at=NOW,
        spec=JobSpec(
            kind=JobKind.SAMPLE,
            resource="aer",
            programs=(program,),
            options=Options(shots=100, seed=7),
            name=text,
            tags=("tagged",),
            priority=3,
        ),
        reading=reading if read else None,
        tasks=tuple(
            TaskRecord(id=new_id("task"), slice=Slice(first=i, count=1), estimate_s=0.5, solo=True)
            for i in range(parts)
        ),
        shots=100,
        idempotency_key=key,
        request_digest="sha256:digest" if key else "",
    )


def submit(objects: Objects, *jobs: Accepted) -> Packed:
    """Put jobs into the archive, in one pack."""
    packed = pack_submissions(jobs, NOW)
    objects.put({packed.key: packed.data})
    return packed


def task_of(job: Accepted, index: int = 0, **changes: object) -> Task:
    """One of a job's tasks as a worker has it."""
    record = job.tasks[index]
    task = Task(
        id=record.id,
        job_id=job.id,
        account=job.account,
        resource=job.spec.resource,
        state=TaskState.CLAIMED,
        slice=record.slice,
        priority=job.spec.priority,
        estimate_s=record.estimate_s,
        attempt=0,
        solo=record.solo,
        spec=Extent(key="", offset=0, length=0),
        ready_at=None,
        started_at=later(1),
    )
    return replace(task, **changes)  # type: ignore[arg-type]


def execution(*tasks: Task, state: ExecutionState = ExecutionState.COMPLETED) -> Execution:
    """What carried these tasks."""
    return Execution(
        id=new_id("exec"),
        resource="aer",
        provider="aer",
        account="ada",
        state=state,
        tasks=tuple(task.id for task in tasks),
        created_at=later(1),
        started_at=later(1),
        ended_at=later(2),
        usage={"seconds": 0.25, "shots": 100.0},
    )


def end(
    objects: Objects,
    tasks: Sequence[EndedTask],
    *,
    by: Execution | None,
    at: datetime | None = None,
) -> tuple[str, Mapping[str, Extent]]:
    """Put how these tasks ended into the archive."""
    ended = Ended(tasks=tasks, ended_at=at or later(2), execution=by)
    key, data, extents = pack_endings([ended], NOW)
    objects.put({key: data})
    return key, extents


def completed(task: Task, result: bytes = b'[{"counts":{"00":100}}]') -> EndedTask:
    """A task with its result."""
    return EndedTask(task=task, state=TaskState.COMPLETED, result=result)


def failed(task: Task, message: str = "it broke") -> EndedTask:
    """A task that failed for good."""
    problem = Problem(type="TaskFailed", message=message, hint="Mend it.")
    return EndedTask(task=task, state=TaskState.FAILED, problem=problem)


def send(objects: Objects, by: Execution, *tasks: Task) -> str:
    """Put the intent to send these into the archive."""
    sent = Sent(execution=by, tasks=tasks, ran=[()] * len(tasks))
    key, data, _ = pack_executions([sent], NOW)
    objects.put({key: data})
    return key
