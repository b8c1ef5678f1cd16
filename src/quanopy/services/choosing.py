"""Choosing a resource by what a job asks for: every resource fits, or it is said why not."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from quanopy.codecs.targets import instruction_names
from quanopy.domain.durations import duration_text
from quanopy.domain.errors import QuanopyError, ResourceMismatch, Unsupported
from quanopy.domain.requirements import (
    Candidate,
    Choice,
    Need,
    Policy,
    Requirements,
    Shape,
    Verdict,
    outside,
)
from quanopy.domain.resources import Resource
from quanopy.domain.states import ResourceState
from quanopy.services.connectivity import Graph, connections, connects, edges_of

_FREE = frozenset({"barrier", "measure"})
_SOME = 5
Reasons = Iterator[str]
"""Each is a kind, and after a colon the particulars."""


def choose(wanted: Requirements, need: Need, candidates: Sequence[Candidate]) -> Choice:
    """All candidates, the best that fits first, each that does not with the reasons why."""
    rank = _RANKS[wanted.policy]
    verdicts = [
        Verdict(
            candidate=candidate,
            reasons=plain_reasons(wanted, need, candidate)
            or _reasons(_CLOSELY, wanted, need, candidate),
            cost=cost(need, candidate.status.resource),
        )
        for candidate in candidates
    ]
    return Choice(
        policy=wanted.policy,
        verdicts=sorted(verdicts, key=lambda one: (not one.fits, *rank(one), one.name)),
    )


def plain_reasons(wanted: Requirements, need: Need, candidate: Candidate) -> tuple[str, ...]:
    """Why a resource does not fit, without a look at its target and the numbers of its
    calibration: where these are reasons enough, nobody need ask for those."""
    return _reasons(_PLAINLY, wanted, need, candidate)


def cost(need: Need, resource: Resource) -> float | None:
    """What a job of one task costs there; ``None`` where the resource has no price."""
    able = resource.capabilities
    return able.cost(able.default_shots if need.shots is None else need.shots)


def none_fits(choice: Choice, need: Need) -> QuanopyError:
    """The error where none does: how many fall short of what, and each (``rejected``) of what."""
    known = [verdict.candidate.status.resource for verdict in choice.verdicts]
    if not known:
        return ResourceMismatch(
            "there is no resource to choose from", where="requires", hint="Is a worker running?"
        )
    if need.formats and not any(takes(one, need.formats) for one in known):
        return Unsupported(
            f"no resource takes {', '.join(need.formats)} programs",
            where="programs",
            hint=f"Taken are {', '.join(sorted({f for r in known for f in _formats(r)}))}.",
        )
    tally = Counter(
        kind
        for reasons in choice.rejected.values()
        for kind in {reason.partition(":")[0] for reason in reasons}
    )
    most = ", ".join(f"{kind} ({count})" for kind, count in tally.most_common(_SOME))
    error = ResourceMismatch(
        f"none of {len(known)} resources fits: {most}",
        where="requires",
        hint="`quanopy match` shows what each falls short of.",
    )
    error.more = {"rejected": {name: list(why) for name, why in choice.rejected.items()}}
    return error


def takes(resource: Resource, formats: Collection[str]) -> bool:
    """Whether a resource takes programs of all these formats."""
    return set(formats) <= set(_formats(resource))


def _formats(resource: Resource) -> Sequence[str]:
    return resource.capabilities.formats


# -- judging ----------------------------------------------------------------------------------
def _in_service(_: Requirements, __: Need, candidate: Candidate) -> Reasons:
    resource = candidate.status.resource
    if resource.state is not ResourceState.ONLINE:
        yield f"{resource.state}: {resource.reason}" if resource.reason else str(resource.state)
    elif not candidate.status.workers:
        yield "no worker: nobody serves it now"


def _able(_: Requirements, need: Need, candidate: Candidate) -> Reasons:
    resource = candidate.status.resource
    able = resource.capabilities
    if need.kind is not None and need.kind not in able.kinds:
        yield f"kind: it does not do {need.kind}"
    if not takes(resource, need.formats):
        missing = sorted(set(need.formats) - set(able.formats))
        yield f"format: it takes no {', '.join(missing)}"


def _large_enough(wanted: Requirements, need: Need, candidate: Candidate) -> Reasons:
    limits = candidate.status.resource.capabilities.limits
    most = limits.qubits
    asked = max(wanted.qubits or 0, need.qubits)
    if most is not None and need.clifford and limits.clifford_qubits is not None:
        most = max(most, limits.clifford_qubits)
    if most is None and wanted.qubits is not None:
        yield "qubits: not known"
    elif most is not None and asked > most:
        yield f"too few qubits: {most}, {asked} are needed"
    if need.shots is not None and limits.job_shots is not None and need.shots > limits.job_shots:
        yield f"too few shots: {limits.job_shots} at most, {need.shots} are asked for"


def _of_kind(wanted: Requirements, _: Need, candidate: Candidate) -> Reasons:
    able = candidate.status.resource.capabilities
    named = wanted.technology or wanted.max_cost is not None
    if wanted.simulator is not None and able.simulator != wanted.simulator:
        yield f"simulator: it is {'one' if able.simulator else 'hardware'}"
    elif wanted.simulator is None and not able.simulator and not named:
        yield "hardware: it may be billed, and was not asked for"
    if wanted.technology and able.technology not in wanted.technology:
        yield f"technology: {able.technology or 'not known'}"


def _carries_out(wanted: Requirements, need: Need, candidate: Candidate) -> Reasons:
    asked = (set(wanted.gates) | set(need.gates)) - _FREE
    if not asked:
        return
    known = candidate.status.resource.capabilities.gates
    if known is None and candidate.target is None:
        yield "gates: not known"
        return
    there = set(known or ()) | (instruction_names(candidate.target) if candidate.target else set())
    if missing := sorted(asked - there):
        yield f"gates: it has no {', '.join(missing[:_SOME])}"


def _connects(wanted: Requirements, need: Need, candidate: Candidate) -> Reasons:
    if wanted.connectivity is None:
        return
    if candidate.target is None:
        if candidate.status.resource.capabilities.gates is None:
            yield "connectivity: not known"
        return  # Any qubits may carry out the gates that it lists.
    graph = connections(candidate.target)
    if graph is None:
        return
    qubits = max(wanted.qubits or 0, need.qubits)
    if isinstance(wanted.connectivity, Shape) and not _room(wanted.connectivity, qubits, graph):
        yield "connectivity: it has not these connections"
        return
    found = connects(candidate.target, edges_of(wanted.connectivity, qubits))
    if found is None:
        yield "connectivity: not found on it in reasonable time"
    elif not found:
        yield "connectivity: it has not these connections"


def _room(shape: Shape, qubits: int, graph: Graph) -> bool:
    """Whether a shape of so many qubits is worth a search."""
    if shape is Shape.ALL:
        return qubits <= 1 + max(map(len, graph.values()), default=0)
    return qubits <= max(1, len(graph))


def _good_enough(wanted: Requirements, _: Need, candidate: Candidate) -> Reasons:
    error = candidate.two_qubit_error
    if wanted.fidelity is not None:
        if error is None:
            yield "fidelity: not known"
        elif 1 - error < wanted.fidelity:
            yield f"fidelity: {1 - error:.4f}, {wanted.fidelity:g} is needed"
    for wrong in outside(wanted.metrics, candidate.medians):
        yield f"noise: {wrong}"


def _calibrated(wanted: Requirements, _: Need, candidate: Candidate) -> Reasons:
    most, age = wanted.max_calibration_age_s, candidate.calibration_age_s
    if most is None:
        return
    if age is None:
        yield "calibration: its age is not known"
    elif age > most:
        yield f"calibration: {duration_text(age)} old, at most {duration_text(most)} is wanted"


def _soon_enough(wanted: Requirements, _: Need, candidate: Candidate) -> Reasons:
    status = candidate.status
    if wanted.max_queue is not None and status.queued > wanted.max_queue:
        yield f"queue: {status.queued} tasks wait, at most {wanted.max_queue} are wanted"
    if wanted.max_wait_s is not None and status.wait_s > wanted.max_wait_s:
        yield f"wait: {status.wait_s:.1f} s, at most {wanted.max_wait_s:g} s are wanted"


def _cheap_enough(wanted: Requirements, need: Need, candidate: Candidate) -> Reasons:
    if wanted.max_cost is None:
        return
    found = cost(need, candidate.status.resource)
    if found is None:
        yield "cost: not known"
    elif found > wanted.max_cost:
        yield f"cost: {found:.6g}, at most {wanted.max_cost:g} is wanted"


Judge = Callable[[Requirements, Need, Candidate], Reasons]
_PLAINLY: Sequence[Judge] = (
    *(_in_service, _able, _large_enough, _of_kind),
    *(_calibrated, _soon_enough, _cheap_enough),
)
_CLOSELY: Sequence[Judge] = (_carries_out, _good_enough, _connects)


def _reasons(
    judges: Sequence[Judge], wanted: Requirements, need: Need, candidate: Candidate
) -> tuple[str, ...]:
    return tuple(why for judge in judges for why in judge(wanted, need, candidate))


# -- ranking ----------------------------------------------------------------------------------
def _least_busy(one: Verdict) -> tuple[float, ...]:
    status = one.candidate.status
    return (status.wait_s, status.queued + status.active)


def _best_calibrated(one: Verdict) -> tuple[float, ...]:
    error, age = one.candidate.two_qubit_error, one.candidate.calibration_age_s
    return (*_known_first(error), *_known_first(age), *_least_busy(one))


def _cheapest(one: Verdict) -> tuple[float, ...]:
    return (*_known_first(one.cost), *_least_busy(one))


def _known_first(value: float | None) -> tuple[float, float]:
    return (1.0, 0.0) if value is None else (0.0, value)


_RANKS: Mapping[Policy, Callable[[Verdict], tuple[float, ...]]] = {
    Policy.LEAST_BUSY: _least_busy,
    Policy.BEST_CALIBRATED: _best_calibrated,
    Policy.CHEAPEST: _cheapest,
}
