"""What providers of gate-model machines share: works as bound circuits, and counts as results.

A vendor is given one bound circuit a run and answers with what it counted. :func:`runs_of` takes
a work apart, :func:`results_of` puts the answers together again, in a process that may know
nothing but the work. Expectation values are measured, see :mod:`quanopy.providers.measuring`.
"""

from collections.abc import Iterator, Mapping, Sequence

from quanopy.codecs.results import PubResult
from quanopy.domain.errors import Invalid
from quanopy.domain.jobs import JobKind
from quanopy.ports.providers import Work
from quanopy.providers.circuits import (
    BoundPub,
    Counted,
    Run,
    bound_pubs,
    placed,
    positions_of,
    registers_of,
)
from quanopy.providers.measuring import estimated, measured_runs


def runs_of(work: Work, *, gates: Sequence[str] | None = None) -> list[Run]:
    """What has to be run, in the order in which :func:`results_of` expects the answers.

    ``gates`` are those that may be added to measure in another basis; ``None``: any.
    Raises :class:`Invalid` for expectation values that are to be exact.
    """
    if work.kind is JobKind.ESTIMATE:
        return [run for one in bound_pubs(work) for run in measured_runs(one, gates)]
    return [
        Run(pub=one.place, at=at, circuit=one.bound(at), shots=one.pub.shots or 1)
        for one in bound_pubs(work)
        for at in range(one.sets)
    ]


def results_of(work: Work, answers: Sequence[Counted]) -> list[PubResult]:
    """The result of each pub from the answers to :func:`runs_of`, in its order.

    Raises :class:`Invalid` where there are more or fewer answers than runs.
    """
    remaining = iter(answers)
    try:
        results = [_result(work, one, remaining) for one in bound_pubs(work)]
    except StopIteration:
        raise Invalid(f"{len(answers)} answers are too few for what was run") from None
    left = sum(1 for _ in remaining)
    if left:
        raise Invalid(f"{len(answers)} answers are {left} more than what was run")
    return results


def _result(work: Work, one: BoundPub, remaining: Iterator[Counted]) -> PubResult:
    if work.kind is JobKind.ESTIMATE:
        return estimated(one, remaining)
    answers = [next(remaining) for _ in range(one.sets)]
    positions = positions_of(one.circuit)
    result: PubResult = {
        "shape": list(one.shape),
        "shots": one.pub.shots or 1,
        "registers": registers_of(one.circuit),
        "counts": [_counts(answer.counts, positions) for answer in answers],
    }
    if work.options.memory and all(answer.memory is not None for answer in answers):
        result["memory"] = [
            [hex(placed(value, positions)) for value in answer.memory or ()] for answer in answers
        ]
    return result


def _counts(counts: Mapping[int, int], positions: Sequence[int] | None) -> dict[str, int]:
    total: dict[str, int] = {}
    for value, number in counts.items():
        key = hex(placed(value, positions))
        total[key] = total.get(key, 0) + number
    return total
