"""How things look on the outside, from the domain to the wire."""

from collections.abc import Sequence
from dataclasses import asdict

from quanopy.domain.accounts import Token
from quanopy.domain.calibration import Binding
from quanopy.domain.events import Event
from quanopy.domain.groups import Group, Progress
from quanopy.domain.jobs import Execution, Extent, Job, Options, Problem, Pub, Task
from quanopy.domain.requirements import Choice, Verdict
from quanopy.domain.resources import ResourceStatus
from quanopy.domain.sightings import Standing
from quanopy.domain.states import JobState
from quanopy.domain.waits import Wait
from quanopy.wire.groups import GroupOut, PolicyOut, ProgressOut, StopRulesOut
from quanopy.wire.jobs import (
    BindingOut,
    ExecutionOut,
    ImportedOut,
    JobDetail,
    JobOut,
    JobsOut,
    OptionsIn,
    ProblemOut,
    PubIn,
    TaskOut,
    WaitOut,
)
from quanopy.wire.matching import CandidateOut, MatchOut
from quanopy.wire.service import EventOut, LimitsOut, ResourceOut, StrandedOut, TokenOut

_RECALIBRATED = "the resource was calibrated anew between submission and end"


def match_out(choice: Choice) -> MatchOut:
    """Resources as they compare."""
    return MatchOut(
        policy=choice.policy,
        resources=[
            _candidate(one, rank if one.fits else None)
            for rank, one in enumerate(choice.verdicts, start=1)
        ],
    )


def _candidate(verdict: Verdict, rank: int | None) -> CandidateOut:
    candidate = verdict.candidate
    status = candidate.status
    able = status.resource.capabilities
    return CandidateOut(
        name=verdict.name,
        provider=status.resource.provider,
        rank=rank,
        reasons=list(verdict.reasons),
        simulator=able.simulator,
        technology=able.technology,
        qubits=able.limits.qubits,
        queued=status.queued,
        wait_s=status.wait_s,
        cost=verdict.cost,
        two_qubit_error=candidate.two_qubit_error,
        calibration_age_s=candidate.calibration_age_s,
    )


def pub_out(pub: Pub) -> PubIn:
    """A pub as it was understood."""
    return PubIn(
        program=pub.program,
        circuit=pub.circuit,
        parameters=pub.parameters,
        observables=pub.observables,
        shots=pub.shots,
        precision=pub.precision,
    )


def options_out(options: Options) -> OptionsIn:
    """Options as they were submitted."""
    return OptionsIn(
        shots=options.shots,
        precision=options.precision,
        seed=options.seed,
        compile=options.compile,
        optimization_level=options.optimization_level,
        seed_transpiler=options.seed_transpiler,
        memory=options.memory,
        max_calibration_age=options.max_calibration_age_s,
        max_calibration_wait=options.max_calibration_wait_s,
        same_calibration_as=options.same_calibration_as,
        noise=options.noise,
    )


def problem_out(problem: Problem | None) -> ProblemOut | None:
    """Why something failed."""
    if problem is None:
        return None
    return ProblemOut(type=problem.type, message=problem.message, hint=problem.hint)


def job_out(job: Job) -> JobOut:
    """A job."""
    return JobOut(
        id=job.id,
        kind=job.kind,
        resource=job.resource,
        state=job.state,
        account=job.account,
        name=job.name,
        tags=list(job.tags),
        priority=job.priority,
        pubs=job.pubs,
        shots=job.shots,
        tasks=job.tasks,
        created_at=job.created_at,
        started_at=job.started_at,
        ended_at=job.ended_at,
        problem=problem_out(job.problem),
        cancel_requested=job.cancel_requested,
        held=job.held,
        group=job.group_id,
        position=job.position,
        blocked=job.blocked and job.state is JobState.QUEUED,
    )


def jobs_out(jobs: Sequence[Job]) -> JobsOut:
    """Jobs, as an answer."""
    return JobsOut(jobs=[job_out(job) for job in jobs])


def group_out(group: Group, progress: Progress) -> GroupOut:
    """A group, and how far it is."""
    policy, stop = group.policy, group.policy.stop
    return GroupOut(
        id=group.id,
        name=group.name,
        account=group.account,
        state=group.state,
        reason=group.reason,
        resource=group.resource,
        policy=PolicyOut(
            order=policy.order,
            max_in_flight=policy.max_in_flight,
            gap=policy.gap_s or None,
            stop=StopRulesOut.model_validate(asdict(stop)),
        ),
        size=group.size,
        progress=ProgressOut(**asdict(progress)),
        usage=dict(group.usage),
        created_at=group.created_at,
        started_at=group.started_at,
        ended_at=group.ended_at,
        next_at=group.next_at,
    )


def job_detail(
    job: Job, tasks: Sequence[Task], executions: Sequence[Execution], waits: Sequence[Wait] = ()
) -> JobDetail:
    """A job with its parts."""
    return JobDetail(
        **job_out(job).model_dump(),
        imported=None if job.imported is None else ImportedOut(**asdict(job.imported)),
        waits=[WaitOut(**asdict(wait)) for wait in waits],
        parts=[_task_out(task) for task in tasks],
        executions=[_execution_out(execution) for execution in executions],
        submitted_at_key=job.spec.key,
    )


def _task_out(task: Task) -> TaskOut:
    return TaskOut(
        id=task.id,
        state=task.state,
        first_pub=task.slice.first,
        pubs=task.slice.count,
        shots=task.slice.shots or None,
        attempt=task.attempt,
        execution_id=task.execution_id,
        result_at=_extent(task.result),
        problem=problem_out(task.problem),
        ready_at=task.ready_at,
        started_at=task.started_at,
        ended_at=task.ended_at,
    )


def _extent(extent: Extent | None) -> str | None:
    return None if extent is None else f"{extent.key}#{extent.offset}+{extent.length}"


def _execution_out(execution: Execution) -> ExecutionOut:
    return ExecutionOut(
        id=execution.id,
        provider=execution.provider,
        state=execution.state,
        provider_job_id=execution.provider_job_id,
        created_at=execution.created_at,
        started_at=execution.started_at,
        ended_at=execution.ended_at,
        usage=dict(execution.usage),
        problem=problem_out(execution.problem),
        resource=execution.resource,
        target=execution.target,
        fingerprint=execution.fingerprint,
        adopted=execution.adopted,
        calibration=binding_out(execution.calibration),
    )


def binding_out(binding: Binding) -> BindingOut:
    """What an execution ran under."""
    return BindingOut(
        label=binding.label,
        snapshot=binding.snapshot,
        submitted=binding.submitted,
        started=binding.started,
        ended=binding.ended,
        named=binding.named,
        warning=_RECALIBRATED if binding.changed else None,
    )


def stranded_out(execution: Execution, jobs: Sequence[str] = ()) -> StrandedOut:
    """A stranded execution as operators see it."""
    return StrandedOut(
        **dict(_execution_out(execution)),
        account=execution.account,
        tasks=list(execution.tasks),
        jobs=list(jobs),
        searches=execution.searches,
    )


def event_out(event: Event) -> EventOut:
    """One line of history."""
    return EventOut(
        id=str(event.position),
        at=event.at,
        subject=event.subject,
        kind=event.kind,
        before=event.before,
        after=event.after,
        actor=event.actor,
        job_id=event.job_id,
        data=dict(event.data),
    )


def resource_out(status: ResourceStatus, standing: Standing | None = None) -> ResourceOut:
    """A resource, how busy it is, and when it was calibrated."""
    sighting = None if standing is None else standing.sighting
    resource, able = status.resource, status.resource.capabilities
    limits = able.limits
    return ResourceOut(
        name=resource.name,
        provider=resource.provider,
        description=resource.description,
        state=resource.state,
        reason=resource.reason,
        simulator=able.simulator,
        kinds=list(able.kinds),
        lanes=resource.lanes,
        device=resource.device,
        part=None if resource.part is None else list(resource.part),
        limits=LimitsOut(
            qubits=limits.qubits,
            clifford_qubits=limits.clifford_qubits,
            pubs=limits.pubs,
            evaluations=limits.evaluations,
            shots=limits.shots,
            job_shots=limits.job_shots,
        ),
        default_shots=able.default_shots,
        gates=None if able.gates is None else list(able.gates),
        formats=list(able.formats),
        technology=able.technology,
        price_per_task=able.price_per_task,
        price_per_shot=able.price_per_shot,
        queued=status.queued,
        active=status.active,
        wait_s=status.wait_s,
        workers=status.workers,
        calibrated_at=None if sighting is None else sighting.at,
        seen_at=status.seen_at,
        owner=resource.owner,
        accounts=None if resource.accounts is None else list(resource.accounts),
    )


def token_out(token: Token, secret: str | None = None) -> TokenOut:
    """A token; its secret only where it was just made."""
    return TokenOut(
        id=token.id,
        account=token.account,
        scope=token.scope,
        label=token.label,
        created_at=token.created_at,
        expires_at=token.expires_at,
        revoked_at=token.revoked_at,
        secret=secret,
    )
