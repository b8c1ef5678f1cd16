"""Observables of pubs: their Paulis, where these lie on a compiled circuit, their sums."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit

Values = Mapping[str, NDArray[np.float64]]
"""Expectation values by Pauli label, over parameter sets."""


def labels_in(observables: Any) -> tuple[str, ...]:
    """All Pauli labels of a pub's observables, each once, sorted."""
    return tuple(sorted({label for term in _terms(observables) for label in term}))


def _terms(observables: Any) -> Iterable[Mapping[str, float]]:
    if isinstance(observables, Mapping):
        yield observables
    else:
        for one in observables:
            yield from _terms(one)


def flattened(observables: Any) -> tuple[list[Mapping[str, float]], tuple[int, ...]]:
    """A pub's observables in C order, and their shape."""
    if isinstance(observables, Mapping):
        return [observables], ()
    parts = [flattened(one) for one in observables]
    return [term for terms, _ in parts for term in terms], (len(parts), *parts[0][1])


def pairs(
    sets: int, shape: tuple[int, ...], observables: tuple[int, ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Parameter sets of this shape broadcast against observables of that: for each value of the
    result which set, and which observable, it is of."""
    at = np.arange(sets).reshape(shape)
    of = np.arange(int(np.prod(observables, dtype=np.int64))).reshape(observables)
    broadcast = np.broadcast_arrays(at, of)
    return broadcast[0], broadcast[1]


def combined(
    observables: Any, sets: int, shape: tuple[int, ...], values: Values
) -> NDArray[np.float64]:
    """Sums of terms, parameter sets broadcast against observables."""
    flat, own = flattened(observables)
    if not own:
        total = sum(values[label] * coefficient for label, coefficient in flat[0].items())
        return np.broadcast_to(total, (sets,)).reshape(shape)
    at, of = pairs(sets, shape, own)
    evs = np.zeros(at.shape)
    for index, observable in enumerate(flat):
        chosen = of == index
        for label, coefficient in observable.items():
            evs[chosen] += values[label][at[chosen]] * coefficient
    return evs


def letters_on(label: str, places: Sequence[int]) -> dict[int, str]:
    """A label's letters other than I, by the qubit that each has come to lie on."""
    return {places[i]: letter for i, letter in enumerate(reversed(label)) if letter != "I"}


def places_in(circuit: QuantumCircuit) -> Sequence[int]:
    """Where each qubit that observables speak of has come to lie when the circuit ends."""
    if circuit.layout is None:
        return range(circuit.num_qubits)
    places: list[int] = circuit.layout.final_index_layout(filter_ancillas=True)
    return places
