"""From requests to rows: read, check, split, and pack what is to be submitted."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from quanopy.codecs.records import TaskRecord
from quanopy.domain.errors import Invalid, QuanopyError
from quanopy.domain.ids import new_id
from quanopy.domain.jobs import Extent, Job, JobKind, JobSpec, Pub, Reading, Slice, Task
from quanopy.domain.requirements import Choice, Need, Requirements, Verdict
from quanopy.domain.resources import Resource
from quanopy.domain.states import JobState, TaskState
from quanopy.ports.programs import Reader
from quanopy.ports.submissions import Submission
from quanopy.services.candidates import Candidates
from quanopy.services.catalogue import Catalogue
from quanopy.services.choosing import choose, none_fits
from quanopy.services.demands import Demands, Standings, demands
from quanopy.services.matching import check_request, default_shots, settle
from quanopy.services.packing import pack_submissions
from quanopy.services.recording import Accepted, Awaiting
from quanopy.services.splitting import Part, split

_MOST_REJECTED = 20
"""Resources of which a job's history says why they were not taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What one request asks for."""

    account: str
    specs: Sequence[JobSpec]
    requirements: Mapping[int, Requirements]
    """By their index, what the resources of those jobs must be that name none."""


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
    requires: Requirements | None = None
    """What it asked of its resource, where it named none."""
    chosen: Mapping[str, Any] | None = None
    """Why that resource, then."""


def draft(
    requests: Sequence[Asking],
    catalogue: Catalogue,
    reader: Reader,
    deadline_s: float,
    candidates: Candidates | None = None,
) -> list[Sequence[Draft] | QuanopyError]:
    """Read and check the jobs of many requests in one go.

    For each request its drafts, or why one of its jobs was refused (``where`` says which one).
    """
    found = [_resources(one, catalogue) for one in requests]
    wanted = [
        spec
        for one, resources in zip(requests, found, strict=True)
        if not isinstance(resources, QuanopyError)
        for spec in one.specs
    ]
    readings = iter(reader.read(wanted, deadline_s=deadline_s) if wanted else ())
    return [
        resources
        if isinstance(resources, QuanopyError)
        else _drafts(one, resources, readings, candidates)
        for one, resources in zip(requests, found, strict=True)
    ]


def _resources(asking: Asking, catalogue: Catalogue) -> list[Resource | None] | QuanopyError:
    """The resource of each job, once all of them are seen to offer what is asked; ``None`` where
    it is chosen once the job has been read."""
    found: list[Resource | None] = []
    for index, spec in enumerate(asking.specs):
        try:
            if index in asking.requirements:
                found.append(None)
                continue
            resource = catalogue.find(spec.resource, asking.account)
            taking = partial(catalogue.taking, account=asking.account)
            check_request(spec, resource, taking)
        except QuanopyError as error:
            return _placed(error, index, len(asking.specs))
        found.append(resource)
    return found


def _drafts(
    asking: Asking,
    resources: Sequence[Resource | None],
    readings: Iterator[Reading | QuanopyError | None],
    candidates: Candidates | None,
) -> list[Draft] | QuanopyError:
    # Every job's reading is taken, also past a refusal: the next request's come after them.
    account, specs = asking.account, asking.specs
    own = [next(readings) for _ in specs]
    drafts = []
    for index, (spec, resource, reading) in enumerate(zip(specs, resources, own, strict=True)):
        try:
            if isinstance(reading, QuanopyError):
                raise reading
            if resource is None:
                wanted = asking.requirements[index]
                drafts.append(_chosen(account, spec, wanted, reading, candidates))
            else:
                drafts.append(_draft(account, spec, resource, reading))
        except QuanopyError as error:
            return _placed(error, index, len(specs))
    return drafts


def _chosen(
    account: str,
    spec: JobSpec,
    wanted: Requirements,
    reading: Reading | None,
    candidates: Candidates | None,
) -> Draft:
    """The draft for the best of the resources that fit a job which names none."""
    if candidates is None:
        raise Invalid("nothing is chosen here: name a resource", where="requires")
    need = need_of(spec, reading)
    choice = choose(wanted, need, candidates.of(account, wanted, need))
    if choice.best is None:
        raise none_fits(choice, need)
    resource = choice.best.candidate.status.resource
    named = replace(spec, resource=resource.name)
    check_request(named, resource)
    drafted = _draft(account, named, resource, reading)
    return replace(drafted, requires=wanted, chosen=reasons(choice))


def need_of(spec: JobSpec, reading: Reading | None) -> Need:
    """What a job needs by itself, as far as it has been read."""
    formats = tuple({program.format.partition("/")[0]: None for program in spec.programs})
    if reading is None:
        return Need(kind=spec.kind, formats=formats, shots=spec.options.shots)
    used = {gate for footprint in reading.footprints for gate in footprint.gates}
    return Need(
        kind=reading.kind,
        formats=formats,
        qubits=max((footprint.qubits for footprint in reading.footprints), default=0),
        clifford=all(footprint.clifford for footprint in reading.footprints),
        gates=() if spec.options.compile else tuple(sorted(used)),
        shots=_all_shots(spec.options.shots, reading),
    )


def _all_shots(shots: int | None, reading: Reading) -> int | None:
    """Shots of all that is evaluated, if it is said how many."""
    if reading.kind is JobKind.ESTIMATE:
        return None
    each = [shots if pub.shots is None else pub.shots for pub in reading.pubs]
    together = [count for count in each if count is not None]
    if len(together) < len(each):
        return None
    return sum(n * times for n, times in zip(together, reading.evaluations, strict=True))


def reasons(choice: Choice) -> Mapping[str, Any]:
    """Why the best of a choice was taken, for the job's history."""
    fitting = sum(verdict.fits for verdict in choice.verdicts)
    rejected = dict(list(choice.rejected.items())[:_MOST_REJECTED])
    return {
        "policy": choice.policy.value,
        **_measured(choice.best),
        "fitting": fitting,
        "of": len(choice.verdicts),
        "rejected": {name: list(why) for name, why in rejected.items()},
    }


def _measured(best: Verdict | None) -> Mapping[str, float]:
    """What the best was ranked by, as far as it is known."""
    if best is None:
        return {}
    known = {
        "wait_s": best.candidate.status.wait_s,
        "cost": best.cost,
        "two_qubit_error": best.candidate.two_qubit_error,
        "calibration_age_s": best.candidate.calibration_age_s,
    }
    return {name: value for name, value in known.items() if value is not None}


def _draft(account: str, spec: JobSpec, resource: Resource, reading: Reading | None) -> Draft:
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
    # Most often all jobs of a request ask for the same, and all other requests wait meanwhile.
    known: dict[object, Awaiting | None] = {}
    for index, one in enumerate(answer):
        options, resource = one.spec.options, one.spec.resource
        if not demands(options):
            found.append(one)
            continue
        alike = (
            *(one.account, resource, options.same_calibration_as),
            *(options.max_calibration_age_s, options.max_calibration_wait_s),
        )
        try:
            if alike not in known:
                known[alike] = asked.at_submission(options, one.account, resource, standings)
        except QuanopyError as error:
            return _placed(error, index, len(answer))
        found.append(replace(one, awaiting=known[alike]))
    return found


def _shots(pubs: Sequence[Pub]) -> int | None:
    """What a listing shows: the most shots of a pub."""
    return max((pub.shots for pub in pubs if pub.shots is not None), default=None)


def _placed(error: QuanopyError, index: int, count: int) -> QuanopyError:
    """The error with the job it is about, where a request has several."""
    if count > 1:
        error.where = ".".join(filter(None, (f"jobs[{index}]", error.where)))
    return error


def accept(
    drafts: Sequence[Draft],
    key: str | None,
    digest: str,
    now: datetime,
    group_id: str | None = None,
) -> list[Accepted]:
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
            requires=one.requires,
            chosen=one.chosen,
            group_id=group_id,
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
        group_id=accepted[0].group_id,
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
        chosen=accepted.chosen,
        after=spec.after,
        on_failure=spec.on_failure,
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
