"""From requests to rows: read, check, split, and pack what is to be submitted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from quanopy.codecs.records import TaskRecord
from quanopy.domain.errors import QuanopyError
from quanopy.domain.ids import new_id
from quanopy.domain.jobs import Extent, Job, JobKind, JobSpec, Pub, Reading, Slice, Task
from quanopy.domain.resources import Resource
from quanopy.domain.states import JobState, TaskState
from quanopy.ports.programs import Reader
from quanopy.ports.store import Submission
from quanopy.services.catalogue import Catalogue
from quanopy.services.demands import Demands, Standings, demands
from quanopy.services.matching import check_request, default_shots, settle
from quanopy.services.packing import Accepted, Awaiting, pack_submissions
from quanopy.services.splitting import Part, split


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A job that fits its resource, with the parts it is split into."""

    account: str
    spec: JobSpec
    reading: Reading | None
    parts: Sequence[Part]
    shots: int | None
    solo: bool
    awaiting: Awaiting | None = None
    """What it is to wait for before it may run."""


def draft(
    requests: Sequence[tuple[str, Sequence[JobSpec]]],
    catalogue: Catalogue,
    reader: Reader,
    deadline_s: float,
) -> list[Sequence[Draft] | QuanopyError]:
    """Read and check the jobs of many requests (account, specs) in one go.

    For each request its drafts, or why one of its jobs was refused (``where`` says which one).
    """
    found = [_resources(account, specs, catalogue) for account, specs in requests]
    wanted = [
        spec
        for (_, specs), resources in zip(requests, found, strict=True)
        if not isinstance(resources, QuanopyError)
        for spec in specs
    ]
    readings = iter(reader.read(wanted, deadline_s=deadline_s) if wanted else ())
    return [
        resources
        if isinstance(resources, QuanopyError)
        else _drafts(account, specs, resources, readings)
        for (account, specs), resources in zip(requests, found, strict=True)
    ]


def _resources(
    account: str, specs: Sequence[JobSpec], catalogue: Catalogue
) -> list[Resource] | QuanopyError:
    """The resource of each job, once all of them are seen to offer what is asked."""
    found = []
    for index, spec in enumerate(specs):
        try:
            resource = catalogue.find(spec.resource, account)
            check_request(spec, resource)
        except QuanopyError as error:
            return _placed(error, index, len(specs))
        found.append(resource)
    return found


def _drafts(
    account: str,
    specs: Sequence[JobSpec],
    resources: Sequence[Resource],
    readings: Iterator[Reading | QuanopyError | None],
) -> list[Draft] | QuanopyError:
    # Every job's reading is taken, also past a refusal: the next request's come after them.
    own = [next(readings) for _ in specs]
    drafts = []
    for index, (spec, resource, reading) in enumerate(zip(specs, resources, own, strict=True)):
        try:
            drafts.append(_draft(account, spec, resource, reading))
        except QuanopyError as error:
            return _placed(error, index, len(specs))
    return drafts


def _draft(
    account: str, spec: JobSpec, resource: Resource, reading: Reading | QuanopyError | None
) -> Draft:
    if isinstance(reading, QuanopyError):
        raise reading
    able = resource.capabilities
    solo = spec.options.seed is not None or not able.coalesce
    if reading is None:
        whole = Part(slice=Slice(first=0, count=len(spec.pubs or ())), estimate_s=0.0)
        shots = None if spec.kind is JobKind.ESTIMATE else default_shots(spec.options, able)
        return Draft(
            account=account, spec=spec, reading=None, parts=[whole], shots=shots, solo=solo
        )
    pubs = settle(spec, reading, resource)
    return Draft(
        account=account,
        spec=spec,
        reading=replace(reading, pubs=pubs),
        parts=split(pubs, reading, able),
        shots=_shots(pubs),
        solo=solo,
    )


def demanding(
    answer: Sequence[Draft] | QuanopyError, asked: Demands, standings: Standings
) -> Sequence[Draft] | QuanopyError:
    """The drafts of a request with what they have to wait for; or why one asks of its resource's
    calibration what can never be."""
    if isinstance(answer, QuanopyError):
        return answer
    found = []
    for index, one in enumerate(answer):
        if not demands(one.spec.options):
            found.append(one)
            continue
        try:
            awaiting = asked.at_submission(
                one.spec.options, one.account, one.spec.resource, standings
            )
        except QuanopyError as error:
            return _placed(error, index, len(answer))
        found.append(replace(one, awaiting=awaiting))
    return found


def _shots(pubs: Sequence[Pub]) -> int | None:
    """What a listing shows: the most shots of a pub."""
    return max((pub.shots for pub in pubs if pub.shots is not None), default=None)


def _placed(error: QuanopyError, index: int, count: int) -> QuanopyError:
    """The error with the job it is about, where a request has several."""
    if count > 1:
        error.where = ".".join(filter(None, (f"jobs[{index}]", error.where)))
    return error


def accept(drafts: Sequence[Draft], key: str | None, digest: str, now: datetime) -> list[Accepted]:
    """The jobs of a request by its idempotency key and body's digest, under new ids."""
    return [
        Accepted(
            id=new_id("job"),
            account=one.account,
            created_at=now,
            spec=one.spec,
            tasks=[
                TaskRecord(
                    id=new_id("task"), slice=part.slice, estimate_s=part.estimate_s, solo=one.solo
                )
                for part in one.parts
            ],
            reading=one.reading,
            awaiting=one.awaiting,
            shots=one.shots,
            idempotency_key=key,
            request_digest=digest,
        )
        for one in drafts
    ]


def pack(
    requests: Sequence[Sequence[Accepted]], now: datetime
) -> tuple[str, bytes, list[Submission]]:
    """Pack the jobs of many requests together: the pack's key and bytes, and what to submit."""
    packed = pack_submissions([job for jobs in requests for job in jobs], now)
    extents = iter(packed.jobs)
    submissions = [_submission(jobs, [next(extents) for _ in jobs]) for jobs in requests]
    return packed.key, packed.data, submissions


def _submission(accepted: Sequence[Accepted], extents: Sequence[Extent]) -> Submission:
    together = list(zip(accepted, extents, strict=True))
    return Submission(
        account=accepted[0].account,
        jobs=[_job(job, extent) for job, extent in together],
        tasks=[task for job, extent in together for task in _tasks(job, extent)],
        idempotency_key=accepted[0].idempotency_key,
        request_digest=accepted[0].request_digest,
    )


def _job(accepted: Accepted, extent: Extent) -> Job:
    spec, reading = accepted.spec, accepted.reading
    return Job(
        id=accepted.id,
        account=accepted.account,
        kind=reading.kind if reading else spec.kind,
        resource=spec.resource,
        state=JobState.QUEUED,
        name=spec.name,
        tags=spec.tags,
        priority=spec.priority,
        pubs=len(reading.pubs) if reading else None,
        shots=accepted.shots,
        tasks=len(accepted.tasks),
        spec=extent,
        created_at=accepted.created_at,
        estimate_s=sum(task.estimate_s for task in accepted.tasks),
    )


def _tasks(accepted: Accepted, extent: Extent) -> Iterator[Task]:
    spec, now, awaiting = accepted.spec, accepted.created_at, accepted.awaiting
    ready_at: datetime | None = now
    if awaiting is not None:
        most_s = awaiting.at_most_s
        ready_at = None if most_s is None else now + timedelta(seconds=most_s)
    for record in accepted.tasks:
        yield Task(
            id=record.id,
            job_id=accepted.id,
            account=accepted.account,
            resource=spec.resource,
            state=TaskState.QUEUED,
            slice=record.slice,
            priority=spec.priority,
            estimate_s=record.estimate_s,
            attempt=0,
            solo=record.solo,
            spec=extent,
            ready_at=ready_at,
            queued_at=now,
            awaits_s=None if awaiting is None else awaiting.age_s,
        )
