"""What was submitted, back again."""

import base64
import logging
from collections.abc import Mapping

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from quanopy.codecs.qpy import writer_of
from quanopy.domain.errors import NotFound
from quanopy.domain.jobs import Job, OnFailure
from quanopy.domain.programs import Program
from quanopy.server.openapi import problems, shows
from quanopy.server.routes import examples
from quanopy.server.routes.parameters import JobId
from quanopy.server.shown import options_out, pub_out
from quanopy.server.web import Web, answer, identity_of, web_of
from quanopy.services.ran import AsRun, all_as_run, read_late
from quanopy.services.unpacking import load_circuits, load_jobs, load_programs
from quanopy.wire.jobs import CompiledJobOut, CompiledOut, ProgramOut, SubmittedOut

log = logging.getLogger(__name__)

router = APIRouter(prefix="/v1/jobs", tags=["programs"])


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
    return SubmittedOut(
        job_id=job.id,
        programs=[_program(program, circuits.get(index)) for index, program in enumerate(programs)],
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
