"""In a child process: jobs read, one after another, each within a limit of processor time."""

import signal
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from quanopy.codecs.qrmi import parse_payload
from quanopy.domain.errors import Invalid, QuanopyError, TooLarge
from quanopy.domain.jobs import JobKind, JobSpec, Pub, Reading
from quanopy.domain.programs import CIRCUITS, QRMI_PAYLOAD, Program
from quanopy.sandbox.circuits import CircuitFacts, ProgramFacts, describe, load, read_program
from quanopy.sandbox.native import read_native
from quanopy.sandbox.pubs import normalise
from quanopy.sandbox.scan import parse_format, scan

T = TypeVar("T")
P = ParamSpec("P")

_BASE_CPU_S = 1.0
_CPU_S_PER_BYTE = 1 / 16_384
_KEPT_BYTES = 64 * 1024 * 1024


def read_jobs(specs: Sequence[JobSpec]) -> list[Reading | QuanopyError]:
    """Read these jobs; one answer each. What never comes back is killed by the kernel's timer,
    and this process with it: its exit code says so."""
    return [_read_within_limit(spec) for spec in specs]


def cpu_limit_s(spec: JobSpec) -> float:
    """Seconds of processor time that reading a job may take."""
    return _BASE_CPU_S + _CPU_S_PER_BYTE * sum(len(program.data) for program in spec.programs)


def _read_within_limit(spec: JobSpec) -> Reading | QuanopyError:
    # SIGPROF is left at its default: no Python code needs to run for it to end a hang.
    signal.setitimer(signal.ITIMER_PROF, cpu_limit_s(spec))
    try:
        return read_job(spec)
    except QuanopyError as error:
        return error
    except MemoryError:
        return TooLarge("the programs need more memory to read than is allowed")
    except RecursionError:
        return TooLarge("the programs are nested too deeply", hint="Flatten them.")
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # noqa: BLE001 - native panics too: this job's answer
        return Invalid(f"the programs cannot be read: {type(error).__name__}: {error}"[:400])
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Material:
    """A job's programs, read, with the pubs to check; a payload brings both."""

    kind: JobKind
    programs: Sequence[ProgramFacts]
    pubs: Sequence[Pub]
    places: str = "pubs[{}]"


def read_job(spec: JobSpec) -> Reading:
    """Read one job; raises what is wrong with it."""
    native = {name for one in spec.programs if (name := _name(one)) not in CIRCUITS}
    if native:
        return _read_native_job(spec, native)
    material = _material(spec)
    pubs, evaluations = [], []
    for index, pub in enumerate(material.pubs):
        try:
            normal, count = normalise(pub, material.kind, _circuit(pub, material.programs))
        except QuanopyError as error:
            error.where = ".".join(filter(None, (material.places.format(index), error.where)))
            raise
        pubs.append(normal)
        evaluations.append(count)
    return Reading(
        kind=material.kind,
        circuits=tuple(program.circuits for program in material.programs),
        footprints=tuple(program.footprint for program in material.programs),
        pubs=tuple(pubs),
        evaluations=tuple(evaluations),
    )


def _name(program: Program) -> str:
    return parse_format(program.format).name


def _read_native_job(spec: JobSpec, names: set[str]) -> Reading:
    """A job of programs that run as they stand: all of one format, each with its shots alone."""
    if len(names) > 1 or len({_name(program) for program in spec.programs}) > 1:
        raise Invalid(
            "programs of different formats in one job",
            where="programs",
            hint="Only circuits may be mixed; send each format as a job of its own.",
        )
    (name,) = names
    footprints = [
        _placed(f"programs[{index}]", read_native, program, name)
        for index, program in enumerate(spec.programs)
    ]
    pubs = spec.pubs or [Pub(program=index) for index in range(len(spec.programs))]
    for index, pub in enumerate(pubs):
        if not 0 <= pub.program < len(spec.programs) or pub.circuit:
            raise Invalid("there is no such program", where=f"pubs[{index}].program")
        if (pub.parameters, pub.observables, pub.precision) != (None, None, None):
            raise Invalid(
                f"a {name} program takes shots alone",
                where=f"pubs[{index}]",
                hint="Bind parameters before you submit it.",
            )
    return Reading(
        kind=spec.kind,
        circuits=tuple(program.data for program in spec.programs),
        footprints=tuple(footprints),
        pubs=tuple(pubs),
        evaluations=(1,) * len(pubs),
    )


def _circuit(pub: Pub, programs: Sequence[ProgramFacts]) -> CircuitFacts:
    if not 0 <= pub.program < len(programs):
        raise Invalid(f"there is no program {pub.program}", where="program")
    facts = programs[pub.program].facts
    if not 0 <= pub.circuit < len(facts):
        raise Invalid(
            f"program {pub.program} has no circuit {pub.circuit}",
            where="circuit",
            hint=f"It has {len(facts)}, counted from 0.",
        )
    return facts[pub.circuit]


def _material(spec: JobSpec) -> _Material:
    if any(parse_format(program.format).name == QRMI_PAYLOAD for program in spec.programs):
        return _payload_material(spec)
    programs = [
        _read_placed(program, f"programs[{index}]") for index, program in enumerate(spec.programs)
    ]
    pubs = spec.pubs
    if pubs is None:
        pubs = [
            Pub(program=program, circuit=circuit)
            for program, facts in enumerate(programs)
            for circuit in range(len(facts.facts))
        ]
    if not pubs:
        raise Invalid("no pubs", where="pubs", hint="Leave them out, or give at least one.")
    return _Material(kind=spec.kind, programs=programs, pubs=pubs)


def _payload_material(spec: JobSpec) -> _Material:
    if len(spec.programs) > 1 or spec.pubs is not None:
        raise Invalid(
            "a QRMI payload is a job's only program and brings its own pubs",
            where="programs",
            hint="Send each payload as a job of its own, without pubs.",
        )
    payload = _placed("programs[0]", parse_payload, spec.programs[0].data)
    circuits = []
    for index, program in enumerate(payload.circuits):
        _placed(f"programs[0].circuit {index}", scan, program)
        found = _placed(f"programs[0].circuit {index}", load, program)
        if len(found) != 1:
            raise Invalid("a pub has one circuit", where=f"programs[0].circuit {index}")
        circuits += found
    pubs = [
        Pub(
            circuit=pub.circuit,
            parameters=pub.parameters,
            observables=pub.observables,
            shots=_first(pub.shots, spec.options.shots, payload.default_shots),
            precision=_first(pub.precision, spec.options.precision, payload.default_precision),
        )
        for pub in payload.pubs
    ]
    return _Material(
        kind=payload.kind,
        programs=[describe(circuits)],
        pubs=pubs,
        places="programs[0].parameters.pubs[{}]",
    )


def _first(*values: T | None) -> T | None:
    return next((value for value in values if value is not None), None)


def _placed(where: str, read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    try:
        return read(*args, **kwargs)
    except QuanopyError as error:
        error.where = ".".join(filter(None, (where, error.where)))
        raise


class _Cache:
    """Programs read lately: many jobs bring the same bytes."""

    def __init__(self) -> None:
        self._facts: OrderedDict[tuple[str, bytes], ProgramFacts] = OrderedDict()
        self._bytes = 0

    def read(self, program: Program) -> ProgramFacts:
        key = (program.format, program.data)
        if key in self._facts:
            self._facts.move_to_end(key)
            return self._facts[key]
        facts = read_program(program)
        self._facts[key] = facts
        self._bytes += len(program.data) + len(facts.circuits)
        while self._bytes > _KEPT_BYTES:
            (_, data), old = self._facts.popitem(last=False)
            self._bytes -= len(data) + len(old.circuits)
        return facts


_cache = _Cache()


def _read_placed(program: Program, where: str) -> ProgramFacts:
    return _placed(where, _cache.read, program)
