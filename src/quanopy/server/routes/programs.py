"""What was submitted, back again."""

import base64
import logging
from collections.abc import Mapping, Sequence

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from quanopy.codecs.qpy import writer_of
from quanopy.codecs.records import JobRecord
from quanopy.domain.errors import NotFound
from quanopy.domain.jobs import Job, OnFailure
from quanopy.domain.lots import lots
from quanopy.domain.programs import Program
from quanopy.server.bodies import parse
from quanopy.server.openapi import problems, shows, takes
from quanopy.server.routes import examples
from quanopy.server.routes.parameters import JobId
from quanopy.server.shown import options_out, pub_out
from quanopy.server.web import Web, answer, body_of, identity_of, web_of
from quanopy.services.ran import AsRun, all_as_run, read_late
from quanopy.services.unpacking import load_circuits, load_jobs, load_programs
from quanopy.wire.jobs import (
    CompiledJobOut,
    CompiledOut,
    JobIdsIn,
    ProgramOut,
    SubmissionsOut,
    SubmittedOut,
)

log = logging.getLogger(__name__)

router = APIRouter(prefix="/v1/jobs", tags=["programs"])

_MOST_TOLD = 8 * 1024 * 1024
"""Bytes of what was submitted that are told of together."""


@router.get(
    "/{id}/programs",
    summary="What was submitted",
    response_model=SubmittedOut,
    responses={**shows(examples.SUBMITTED), **problems(404)},
)
async def get_programs(request: Request, id: JobId) -> Response:
    """Programs as they came, the circuits read from them, and pubs as they were understood."""
    web = web_of(request)
    (job,) = await web.reads.owned([id], identity_of(request))
    return answer(await web.calls.run(_submitted, web, job))


def _submitted(web: Web, job: Job) -> SubmittedOut:
    extents = [job.spec]
    records = load_jobs(web.objects, extents)
    (programs,) = load_programs(web.objects, extents, records)
    (read,) = load_circuits(web.objects, extents, records)
    record = records[0]
    circuits = dict(enumerate(read)) if read is not None else _read_late(web, job)
    shown = [_program(program, circuits.get(index)) for index, program in enumerate(programs)]
    return _told(job, record, shown)


def _told(job: Job, record: JobRecord, programs: list[ProgramOut]) -> SubmittedOut:
    return SubmittedOut(
        job_id=job.id,
        programs=programs,
        pubs=None if record.pubs is None else [pub_out(pub) for pub in record.pubs],
        options=options_out(record.options),
        after=list(record.after or ()),
        on_failure=record.on_failure or OnFailure.SKIP,
    )


def _read_late(web: Web, job: Job) -> Mapping[int, bytes]:
    """The circuits by program, once they have been read where the job was dispatched."""
    tasks, executions = web.store.tasks([job.id]), web.store.executions(job.id)
    try:
        return read_late(web.objects, job, tasks, executions)
    except NotFound as error:
        # What was submitted is there all the same.
        log.warning("what was read of %s: %s", job.id, error)
        return {}


@router.post(
    "/programs",
    summary="What was submitted, of many jobs",
    response_model=SubmissionsOut,
    responses={**shows({"jobs": [examples.SUBMITTED]}), **problems(404, 413, 415)},
    openapi_extra=takes(JobIdsIn, example={"ids": [examples.JOB_ID]}),
)
async def get_many_programs(request: Request) -> Response:
    """In the order asked, of the first job and as many after it as have 8 MiB together: ask for the
    others again. Without the circuits as they were read: those are told of one job alone."""
    web = web_of(request)
    ids = parse(JobIdsIn, await body_of(request, web)).ids
    jobs = await web.reads.owned(ids, identity_of(request))
    return answer(await web.calls.run(_submissions, web, jobs))


def _submissions(web: Web, jobs: Sequence[Job]) -> SubmissionsOut:
    some = next(lots(jobs, lambda job: job.spec.length, most=_MOST_TOLD))
    records = load_jobs(web.objects, [job.spec for job in some])
    told = next(lots(zip(some, records, strict=True), _length, most=_MOST_TOLD))
    extents, records = [job.spec for job, _ in told], [record for _, record in told]
    programs = load_programs(web.objects, extents, records)
    return SubmissionsOut(
        jobs=[
            _told(job, record, [_program(one, None) for one in own])
            for (job, record), own in zip(told, programs, strict=True)
        ]
    )


def _length(told: tuple[Job, JobRecord]) -> int:
    """Bytes of a job's record and programs."""
    job, record = told
    return job.spec.length + sum(program.data.length for program in record.programs)


@router.get(
    "/{id}/compiled",
    summary="What really ran",
    response_model=CompiledJobOut,
    responses={**shows(examples.COMPILED), **problems(404, 409)},
)
async def get_compiled(request: Request, id: JobId) -> Response:
    """Programs as they were compiled, by part of the job, with compiler, level, seed and target;
    one that fitted as it was ran so. 409 until something of the job has run."""
    web = web_of(request)
    (job,) = await web.reads.owned([id], identity_of(request))
    return answer(await web.calls.run(_compiled, web, job))


def _compiled(web: Web, job: Job) -> CompiledJobOut:
    record, programs = all_as_run(
        web.objects, job, web.store.tasks([job.id]), web.store.executions(job.id)
    )
    return CompiledJobOut(
        job_id=job.id,
        programs=[_as_run(program) for program in programs],
        options=options_out(record.options),
    )


def _as_run(one: AsRun) -> CompiledOut:
    data = base64.b64encode(one.data).decode()
    compiled = one.ran if one.ran is not None and one.ran.level is not None else None
    return CompiledOut(
        program=one.program,
        part=one.part,
        execution_id=one.execution.id,
        qpy=data if one.native is None else None,
        native=one.native,
        data=None if one.native is None else data,
        changed=compiled is not None,
        compiler=None if compiled is None else f"qiskit {writer_of(one.data)}",
        level=None if compiled is None else compiled.level,
        seed=None if compiled is None else compiled.seed,
        target=one.execution.target,
    )


def _program(program: Program, qpy: bytes | None) -> ProgramOut:
    text = _text(program)
    return ProgramOut(
        format=program.format,
        digest=program.digest,
        text=text,
        data=base64.b64encode(program.data).decode() if text is None else None,
        qpy=base64.b64encode(qpy).decode() if qpy is not None else None,
    )


def _text(program: Program) -> str | None:
    try:
        return program.data.decode("utf-8")
    except UnicodeDecodeError:
        return None
