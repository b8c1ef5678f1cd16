"""In a child process: pubs checked against their circuits and put in their normal form."""

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from quanopy.codecs.arrays import decode_array, encode_array
from quanopy.domain.errors import Invalid, QuanopyError, TooLarge
from quanopy.domain.jobs import LEAST_PRECISION, MOST_PRECISION, MOST_SHOTS, JobKind, Pub
from quanopy.sandbox.circuits import CircuitFacts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_EVALUATIONS = 10_000_000
_PAULIS = frozenset("IXYZ")
_PROJECTORS = {
    "0": (("I", 0.5), ("Z", 0.5)),
    "1": (("I", 0.5), ("Z", -0.5)),
    "+": (("I", 0.5), ("X", 0.5)),
    "-": (("I", 0.5), ("X", -0.5)),
    "r": (("I", 0.5), ("Y", 0.5)),
    "l": (("I", 0.5), ("Y", -0.5)),
}
"""Qiskit's letters for projectors, as sums of Paulis."""
_MAX_PROJECTORS = 10
_MAX_NESTING = 64

Observable = dict[str, float]


def normalise(pub: Pub, kind: JobKind, circuit: CircuitFacts) -> tuple[Pub, int]:
    """The pub in its normal form, and how many bound circuits it stands for.

    ``parameters`` become an array of shape ``(..., num_parameters)``, ``observables`` nested
    lists of ``{pauli: coefficient}``. Raises :class:`Invalid` with ``where`` inside the pub.
    """
    _check_amount(pub.shots, pub.precision)
    parameters, shape = _placed("parameters", _parameters, pub.parameters, circuit.parameters)
    observables = None
    if kind is JobKind.ESTIMATE:
        observables = _placed("observables", _observables, pub.observables, circuit.qubits)
        _placed("parameters", _check_broadcast, shape, _shape_of(observables))
    elif pub.observables is not None:
        raise Invalid(
            f"a {kind} job has no observables", where="observables", hint='Use kind "estimate".'
        )
    evaluations = math.prod(shape)
    if evaluations > MAX_EVALUATIONS:
        raise TooLarge(f"{evaluations} parameter sets", where="parameters")
    normal = Pub(
        program=pub.program,
        circuit=pub.circuit,
        parameters=parameters,
        observables=observables,
        shots=pub.shots,
        precision=pub.precision,
    )
    return normal, evaluations


def _placed(where: str, check: Any, *args: Any) -> Any:
    try:
        return check(*args)
    except QuanopyError as error:
        error.where = ".".join(filter(None, (where, error.where)))
        raise


def _check_amount(shots: Any, precision: Any) -> None:
    whole = isinstance(shots, int) and not isinstance(shots, bool)
    if shots is not None and not (whole and 1 <= shots <= MOST_SHOTS):
        raise Invalid(f"shots must be a whole number from 1 to {MOST_SHOTS}", where="shots")
    if precision is None:
        return
    number = isinstance(precision, int | float) and not isinstance(precision, bool)
    if not (number and (precision == 0 or LEAST_PRECISION <= precision <= MOST_PRECISION)):
        raise Invalid(
            f"precision must be 0, or a number from {LEAST_PRECISION:g} to {MOST_PRECISION:g}",
            where="precision",
        )


# -- parameters -------------------------------------------------------------------------------


def _parameters(value: Any, names: tuple[str, ...]) -> tuple[Any, tuple[int, ...]]:
    """The array's JSON form and its leading shape."""
    if value is None or value in ([], {}):
        if names:
            raise Invalid(
                f"the circuit has {len(names)} parameters and none are given",
                hint=f"Give values for {', '.join(names[:5])}{' …' if len(names) > 5 else ''}.",
            )
        return None, ()
    array = _by_name(value, names) if _is_named(value) else _by_position(value, names)
    return encode_array(array), array.shape[:-1]


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and set(value) != {"npy"}


def _by_position(value: Any, names: tuple[str, ...]) -> "NDArray[np.float64]":
    array = decode_array(value)
    if array.ndim and array.shape[-1] == len(names):
        return array
    # As in Qiskit, the last axis may be left out where there is one parameter.
    if len(names) == 1:
        return array[..., None]
    raise Invalid(
        f"an array of shape {array.shape} for a circuit of {len(names)} parameters",
        hint=f"Its last axis must have length {len(names)}.",
    )


def _by_name(value: Mapping[str, Any], names: tuple[str, ...]) -> "NDArray[np.float64]":
    """Qiskit's rules for a mapping: every parameter once, all arrays of one leading shape."""
    import numpy as np
    from qiskit.primitives.containers.bindings_array import BindingsArray

    data = {_key(key, names): decode_array(array) for key, array in value.items()}
    given = list(itertools.chain.from_iterable(data))
    if sorted(given) != sorted(names):
        wrong = sorted(set(given) ^ set(names)) or given
        raise Invalid(
            f"values and parameters do not match at {', '.join(map(repr, wrong[:5]))}"[:300],
            hint=f"The circuit's parameters: {', '.join(names[:20]) or 'none'}."[:300],
        )
    try:
        return np.asarray(BindingsArray(data).as_array(names), dtype=np.float64)
    except ValueError as error:
        raise Invalid(f"the arrays do not go together: {error}"[:300]) from None


def _key(key: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """A parameter's name, a vector's name, or (as in QRMI payloads) a JSON list of names."""
    if key in names:
        return (key,)
    elements = tuple(f"{key}[{index}]" for index in range(len(names)))
    vector = tuple(itertools.takewhile(names.__contains__, elements))
    if vector:
        return vector
    if key.startswith("["):
        try:
            listed = json.loads(key)
        except (ValueError, RecursionError):
            return (key,)
        if isinstance(listed, list) and all(isinstance(name, str) for name in listed):
            return tuple(listed)
    return (key,)


# -- observables ------------------------------------------------------------------------------


def _observables(value: Any, qubits: int, depth: int = 0) -> Any:
    """Nested lists of ``{pauli: coefficient}``."""
    if depth > _MAX_NESTING:
        raise TooLarge(f"lists of observables are nested more than {_MAX_NESTING} deep")
    if value is None or value == []:
        raise Invalid(
            "an estimate needs observables",
            hint='Give a Pauli label such as "ZZ", or a mapping of labels to coefficients.',
        )
    if not isinstance(value, list) or _is_operator(value):
        return _observable(value, qubits)
    nested = [_observables(one, qubits, depth + 1) for one in value]
    if len({_shape_of(one) for one in nested}) > 1:
        raise Invalid("nested lists of observables must be of equal length")
    return nested


def _is_operator(value: Sequence[Any]) -> bool:
    """``[[label, coefficient], …]``, as ``SparsePauliOp.to_list`` gives it."""
    return all(
        isinstance(term, list)
        and len(term) == 2
        and isinstance(term[0], str)
        and not isinstance(term[1], str | list | dict)
        for term in value
    )


def _observable(value: Any, qubits: int) -> Observable:
    if isinstance(value, str):
        terms: Any = [(value, 1.0)]
    elif isinstance(value, dict):
        terms = value.items()
    elif isinstance(value, list):
        terms = value
    else:
        raise Invalid(f"{str(value)[:40]!r} is no observable")
    total: Observable = {}
    for label, coefficient in terms:
        number = _coefficient(coefficient)
        for pauli, factor in _expanded(label, qubits):
            total[pauli] = total.get(pauli, 0.0) + factor * number
    if not total:
        raise Invalid("an observable without terms")
    return total


def _coefficient(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Invalid(f"the coefficient {str(value)[:40]!r} is no real number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise Invalid("a coefficient is NaN or infinite")
    return number


def _expanded(label: str, qubits: int) -> list[tuple[str, float]]:
    if len(label) != qubits:
        raise Invalid(
            f"the label {label[:60]!r} is for {len(label)} qubits, the circuit has {qubits}",
            hint="One letter a qubit, the last for qubit 0.",
        )
    letters = set(label)
    if letters <= _PAULIS:
        return [(label, 1.0)]
    if not letters <= _PAULIS | _PROJECTORS.keys():
        raise Invalid(f"the label {label[:60]!r} has letters other than I, X, Y, Z and 01+-rl")
    if sum(letter in _PROJECTORS for letter in label) > _MAX_PROJECTORS:
        raise TooLarge(f"a label with more than {_MAX_PROJECTORS} projectors")
    parts = [_PROJECTORS.get(letter, ((letter, 1.0),)) for letter in label]
    return [
        ("".join(letter for letter, _ in term), math.prod(factor for _, factor in term))
        for term in itertools.product(*parts)
    ]


def _shape_of(observables: Any) -> tuple[int, ...]:
    if isinstance(observables, dict):
        return ()
    return (len(observables), *_shape_of(observables[0]))


def _check_broadcast(parameters: tuple[int, ...], observables: tuple[int, ...]) -> None:
    pairs = itertools.zip_longest(reversed(parameters), reversed(observables), fillvalue=1)
    if any(a != b and 1 not in (a, b) for a, b in pairs):
        raise Invalid(
            f"parameter sets of shape {parameters} and observables of shape {observables} "
            "cannot be broadcast together",
            hint="Shapes follow NumPy's broadcasting rules.",
        )
