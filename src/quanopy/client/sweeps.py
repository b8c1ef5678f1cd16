"""Sweeps: one circuit at many points, as one job, or as one on each of several resources."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import inf, prod
from typing import Any

from quanopy.client import bulk, drafts
from quanopy.client.choices import chosen
from quanopy.client.drafts import Draft, How
from quanopy.client.handles import Job
from quanopy.client.http import Http
from quanopy.client.points import Combine, points, stacked
from quanopy.client.segmenting import segment
from quanopy.client.sweep_result import SweepResult
from quanopy.domain.errors import Invalid, NotReady
from quanopy.domain.states import JobState


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Points that one job does: from ``start`` up to ``stop``, in C order."""

    resource: str | None
    start: int
    stop: int


class Plan:
    """What is to be run for a sweep, and where."""

    def __init__(
        self,
        circuit: Any,
        values: Any,
        observables: Any = None,
        *,
        combine: Combine | str | None = None,
        shares: Sequence[tuple[str | None, float]] = ((None, 1.0),),
    ) -> None:
        """``shares`` are resources, and how much of the points each takes beside the others.

        Raises :class:`Invalid` for values that are not the circuit's parameters'.
        """
        names = None
        if hasattr(circuit, "parameters"):
            names = [one.name for one in circuit.parameters]
        how = None if combine is None else chosen(Combine, combine, "combine")
        self._circuit = circuit
        self.values = points(values, names, how)
        """Each parameter's value at each point."""
        self.shape: tuple[int, ...] = next(iter(self.values.values())).shape
        self._in_order = names is not None
        self._observables = observables
        self._observed: tuple[int, ...] = ()
        if observables is not None:
            self._observed = (_qiskit_shape if names is not None else _shape_of)(observables)
        self.shares = _shared(prod(self.shape), shares)

    @property
    def sizes(self) -> list[int]:
        """How many points each job does."""
        return [share.stop - share.start for share in self.shares]

    def drafts(self, how: How) -> list[Draft]:
        """A job for each share."""
        return [self._draft(share, how) for share in self.shares]

    def _draft(self, share: Share, how: How) -> Draft:
        part = dict(self.values)
        if len(self.shares) > 1:
            part = {name: array.ravel()[share.start : share.stop] for name, array in part.items()}
        wide = (1,) * len(self._observed)
        part = {name: array.reshape((*array.shape, *wide)) for name, array in part.items()}
        sets: Any = stacked(part) if self._in_order else {n: a.tolist() for n, a in part.items()}
        if self._observables is None:
            return drafts.sample((self._circuit, sets), resource=share.resource, **how)
        pub = (self._circuit, self._observables, sets)
        return drafts.estimate(pub, resource=share.resource, **how)

    def joined(self, parts: Sequence[dict[str, Any] | None]) -> dict[str, Any]:
        """Shares' results as one pub, in the shape of the sweep; what is missing is ``None``, or
        no counts."""
        for part, size in zip(parts, self.sizes, strict=True):
            self._check(part, size)
        known = next((part for part in parts if part is not None), None)
        if known is None:
            raise NotReady("no part of the sweep has a result yet")
        if "counts" in known:
            counts = [
                one
                for part, size in zip(parts, self.sizes, strict=True)
                for one in (part["counts"] if part else [{}] * size)
            ]
            return {**known, "shape": list(self.shape), "counts": counts}
        wide = prod(self._observed)
        joined: dict[str, Any] = {"shape": [*self.shape, *self._observed]}
        for name in ("evs", "stds"):
            joined[name] = [
                one
                for part, size in zip(parts, self.sizes, strict=True)
                for one in (part[name] if part else [None] * size * wide)
            ]
        return joined | {"precision": known.get("precision")}

    def _check(self, part: dict[str, Any] | None, size: int) -> None:
        """Whether a pub is of so many points of this sweep."""
        if part is None:
            return
        numbers = part.get("counts" if self._observables is None else "evs")
        expected = size if self._observables is None else size * prod(self._observed)
        if not isinstance(numbers, list) or len(numbers) != expected:
            raise Invalid(
                f"a job's result is of shape {part.get('shape')}, and not of this sweep",
                where="jobs",
                hint="Attach to a sweep with the arguments it was made with.",
            )


class Sweep:
    """A sweep that the broker works at; its jobs are ones like any other."""

    def __init__(self, http: Http, jobs: Sequence[Job], plan: Plan) -> None:
        """Raises :class:`Invalid` where these are not the jobs of such a sweep."""
        if len(jobs) != len(plan.shares):
            raise Invalid(
                f"{len(jobs)} jobs for a sweep of {len(plan.shares)}",
                where="jobs",
                hint="Attach to a sweep with the arguments it was made with.",
            )
        self._http = http
        self._plan = plan
        self.jobs = tuple(jobs)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the points."""
        return self._plan.shape

    def result(self, timeout: float | None = None, *, partial: bool = False) -> "SweepResult":
        """All of it, in the shape of the sweep; with ``partial``, what is there now.

        Raises:
            TaskFailed: one of its jobs failed; ``where`` says which.
            NotReady: it is not done after ``timeout`` seconds, or (``partial``) there is nothing.
        """
        found = bulk.results(self._http, self.jobs, timeout, partial=partial)
        pubs = [
            one.to_dict()["pubs"][0] if one.state is JobState.COMPLETED else None for one in found
        ]
        ran = [segment(at, job.detail(), None) for at, job in enumerate(self.jobs)]
        plan = self._plan
        return SweepResult(plan.values, plan.joined(pubs), list(zip(ran, plan.sizes, strict=True)))

    def cancel(self) -> None:
        """Ask for the end of all its jobs."""
        bulk.cancelled(self._http, self.jobs)

    def __repr__(self) -> str:
        return f"Sweep(shape={self.shape}, jobs={[job.id for job in self.jobs]})"


def weights_of(
    scatter: Sequence[str] | Mapping[str, float] | None,
    resource: str | None,
    lanes: Callable[[str], int | None],
) -> list[tuple[str | None, float]]:
    """Resources, and how much of a sweep each takes: ``scatter`` says so, or names those that take
    as much as their ``lanes`` are.

    Raises :class:`Invalid` where one ``resource`` is named too, or one twice.
    """
    if scatter is None:
        return [(resource, 1.0)]
    if resource is not None:
        raise Invalid("it names a resource, and some to scatter over", where="scatter")
    if isinstance(scatter, Mapping):
        return list(scatter.items())
    if isinstance(scatter, str) or not isinstance(scatter, Iterable):
        raise Invalid("it names no resources", where="scatter", hint="Give a list of names.")
    names = list(scatter)
    if len(set(names)) < len(names):
        raise Invalid("it names a resource twice", where="scatter")
    return [(name, float(lanes(name) or 1)) for name in names]


def _shared(count: int, shares: Sequence[tuple[str | None, Any]]) -> list[Share]:
    """So many points cut in order, as the shares are; who would get none is left out."""
    weights = [weight for _, weight in shares]
    if not all(isinstance(one, int | float) and 0 <= one < inf for one in weights):
        raise Invalid("a share is no number, or less than none", where="scatter")
    if sum(weights) <= 0:
        raise Invalid("there is nothing to run it on", where="scatter")
    ends = [round(count * part / sum(weights)) for part in accumulate(weights)]
    cuts = zip(shares, pairwise([0, *ends]), strict=True)
    return [
        Share(resource=resource, start=start, stop=stop)
        for (resource, _), (start, stop) in cuts
        if stop > start
    ]


def _shape_of(observables: Any) -> tuple[int, ...]:
    """Shape of observables in their JSON form: nested lists."""
    if not isinstance(observables, list | tuple):
        return ()
    if not observables:
        raise Invalid("there are no observables", where="observables")
    return (len(observables), *_shape_of(observables[0]))


def _qiskit_shape(observables: Any) -> tuple[int, ...]:
    """Shape of what Qiskit's estimators take as observables."""
    from qiskit.primitives.containers.observables_array import ObservablesArray

    try:
        shape: tuple[int, ...] = ObservablesArray.coerce(observables).shape
    except (ValueError, TypeError) as error:
        raise Invalid(str(error), where="observables") from error
    return shape
