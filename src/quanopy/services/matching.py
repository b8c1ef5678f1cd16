"""Whether a job fits a resource, and what the resource's defaults make of it."""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from quanopy.domain.errors import Invalid, ResourceMismatch, Unsupported
from quanopy.domain.jobs import JobKind, JobSpec, Options, Pub, Reading
from quanopy.domain.programs import CIRCUITS, CLIFFORD, CONTROL_FLOW, Footprint
from quanopy.domain.resources import Capabilities, Resource

# What no target lists and every target does.
_FREE = frozenset({"barrier", "measure"})
_FEW = 10


Taking = Callable[[str], Sequence[str]]
"""Names of resources that take programs of a format."""


def check_request(spec: JobSpec, resource: Resource, taking: Taking | None = None) -> None:
    """Refuse what can be seen not to fit before any program is read.

    Raises :class:`ResourceMismatch` for a kind or shots the resource does not offer,
    :class:`Invalid` for a precision that is no number, :class:`Unsupported` for a format, with
    the resources that are ``taking`` it.
    """
    able = resource.capabilities
    for index, program in enumerate(spec.programs):
        where = f"programs[{index}].format"
        check_format(program.format, spec.kind, resource, where=where, taking=taking)
    if spec.kind not in able.kinds:
        raise ResourceMismatch(
            f"{resource.name} does not do {spec.kind}",
            where="kind",
            hint=f"It does {', '.join(able.kinds)}.",
        )
    if spec.options.noise is not None and not (able.noise and spec.kind is not JobKind.ESTIMATE):
        raise ResourceMismatch(
            f"{resource.name} emulates no snapshot's noise in a job of kind {spec.kind}",
            where="options.noise",
            hint=f"Take one that does (aer, perceval-slos), and {JobKind.SAMPLE} or {JobKind.RUN}.",
        )
    _check_amounts("options", spec.options.shots, spec.options.precision, able)
    for index, pub in enumerate(spec.pubs or ()):
        _check_amounts(f"pubs[{index}]", pub.shots, pub.precision, able)
        if not 0 <= pub.program < len(spec.programs):
            raise Invalid(
                f"there is no program {pub.program}",
                where=f"pubs[{index}].program",
                hint=f"The job has {len(spec.programs)}, counted from 0.",
            )


def check_format(
    format: str,
    kind: JobKind,
    resource: Resource,
    *,
    where: str,
    taking: Taking | None = None,
) -> None:
    """Refuse a program in a format that a resource does not take: :class:`Unsupported`; and
    anything but ``run`` of one that runs as it stands."""
    name = format.partition("/")[0]
    taken = resource.capabilities.formats
    if name not in taken:
        error = Unsupported(
            f"{resource.name} takes no {name[:60]!r} programs",
            where=where,
            hint=f"It takes {', '.join(taken)}.",
        )
        if taking is not None:
            others = taking(name)
            error.hint = f"{error.hint} {_takers(others)}"
            error.more = {"taken_by": list(others)}
        raise error
    if name not in CIRCUITS and kind is not JobKind.RUN:
        raise ResourceMismatch(
            f"a {name} program runs as it stands: there is nothing to {kind}",
            where="kind",
            hint=f"Submit it as a job of kind {JobKind.RUN}.",
        )


def _takers(names: Sequence[str]) -> str:
    if not names:
        return "No resource takes them."
    more = f" and {len(names) - _FEW} more" if len(names) > _FEW else ""
    return f"These are taken by {', '.join(names[:_FEW])}{more}."


def _check_amounts(
    where: str, shots: int | None, precision: float | None, able: Capabilities
) -> None:
    if precision is not None and not math.isfinite(precision):
        raise Invalid("precision is not a finite number", where=f"{where}.precision")
    most = able.limits.job_shots
    if shots is not None and most is not None and shots > most:
        raise ResourceMismatch(
            f"{shots} shots, at most {most} are possible",
            where=f"{where}.shots",
            hint="Ask for fewer shots, or submit several jobs.",
        )


def settle(spec: JobSpec, reading: Reading, resource: Resource) -> tuple[Pub, ...]:
    """The job's pubs with shots or precision set, once all of it is known to fit.

    Raises :class:`ResourceMismatch` naming the program or pub that does not fit, and
    :class:`Invalid` for a circuit to be sampled that measures nothing.
    """
    able = resource.capabilities
    if reading.kind not in able.kinds:
        raise ResourceMismatch(f"{resource.name} does not do {reading.kind}", where="kind")
    for index, footprint in enumerate(reading.footprints):
        _check_program(f"programs[{index}]", footprint, reading.kind, spec.options, resource)
    pubs = tuple(_with_defaults(pub, reading.kind, spec.options, able) for pub in reading.pubs)
    for index, pub in enumerate(pubs):
        # A payload brings its own, which nobody has seen before it was read.
        _check_amounts(f"pubs[{index}]", pub.shots, pub.precision, able)
    return pubs


def _check_program(
    where: str, footprint: Footprint, kind: JobKind, options: Options, resource: Resource
) -> None:
    if footprint.native is not None:
        return
    _check_qubits(where, footprint, resource)
    if kind is not JobKind.ESTIMATE and not footprint.measured:
        raise Invalid(
            "a circuit measures nothing, so there is nothing to count",
            where=where,
            hint="Measure into classical bits, or ask for an estimate of observables.",
        )
    gates = resource.capabilities.gates
    if gates is not None and not options.compile:
        _check_gates(where, footprint.gates, gates, resource.name)


def _check_qubits(where: str, footprint: Footprint, resource: Resource) -> None:
    limits = resource.capabilities.limits
    most = limits.qubits
    if most is not None and footprint.clifford and limits.clifford_qubits is not None:
        most = max(most, limits.clifford_qubits)
    if most is not None and footprint.qubits > most:
        raise ResourceMismatch(
            f"{footprint.qubits} qubits, {resource.name} has room for {most}",
            where=where,
            hint="Choose a larger resource, or use fewer qubits.",
        )


def compilable(used: Collection[str], known: Collection[str]) -> bool:
    """Whether these names tell that a program fits, or can be made to, where ``known`` is carried
    out. What they do not tell (Clifford gates alone, or control flow that is unknown) its
    compiler does: ``t`` and then ``tdg`` fits anything."""
    beyond = set(used).difference(known, _FREE)
    universal = not (CLIFFORD | CONTROL_FLOW).issuperset(known)
    return not beyond or (universal and beyond.isdisjoint(CONTROL_FLOW))


def _check_gates(where: str, used: Sequence[str], known: Sequence[str], resource: str) -> None:
    unknown = sorted(set(used) - set(known) - _FREE)
    if unknown:
        raise ResourceMismatch(
            f"{resource} does not carry out {_some(unknown)}",
            where=where,
            hint="Leave `compile` on, or use the gates that the resource lists.",
        )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (" …" if len(names) > 10 else "")


def _with_defaults(pub: Pub, kind: JobKind, options: Options, able: Capabilities) -> Pub:
    if kind is JobKind.ESTIMATE:
        if pub.precision is not None:
            return pub
        return replace(pub, precision=default_precision(options, able))
    if pub.shots is not None:
        return pub
    return replace(pub, shots=default_shots(options, able))


def default_shots(options: Options, able: Capabilities) -> int:
    """Shots of a pub that names none: the job's, else the resource's."""
    return able.default_shots if options.shots is None else options.shots


def default_precision(options: Options, able: Capabilities) -> float:
    """Standard error of a pub that names none: the job's, or that of its shots; else exact on a
    simulator, and that of the default shots on a device."""
    if options.precision is not None:
        return options.precision
    if options.shots is not None:
        return 1 / math.sqrt(options.shots)
    return 0.0 if able.simulator else 1 / math.sqrt(able.default_shots)
