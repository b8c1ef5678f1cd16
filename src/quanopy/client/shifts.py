"""The parameter-shift rule: a circuit's parameters split up, so that each gate has an angle of its
own, and the derivative of an expectation value put together from values at shifted angles.

For a gate ``exp(-iφP/2)`` with ``P² = 1`` it is exact: ``df/dφ = (f(φ + π/2) - f(φ - π/2)) / 2``
(Mitarai et al., Phys. Rev. A 98, 032309, 2018; Schuld et al., Phys. Rev. A 99, 032331, 2019). What
an angle is of the circuit's own parameters, the chain rule adds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import (
    ControlFlowOp,
    Operation,
    Parameter,
    ParameterExpression,
    ParameterVector,
    QuantumCircuit,
)
from qiskit.circuit.library import (
    PhaseGate,
    RXGate,
    RXXGate,
    RYGate,
    RYYGate,
    RZGate,
    RZXGate,
    RZZGate,
    U1Gate,
    UGate,
)
from qiskit.exceptions import QiskitError

from quanopy.domain.errors import Invalid, Unsupported

Values = NDArray[np.float64]

_SHIFTED = {
    *(RXGate, RYGate, RZGate, RXXGate, RYYGate, RZZGate, RZXGate),
    *(PhaseGate, U1Gate),  # an RZ, but for a global phase
}
_DEEPEST = 50
_HINT = "Write it with RX, RY, RZ, P, RXX, RYY, RZZ, RZX, or gates that are made of these."


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """An operation of the circuit; ``angle`` is that of a gate that is shifted."""

    operation: Operation
    qubits: Sequence[Any]
    clbits: Sequence[Any]
    angle: ParameterExpression | None = None


class Split:
    """A circuit whose gates have an angle each, and what these are of its parameters."""

    def __init__(self, circuit: QuantumCircuit) -> None:
        """Raises :class:`Unsupported` where a parametrised gate has no shift rule,
        :class:`Invalid` where there are no parameters."""
        self.parameters: list[Parameter] = list(circuit.parameters)
        if not self.parameters:
            raise Invalid("the circuit has no parameters", where="circuit")
        steps = [
            step
            for place, instruction in enumerate(circuit.data)
            for step in _steps(
                instruction.operation,
                instruction.qubits,
                instruction.clbits,
                f"circuit.data[{place}]",
            )
        ]
        self.angles = [step.angle for step in steps if step.angle is not None]
        self.circuit = _rebuilt(circuit, steps, len(self.angles))
        slopes = [[_slope(angle, one) for one in self.parameters] for angle in self.angles]
        self._slopes: list[list[Any]] = slopes
        self._linear = all(not _is_open(slope) for row in slopes for slope in row)

    def at(self, points: Values) -> tuple[Values, Values]:
        """Angles at points of shape ``(N, parameters)``, of shape ``(N, angles)``, and their
        derivatives by the parameters, of shape ``(N, angles, parameters)``."""
        zero = np.zeros(len(self.parameters))
        shape = (len(points), len(self.angles), len(self.parameters))
        if self._linear:
            slopes = np.array(self._slopes, dtype=float).reshape(shape[1:])
            angles = points @ slopes.T + np.array([self._angles_at(zero)])
            return angles, np.broadcast_to(slopes, shape)
        each = [self._angles_at(point) for point in points]
        slopes = np.array([self._slopes_at(point) for point in points]).reshape(shape)
        return np.array(each).reshape(shape[:2]), slopes

    def _angles_at(self, point: Values) -> list[float]:
        return [_bound(angle, self.parameters, point) for angle in self.angles]

    def _slopes_at(self, point: Values) -> list[list[float]]:
        return [[_bound(one, self.parameters, point) for one in row] for row in self._slopes]


def shifted(angles: Values) -> Values:
    """Angles of shape ``(N, K)``, then each shifted forward, then each backward: ``(N, 2K + 1,
    K)``."""
    count = angles.shape[1]
    shifts = np.pi / 2 * np.vstack([np.zeros((1, count)), np.eye(count), -np.eye(count)])
    return angles[:, None, :] + shifts


def derivative(evs: Values, stds: Values, slopes: Values) -> tuple[Values, Values]:
    """The gradient and its standard errors, of shape ``(N, observables, parameters)``, from values
    at :func:`shifted` angles, of shape ``(N, 2K + 1, observables)``."""
    count = slopes.shape[1]
    forward, backward = evs[:, 1 : count + 1], evs[:, count + 1 :]
    spread = stds[:, 1 : count + 1] ** 2 + stds[:, count + 1 :] ** 2
    gradient = np.einsum("nkp,nko->nop", slopes, (forward - backward) / 2)
    variance = np.einsum("nkp,nko->nop", slopes**2, spread / 4)
    return gradient, np.sqrt(variance)


def _steps(
    operation: Any, qubits: Sequence[Any], clbits: Sequence[Any], where: str, depth: int = 0
) -> Iterator[Step]:
    """The operation, taken apart as far as its parameters are to be seen."""
    if not _is_parametrised(operation):
        yield Step(operation=operation, qubits=qubits, clbits=clbits)
    elif operation.base_class in _SHIFTED:
        yield Step(operation=operation, qubits=qubits, clbits=clbits, angle=operation.params[0])
    elif operation.base_class is UGate:
        theta, phi, lam = operation.params  # RZ(φ) RY(θ) RZ(λ), but for a global phase
        for gate in (RZGate(lam), RYGate(theta), RZGate(phi)):
            yield from _steps(gate, qubits, clbits, where)
    else:
        inner = _definition(operation, where, depth)
        places = dict(zip(inner.qubits, qubits, strict=True))
        places |= dict(zip(inner.clbits, clbits, strict=True))
        for one in inner.data:
            own = [places[bit] for bit in one.qubits]
            cells = [places[bit] for bit in one.clbits]
            yield from _steps(one.operation, own, cells, where, depth + 1)


def _is_parametrised(operation: Any) -> bool:
    if isinstance(operation, ControlFlowOp):
        return any(block.parameters for block in operation.blocks)
    return any(_is_open(one) for one in getattr(operation, "params", ()))


def _is_open(value: Any) -> bool:
    return isinstance(value, ParameterExpression) and bool(value.parameters)


def _definition(operation: Any, where: str, depth: int) -> QuantumCircuit:
    refused = Unsupported(
        f"the parameters of {operation.name[:60]!r} have no shift rule", where=where, hint=_HINT
    )
    if isinstance(operation, ControlFlowOp) or depth > _DEEPEST:
        raise refused
    try:
        inner = getattr(operation, "definition", None)
    except (QiskitError, TypeError, ValueError) as error:  # it wants numbers
        raise refused from error
    if inner is None:
        raise refused
    return inner


def _rebuilt(circuit: QuantumCircuit, steps: Sequence[Step], count: int) -> QuantumCircuit:
    built = circuit.copy_empty_like()
    built.global_phase = 0
    angles = iter(ParameterVector("gate_angle", count))
    for step in steps:
        operation = step.operation
        if step.angle is not None:
            operation = type(operation)(next(angles))
        built.append(operation, step.qubits, step.clbits, copy=False)
    return built


def _slope(angle: ParameterExpression, parameter: Parameter) -> Any:
    return angle.gradient(parameter) if parameter in angle.parameters else 0.0


def _bound(value: Any, parameters: Sequence[Parameter], point: Values) -> float:
    if not _is_open(value):
        return float(value)
    own = {
        parameter: float(number)
        for parameter, number in zip(parameters, point, strict=True)
        if parameter in value.parameters
    }
    return float(value.bind(own))
