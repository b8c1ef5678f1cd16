"""What is asked for, from the wire to the domain."""

import base64
import binascii
from collections.abc import Mapping, Sequence

from quanopy.domain.errors import Invalid
from quanopy.domain.groups import GroupPolicy, StopRules
from quanopy.domain.jobs import JobSpec, Options, Pub
from quanopy.domain.programs import Program
from quanopy.domain.requirements import Bound, Edges, Requirements, Shape
from quanopy.wire.groups import PolicyIn
from quanopy.wire.jobs import JobIn, OptionsIn, ProgramIn, PubIn
from quanopy.wire.matching import RequirementsIn


def spec_of(job: JobIn, where: str = "") -> JobSpec:
    """What is submitted; raises :class:`Invalid` with the place, which ``where`` begins."""
    if (job.resource is None) == (job.requires is None):
        raise Invalid(
            "a job names its resource, or says what it requires of one",
            where=f"{where}resource",
            hint="Give `resource` or `requires`.",
        )
    return JobSpec(
        kind=job.kind,
        resource=job.resource or "",
        programs=[
            _program(program, f"{where}programs[{index}]")
            for index, program in enumerate(job.programs)
        ],
        pubs=None if job.pubs is None else [_pub(pub) for pub in job.pubs],
        options=_options(job.options),
        name=job.name,
        tags=tuple(dict.fromkeys(job.tags)),
        priority=job.priority,
        after=tuple(dict.fromkeys(job.after)),
        on_failure=job.on_failure,
    )


def requirements_in(jobs: Sequence[JobIn], where: str = "") -> Mapping[int, Requirements]:
    """By their index, what jobs ask of a resource that name none; raises :class:`Invalid` with
    the place, which ``where`` begins, formatted with the index."""
    return {
        index: requirements_of(job.requires, where.format(index))
        for index, job in enumerate(jobs)
        if job.requires is not None
    }


def requirements_of(asked: RequirementsIn, where: str = "") -> Requirements:
    """What is asked of a resource."""
    return Requirements(
        qubits=asked.qubits,
        gates=tuple(asked.gates),
        connectivity=_connectivity(asked.connectivity, where),
        technology=tuple(asked.technology),
        simulator=asked.simulator,
        fidelity=asked.fidelity,
        metrics={
            name: Bound(least=one.least, most=one.most) for name, one in asked.metrics.items()
        },
        max_queue=asked.max_queue,
        max_wait_s=asked.max_wait,
        max_cost=asked.max_cost,
        max_calibration_age_s=asked.max_calibration_age,
        policy=asked.policy,
    )


def _connectivity(asked: Shape | list[tuple[int, int]] | None, where: str) -> Shape | Edges | None:
    if asked is None or isinstance(asked, Shape):
        return asked
    if any(one == other for one, other in asked):
        raise Invalid("a qubit is connected to itself", where=f"{where}requires.connectivity")
    return tuple(asked)


def _program(program: ProgramIn, where: str) -> Program:
    if (program.text is None) == (program.data is None):
        raise Invalid("it needs either text or data, not both", where=where)
    if program.text is not None:
        return Program(format=program.format, data=program.text.encode())
    try:
        data = base64.b64decode(program.data or "", validate=True)
    except (binascii.Error, ValueError):
        raise Invalid("it is not base64", where=f"{where}.data") from None
    return Program(format=program.format, data=data)


def _pub(pub: PubIn) -> Pub:
    return Pub(
        program=pub.program,
        circuit=pub.circuit,
        parameters=pub.parameters,
        observables=pub.observables,
        shots=pub.shots,
        precision=pub.precision,
    )


def _options(options: OptionsIn) -> Options:
    return Options(
        shots=options.shots,
        precision=options.precision,
        seed=options.seed,
        compile=options.compile,
        optimization_level=options.optimization_level,
        seed_transpiler=options.seed_transpiler,
        memory=options.memory,
        max_calibration_age_s=options.max_calibration_age,
        max_calibration_wait_s=options.max_calibration_wait,
        same_calibration_as=options.same_calibration_as,
        noise=options.noise,
    )


def policy_of(asked: PolicyIn) -> GroupPolicy:
    """What is asked of a group."""
    stop = asked.stop
    return GroupPolicy(
        order=asked.order,
        max_in_flight=asked.max_in_flight,
        gap_s=asked.gap or 0.0,
        stop=StopRules(
            precision=stop.precision,
            seconds=stop.seconds,
            cost=stop.cost,
            deadline=stop.deadline,
            calibration={
                name: Bound(least=limit.least, most=limit.most)
                for name, limit in stop.calibration.items()
            },
            failures=stop.failures,
        ),
    )
