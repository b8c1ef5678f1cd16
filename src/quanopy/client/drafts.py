"""Drafts: jobs put together but not submitted, so that many can go in one request."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from typing import Any, TypedDict, Unpack

from quanopy.client.choices import chosen, several
from quanopy.client.natives import is_native, native_program
from quanopy.client.programs import circuits_in, encode, kind_in, program_of
from quanopy.domain.errors import Invalid, Unsupported
from quanopy.domain.jobs import JobKind
from quanopy.domain.programs import NATIVE, Program
from quanopy.wire.jobs import JobIn, OptionsIn, ProgramIn, PubIn
from quanopy.wire.matching import RequirementsIn
from quanopy.wire.refusals import checked

Circuit = Any
"""A program's :data:`~quanopy.client.programs.Source`, a ``qiskit.QuantumCircuit``, or a vendor's
own program (Braket's, Bloqade's, Pulser's, Perceval's)."""
PubLike = Any
"""A :data:`Circuit`, or a tuple of one with parameter values, observables, shots or precision
as Qiskit's primitives take it, or a ``SamplerPub`` or ``EstimatorPub``."""

_TEXTS = (str, bytes, PathLike, Program)


class How(TypedDict, total=False):
    """How a job is to be compiled and run, and what to call it; all may be left out."""

    shots: int | None
    precision: float | None
    """Wanted standard error of expectation values; 0 is exact, where the resource can."""
    seed: int | None
    compile: bool
    optimization_level: int | None
    seed_transpiler: int | None
    memory: bool
    """Keep each shot's outcome in order."""
    max_calibration_age: float | str | None
    """Run only while the resource's calibration is younger: seconds, or ``2h``; wait for one."""
    max_calibration_wait: float | str | None
    """How long to wait for one."""
    same_calibration_as: Any
    """A job, or its id: run only under the calibration that it ran under."""
    noise: str | None
    """Digest of a calibration's snapshot whose noise is emulated, where the resource can."""
    name: str | None
    tags: Sequence[str]
    priority: int
    after: Any
    """Jobs, or their ids, that have to end before it."""
    on_failure: str | None
    """If one of those does not complete: ``skip`` (default), ``fail`` or ``run``."""
    requires: Mapping[str, Any] | None
    """What its resource must be, where it names none: fields of ``RequirementsIn``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A job put together; ``resource`` ``None`` takes the client's."""

    kind: JobKind
    programs: Sequence[ProgramIn]
    pubs: Sequence[PubIn] | None = None
    resource: str | None = None
    how: How = field(default_factory=lambda: How())

    def to_wire(self, resource: str) -> JobIn:
        """The request; raises :class:`Invalid` for options that cannot be meant."""
        if unknown := self.how.keys() - How.__annotations__.keys():
            known = ", ".join(sorted(How.__annotations__))
            raise Invalid(f"there is no option {min(unknown)!r}", hint=f"Known: {known}.")
        how: dict[str, Any] = {name: v for name, v in self.how.items() if v is not None}
        if "same_calibration_as" in how:
            other = how["same_calibration_as"]
            how["same_calibration_as"] = getattr(other, "id", other)
        fields: dict[str, Any] = {
            "kind": self.kind,
            **self._on(resource, how.pop("requires", None)),
            "programs": list(self.programs),
            **{n: how.pop(n) for n in ("name", "priority", "on_failure") if n in how},
        }
        if "after" in how:
            fields["after"] = [getattr(other, "id", other) for other in several(how.pop("after"))]
        if "tags" in how:
            fields["tags"] = several(how.pop("tags"))
        if self.pubs is not None:
            fields["pubs"] = list(self.pubs)
        return checked(JobIn, fields | {"options": checked(OptionsIn, how, within="options")})

    def _on(self, resource: str, requires: Mapping[str, Any] | None) -> dict[str, Any]:
        """What it runs on, by name or by what that must be."""
        if requires is None:
            return {"resource": self.resource or resource}
        if self.resource is not None:
            raise Invalid(
                "the job names a resource and asks for one", where="requires", hint="Give one."
            )
        return {"requires": checked(RequirementsIn, requires, within="requires")}


def sample(pubs: PubLike, *, resource: str | None = None, **how: Unpack[How]) -> Draft:
    """Counts of measured bitstrings, of one pub or circuit or of many."""
    return _primitive(JobKind.SAMPLE, pubs, resource, how)


def estimate(pubs: PubLike, *, resource: str | None = None, **how: Unpack[How]) -> Draft:
    """Expectation values, of one pub ``(circuit, observables, …)`` or of many."""
    return _primitive(JobKind.ESTIMATE, pubs, resource, how)


def programs(
    sources: Circuit | Iterable[Circuit],
    *,
    kind: JobKind | str | None = None,
    resource: str | None = None,
    **how: Unpack[How],
) -> Draft:
    """Whole programs, one or many: text, paths, bytes, circuits, or programs of vendors' packages.

    ``kind`` is by default what a QRMI payload says, ``run`` for a vendor's own programs, else
    ``sample``.
    """
    listed = [native_program(one) if is_native(one) else one for one in _listed(sources)]
    texts = [program_of(source) for source in listed if isinstance(source, _TEXTS)]
    circuits = [source for source in listed if not isinstance(source, _TEXTS)]
    if texts and circuits:
        raise Invalid("circuits and other programs in one job", hint="Submit them as two jobs.")
    found = texts or ([_packed(circuits)] if circuits else [])
    stated = {said for program in texts if (said := kind_in(program))}
    if len(stated) > 1:
        raise Invalid("sampler and estimator payloads in one job", hint="Submit them as two jobs.")
    if any(program.format in NATIVE for program in texts):
        stated.add(JobKind.RUN)
    if len(stated) > 1:
        raise Invalid(
            "a payload and a vendor's program in one job", hint="Submit them as two jobs."
        )
    asked = chosen(JobKind, kind, "kind") if kind else next(iter(stated), JobKind.SAMPLE)
    if stated - {asked, JobKind.RUN} and asked is not JobKind.RUN:
        raise Invalid(f"the payload asks for {stated.pop()}, not {asked}", where="kind")
    return Draft(kind=asked, programs=[encode(p) for p in found], resource=resource, how=how)


def drafted(
    what: Draft | Circuit | Iterable[Circuit],
    *,
    kind: JobKind | str | None = None,
    resource: str | None = None,
    **how: Unpack[How],
) -> Draft:
    """A draft as it is, on ``resource`` if it names none; or one of whole programs.

    Raises :class:`Invalid` for options beside a draft, which has its own.
    """
    if not isinstance(what, Draft):
        return programs(what, kind=kind, resource=resource, **how)
    beside = [name for name, value in {"kind": kind, **how}.items() if value is not None]
    if what.resource is not None and resource not in (None, what.resource):
        beside.append("resource")
    if beside:
        raise Invalid(
            "the draft says this itself", where=beside[0], hint="Say it where the draft is made."
        )
    return replace(what, resource=what.resource or resource)


def drafted_each(jobs: Iterable[Draft | Circuit]) -> list[Draft]:
    """A draft for each of these: drafts, or programs, of which each is a job."""
    if isinstance(jobs, (*_TEXTS, Draft)) or not isinstance(jobs, Iterable):
        raise Invalid(f"{type(jobs).__name__} is no list of jobs", where="jobs")
    return [drafted(one) for one in jobs]


def observed(
    program: Program,
    observables: Sequence[Any],
    *,
    resource: str | None = None,
    **how: Unpack[How],
) -> Draft:
    """An estimate of observables on every circuit of a program; one observable gives a scalar."""
    asked = observables[0] if len(observables) == 1 else list(observables)
    pubs = [PubIn(circuit=index, observables=asked) for index in range(circuits_in(program))]
    return Draft(
        kind=JobKind.ESTIMATE, programs=[encode(program)], pubs=pubs, resource=resource, how=how
    )


def _primitive(kind: JobKind, pubs: PubLike, resource: str | None, how: How) -> Draft:
    listed = _listed(pubs)
    texts = [like for like in listed if isinstance(_circuit(like), _TEXTS)]
    if len(texts) == len(listed):
        return _of_texts(kind, texts, resource, how)
    if texts:
        raise Invalid("circuits and other programs in one job", hint="Submit them as two jobs.")
    from quanopy.client.circuits import pack, to_pubs

    program, encoded = pack(to_pubs(kind, listed), program=0)
    return Draft(kind=kind, programs=[encode(program)], pubs=encoded, resource=resource, how=how)


def _of_texts(kind: JobKind, likes: list[Any], resource: str | None, how: How) -> Draft:
    """Programs that are no Qiskit objects: nothing but the server reads them."""
    found: dict[str, tuple[int, Program]] = {}
    pubs: list[PubIn] = []
    for index, like in enumerate(likes):
        program = program_of(_circuit(like))
        if kind_in(program):
            raise Unsupported("a payload has pubs of its own", hint="Use `Client.submit`.")
        place, _ = found.setdefault(program.digest, (len(found), program))
        asked = _asked(kind, like, index)
        pubs += [
            checked(PubIn, {"program": place, "circuit": circuit, **asked}, within=f"pubs[{index}]")
            for circuit in range(circuits_in(program))
        ]
    return Draft(
        kind=kind,
        programs=[encode(program) for _, program in found.values()],
        pubs=pubs,
        resource=resource,
        how=how,
    )


def _asked(kind: JobKind, like: Any, index: int) -> dict[str, Any]:
    """What a tuple asks of its program, in the order of Qiskit's pubs."""
    names = ["parameters", "shots"]
    if kind is JobKind.ESTIMATE:
        names = ["observables", "parameters", "precision"]
    rest = like[1:] if isinstance(like, tuple) else ()
    if len(rest) > len(names):
        raise Invalid(f"{len(like)} parts", where=f"pubs[{index}]", hint=f"After it: {names}.")
    if kind is JobKind.ESTIMATE and not rest:
        raise Invalid("no observables", where=f"pubs[{index}]", hint="Give (program, observables).")
    return {name: value for name, value in zip(names, rest, strict=False) if value is not None}


def _circuit(like: PubLike) -> Any:
    return like[0] if isinstance(like, tuple) and like else like


def _listed(given: Any) -> list[Any]:
    """One or many, as many. A tuple is one pub; other iterables hold several."""
    single = isinstance(given, (*_TEXTS, tuple)) or is_native(given) or hasattr(given, "circuit")
    if single or hasattr(given, "num_qubits"):
        return [given]
    try:
        listed = list(given)
    except TypeError as error:
        raise Invalid(f"{type(given).__name__} is nothing to run") from error
    if not listed:
        raise Invalid("there is nothing to run", hint="Give at least one circuit or pub.")
    return listed


def _packed(circuits: list[Any]) -> Program:
    from quanopy.client.circuits import pack_circuits

    return pack_circuits(circuits)
