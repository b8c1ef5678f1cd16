"""Gradients of expectation values by the parameter-shift rule, as one job."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from quanopy.client import drafts
from quanopy.client.drafts import Draft, How
from quanopy.client.handles import Job
from quanopy.client.results import Result
from quanopy.domain.errors import Invalid, Unsupported

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Gradient:
    """Expectation values and their derivatives at one or many points.

    Arrays have the shape of the points, then that of the observables (nothing for a single one);
    gradients then an axis over :attr:`parameters`.
    """

    parameters: tuple[str, ...]
    """Names, in the order of the gradient's last axis."""
    values: "Values"
    errors: "Values"
    """Standard errors of the values."""
    gradient: "Values"
    gradient_errors: "Values"
    job: Job
    """What was run for it."""


class GradientJob:
    """A gradient that the broker works at; its job is one like any other."""

    def __init__(self, job: Job, plan: "Plan") -> None:
        self.job = job
        self._plan = plan

    @property
    def evaluations(self) -> int:
        """Expectation values of each observable that it takes: of each point two for each gate
        with a parameter, and one."""
        return self._plan.evaluations

    def result(self, timeout: float | None = None) -> Gradient:
        """Values and gradient; raises as :meth:`Job.result`."""
        return self._plan.gradient(self.job, self.job.result(timeout))

    def __repr__(self) -> str:
        return f"GradientJob({self.job.id!r}, {self.evaluations} evaluations)"


class Plan:
    """What is to be run for a gradient, and how its result is read."""

    def __init__(self, circuit: Any, observables: Any, values: Any) -> None:
        """Raises :class:`Unsupported` where a gate has no shift rule, and :class:`Invalid` for
        values that are not the circuit's parameters'."""
        if not hasattr(circuit, "parameters"):
            raise Unsupported(
                f"{type(circuit).__name__} is no circuit to take apart",
                where="circuit",
                hint="Give a qiskit.QuantumCircuit; `qiskit.qasm3.loads` reads OpenQASM.",
            )
        from qiskit.primitives.containers.observables_array import ObservablesArray

        from quanopy.client.points import Combine, points, stacked
        from quanopy.client.shifts import Split

        self._split = Split(circuit)
        self.names = tuple(one.name for one in self._split.parameters)
        at = stacked(points(values, self.names, Combine.ZIP))
        self._shape = at.shape[:-1]
        self._points = at.reshape(-1, len(self.names))
        try:
            self._observables = ObservablesArray.coerce(observables)
        except (ValueError, TypeError) as error:
            raise Invalid(str(error), where="observables") from error

    @property
    def evaluations(self) -> int:
        """Expectation values of each observable."""
        return len(self._points) * (2 * len(self._split.angles) + 1)

    def draft(self, *, resource: str | None, how: How) -> Draft:
        """The job: one pub with an array of all shifted angles."""
        from quanopy.client.shifts import shifted

        angles, _ = self._split.at(self._points)
        array = shifted(angles)
        array = array.reshape(*array.shape[:2], *(1,) * self._observables.ndim, array.shape[-1])
        pub = (self._split.circuit, self._observables, array)
        return drafts.estimate(pub, resource=resource, **how)

    def gradient(self, job: Job, result: Result[Any]) -> Gradient:
        """What the result of such a job says."""
        import numpy as np

        from quanopy.client.shifts import derivative

        (pub,) = result
        count, wide = len(self._points), 2 * len(self._split.angles) + 1
        evs, stds = (
            np.array(one).reshape(count, wide, -1) for one in (pub.flat_evs, pub.flat_stds)
        )
        _, slopes = self._split.at(self._points)
        gradient, errors = derivative(evs, stds, slopes)
        shape = (*self._shape, *self._observables.shape)
        return Gradient(
            parameters=self.names,
            values=evs[:, 0].reshape(shape),
            errors=stds[:, 0].reshape(shape),
            gradient=gradient.reshape(*shape, len(self.names)),
            gradient_errors=errors.reshape(*shape, len(self.names)),
            job=job,
        )
