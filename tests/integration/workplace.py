"""A catalogue, an object store and workers, without a server: what worker tests stand on."""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from quanopy.codecs.records import TaskRecord
from quanopy.domain.errors import Invalid, QuanopyError
from quanopy.domain.ids import new_id
from quanopy.domain.jobs import Extent, Job, JobKind, JobSpec, Options, Pub, Reading, Slice, Task
from quanopy.domain.programs import Footprint, Program
from quanopy.domain.states import FINAL_JOB_STATES, JobState, TaskState
from quanopy.ports.events import EventQuery
from quanopy.ports.objects import Objects
from quanopy.ports.programs import Compilation, Compiled, Compiler, Reader
from quanopy.ports.providers import LocalProvider, RemoteProvider
from quanopy.ports.store import Store
from quanopy.ports.submissions import Submission
from quanopy.ports.wakeups import Topic, Wakeups
from quanopy.server.worker import Rhythm, Worker
from quanopy.services.calibrate import Pace
from quanopy.services.hints import JobHints
from quanopy.services.packing import pack_submissions
from quanopy.services.recording import Accepted
from quanopy.storage.objects import open_objects
from quanopy.storage.store import open_store
from quanopy.storage.wakeups import open_wakeups
from quanopy.testing.fake_provider import FakeProvider

T = TypeVar("T")
P = TypeVar("P", bound=FakeProvider)
PATIENCE_S = 30.0
"""How long a vendor's answer is waited for: no busy machine makes one late."""
CALIBRATE = Pace(every_s=0.2, fresh_s=0.0)
QUICK = Rhythm(ttl_s=60.0, sweep_s=0.3, retry_s=0.05, batch_s=0.25, calibrate=CALIBRATE)
"""Looks often; what it claims stays its own, however long a busy machine keeps it from it."""
BRIEF = replace(QUICK, ttl_s=0.6)
"""What it claims and does not renew is soon anybody's, and what it gives back is so at once."""


def hurried(provider: P) -> P:
    """Polls often, and searches soon for what was lost: no request of these tests that has not
    been answered is still under way."""
    provider.capabilities = replace(
        provider.capabilities,
        request_timeout_s=0.3,
        visibility_delay_s=0.1,
        poll_interval_s=0.05,
    )
    return provider


class Unneeded:
    """A reader and compiler for programs that are read already and fit as they are."""

    def read(
        self, specs: Sequence[JobSpec], *, deadline_s: float
    ) -> list[Reading | QuanopyError | None]:
        return [Invalid("nothing here reads") for _ in specs]

    def compile(self, requests: Sequence[Compilation]) -> list[Compiled | QuanopyError]:
        return [Invalid("nothing here compiles") for _ in requests]

    def warm(self) -> None:
        """Nothing takes long to start."""

    def close(self) -> None:
        """Nothing is open."""


class Workplace:
    """Store, objects and wake-ups at these addresses, and the workers started here."""

    def __init__(self, database: str, folder: Path) -> None:
        self.database = database
        self.folder = folder
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        self.store: Store = open_store(self.database)
        self._cleanup.callback(self.store.close)
        self.objects: Objects = open_objects(self.folder.as_uri())
        self.wakeups: Wakeups = open_wakeups(self.database)
        self._cleanup.callback(self.wakeups.close)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._cleanup.close()

    def worker(
        self,
        *providers: LocalProvider | RemoteProvider,
        store: Store | None = None,
        objects: Objects | None = None,
        reader: Reader | None = None,
        compiler: Compiler | None = None,
        rhythm: Rhythm = QUICK,
    ) -> Worker:
        """A worker that has been started, and is stopped at the end of the block."""
        worker = Worker(
            store=store or self.store,
            objects=objects or self.objects,
            wakeups=self.wakeups,
            hints=JobHints(),
            reader=reader or Unneeded(),
            compiler=compiler or Unneeded(),
            providers=providers,
            rhythm=rhythm,
        )
        worker.start()
        self._cleanup.callback(worker.stop, 2.0)
        return worker

    def submit(
        self,
        count: int,
        resource: str = "noop",
        *,
        account: str = "ada",
        solo: bool = False,
        estimate_s: float = 0.001,
        parts: int = 1,
        options: Options | None = None,
    ) -> list[str]:
        """Submit jobs of one read circuit each, a pub a part; their ids."""
        accepted = [
            _accepted(resource, account, solo, estimate_s, parts, options) for _ in range(count)
        ]
        pack, submission = _packed(accepted)
        self.objects.put(pack)
        (answer,) = self.store.submit([submission])
        if isinstance(answer, QuanopyError):
            raise answer
        self.wakeups.notify(Topic.WORK, Topic.EVENTS)
        return [job.id for job in submission.jobs]

    def hand(
        self, worker: Worker, *, before: Callable[[], object] = lambda: None, at_hand: bool = True
    ) -> str:
        """Submit a job that a free worker takes in the commit that keeps it; ``before`` its pack
        is put. ``at_hand``: whether what is in it can be read before."""
        pack, submission = _packed([_accepted("noop", "ada", False, 0.001, 1)])
        if at_hand:
            self.objects.remember(pack)

        def keep() -> None:
            before()
            self.objects.put(pack)

        def given() -> bool:
            with worker.offering("noop") as offering:
                if offering is None:
                    return False  # It looks for work itself, as it does now and then.
                _, claims = self.store.accept(
                    [submission.entry], lambda new: [submission] * len(new), offering, keep=keep
                )
                worker.take(claims)
                return True

        self.wait_for(given, bool)
        return submission.jobs[0].id

    def cancel(self, ids: Sequence[str]) -> None:
        """As the server does."""
        self.store.cancel(ids, actor="ada")
        self.wakeups.notify(Topic.CANCEL, Topic.EVENTS)

    def wait(self, ids: Sequence[str], *, timeout_s: float = 60.0) -> list[Job]:
        """The jobs once all of them have ended."""
        return self.wait_for(
            lambda: self.store.jobs(ids),
            lambda jobs: all(job.state in FINAL_JOB_STATES for job in jobs),
            timeout_s=timeout_s,
        )

    def wait_for(
        self, look: Callable[[], T], good: Callable[[T], bool], *, timeout_s: float = 60.0
    ) -> T:
        """What is seen once it is good."""
        deadline = time.monotonic() + timeout_s
        while not good(seen := look()):
            assert time.monotonic() < deadline, f"after {timeout_s} s still {str(seen)[:2000]}"
            time.sleep(0.02)
        return seen

    def states(self, ids: Sequence[str]) -> set[JobState]:
        """The states these jobs are in."""
        return {job.state for job in self.store.jobs(ids)}

    def result(self, job_id: str) -> list[bytes]:
        """The stored results of a job's tasks."""
        extents = [task.result for task in self.store.tasks([job_id])]
        return self.objects.read([extent for extent in extents if extent is not None])

    def history(self, job_id: str) -> list[str]:
        """Kinds of a job's events, in order."""
        return [event.kind for event in self.store.events(EventQuery(job_ids=[job_id])).events]


def task_ids(place: Workplace, ids: Iterable[str]) -> list[str]:
    """Ids of all tasks of these jobs."""
    return [task.id for task in place.store.tasks(list(ids))]


def _packed(accepted: Sequence[Accepted]) -> tuple[dict[str, bytes], Submission]:
    packed = pack_submissions(accepted, datetime.now(UTC))
    rows = [_rows(job, spec) for job, spec in zip(accepted, packed.jobs, strict=True)]
    submission = Submission(
        account=accepted[0].account,
        jobs=[job for job, _ in rows],
        tasks=[task for _, tasks in rows for task in tasks],
    )
    return {packed.key: packed.data}, submission


def _accepted(
    resource: str,
    account: str,
    solo: bool,
    estimate_s: float,
    parts: int,
    options: Options | None = None,
) -> Accepted:
    pubs = tuple(Pub(shots=10) for _ in range(parts))
    footprint = Footprint(
        circuits=1,
        qubits=2,
        clbits=1,
        gates=("h", "cx", "measure"),
        instructions=3,
        clifford=True,
        measured=True,
    )
    return Accepted(
        id=new_id("job"),
        account=account,
        created_at=datetime.now(UTC),
        spec=JobSpec(
            kind=JobKind.SAMPLE,
            resource=resource,
            programs=[Program(format="openqasm3", data=b"bell")],
            pubs=pubs,
            options=options or Options(),
        ),
        tasks=[
            TaskRecord(
                id=new_id("task"),
                slice=Slice(first=index, count=1),
                estimate_s=estimate_s,
                solo=solo,
            )
            for index in range(parts)
        ],
        reading=Reading(
            kind=JobKind.SAMPLE,
            circuits=(b"qpy of bell",),
            footprints=(footprint,),
            pubs=pubs,
            evaluations=(1,) * parts,
        ),
        shots=10,
    )


def _rows(accepted: Accepted, spec: Extent) -> tuple[Job, list[Task]]:
    job = Job(
        id=accepted.id,
        account=accepted.account,
        kind=JobKind.SAMPLE,
        resource=accepted.spec.resource,
        state=JobState.QUEUED,
        name=None,
        tags=(),
        priority=0,
        pubs=len(accepted.tasks),
        shots=10,
        tasks=len(accepted.tasks),
        spec=spec,
        created_at=accepted.created_at,
    )
    return job, [
        Task(
            id=record.id,
            job_id=accepted.id,
            account=accepted.account,
            resource=accepted.spec.resource,
            state=TaskState.QUEUED,
            slice=record.slice,
            priority=0,
            estimate_s=record.estimate_s,
            attempt=0,
            solo=record.solo,
            spec=spec,
            ready_at=accepted.created_at,
            queued_at=accepted.created_at,
        )
        for record in accepted.tasks
    ]
