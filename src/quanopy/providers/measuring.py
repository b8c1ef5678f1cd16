"""Expectation values by measurement, for vendors that only count.

The Paulis that a parameter set is asked for are sorted into groups that commute qubit by qubit;
each group is one run of the circuit, with its qubits turned into the group's basis and measured.
An observable's value is the mean, and its standard error that of the mean, of what its terms
give shot by shot, so that correlations of terms measured together are accounted for. As in
Qiskit's ``BackendEstimatorV2`` a precision p asks for 1/p² shots a run.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from qiskit import ClassicalRegister, QuantumCircuit
from qiskit.quantum_info import PauliList

from quanopy.codecs.results import PubResult
from quanopy.domain.errors import Invalid
from quanopy.domain.jobs import MOST_SHOTS
from quanopy.providers.circuits import BoundPub, Counted, Run
from quanopy.providers.observables import flattened, letters_on, pairs, places_in

_HALF = math.pi / 2
_TURNS: Sequence[tuple[frozenset[str], Mapping[str, Sequence[tuple[str, tuple[float, ...]]]]]] = (
    (frozenset({"h", "sdg"}), {"X": [("h", ())], "Y": [("sdg", ()), ("h", ())]}),
    (frozenset({"sx", "rz"}), {"X": [("rz", (_HALF,)), ("sx", ())], "Y": [("sx", ())]}),
    (frozenset({"r"}), {"X": [("r", (-_HALF, _HALF))], "Y": [("r", (_HALF, 0.0))]}),
    (frozenset({"rx", "ry"}), {"X": [("ry", (-_HALF,))], "Y": [("rx", (_HALF,))]}),
    (frozenset({"rx", "rz"}), {"X": [("rz", (_HALF,)), ("rx", (_HALF,))], "Y": [("rx", (_HALF,))]}),
)
"""How X and Y are turned into Z, by the gates that it takes."""
_REGISTER = "quanopy_observed"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """Paulis that one run measures."""

    labels: tuple[str, ...]
    basis: Mapping[int, str]
    """The letter that each qubit observables speak of is measured in."""


def measured_runs(one: BoundPub, gates: Sequence[str] | None = None) -> list[Run]:
    """The runs of a pub: parameter set by parameter set, group by group."""
    shots = shots_for(one.pub.precision)
    circuits: dict[_Key, QuantumCircuit] = {}
    runs = []
    for at, groups in enumerate(_groups_by_set(one)):
        for group in groups:
            key = tuple(sorted(group.basis.items()))
            if key not in circuits:
                circuits[key] = _measured(one.circuit, group.basis, gates)
            bound = one.bound(at, circuits[key])
            runs.append(Run(pub=one.place, at=at, circuit=bound, shots=shots))
    return runs


_Key = tuple[tuple[int, str], ...]


def estimated(one: BoundPub, answers: Iterator[Counted]) -> PubResult:
    """A pub's result; takes as many answers as :func:`measured_runs` gave runs."""
    observables, shape = flattened(one.pub.observables)
    at, of = pairs(one.sets, one.shape, shape)
    evs, variances = np.zeros(at.shape), np.zeros(at.shape)
    own = one.circuit.num_clbits
    for index, groups in enumerate(_groups_by_set(one)):
        seen = [_Seen.of(group, next(answers), own) for group in groups]
        for where in np.argwhere(at == index):
            observable = observables[of[tuple(where)]]
            mean, variance = _moments(observable, seen)
            evs[tuple(where)], variances[tuple(where)] = mean, variance
    return {
        "shape": list(at.shape),
        "evs": evs.ravel().tolist(),
        "stds": np.sqrt(variances).ravel().tolist(),
        "precision": one.pub.precision or 0.0,
    }


def shots_for(precision: float | None) -> int:
    """Shots a run that a precision takes; raises :class:`Invalid` for none and for too many."""
    shots = math.ceil(round(1 / precision**2, 6)) if precision else MOST_SHOTS + 1
    if shots > MOST_SHOTS:
        raise Invalid(
            f"a precision of {precision or 0:g} cannot be measured",
            hint="Ask for a larger one: p takes 1/p² shots.",
        )
    return max(1, shots)


def _groups_by_set(one: BoundPub) -> Iterator[Sequence[_Group]]:
    """The groups that each parameter set has to be measured in."""
    observables, shape = flattened(one.pub.observables)
    at, of = pairs(one.sets, one.shape, shape)
    at, of = at.ravel(), of.ravel()
    for index in range(one.sets):
        labels = {label for which in set(of[at == index].tolist()) for label in observables[which]}
        yield _grouped(tuple(sorted(label for label in labels if set(label) - {"I"})))


@lru_cache(maxsize=256)
def _grouped(labels: tuple[str, ...]) -> tuple[_Group, ...]:
    if not labels:
        return ()
    groups = PauliList(list(labels)).group_qubit_wise_commuting()
    return tuple(_group(tuple(group.to_labels())) for group in groups)


def _group(labels: tuple[str, ...]) -> _Group:
    basis: dict[int, str] = {}
    for label in labels:
        basis |= letters_on(label, range(len(label)))
    return _Group(labels=labels, basis=dict(sorted(basis.items())))


def _measured(
    circuit: QuantumCircuit, basis: Mapping[int, str], gates: Sequence[str] | None
) -> QuantumCircuit:
    """The circuit with its qubits turned into a basis and measured, in the basis' order, into
    classical bits after its own."""
    places = places_in(circuit)
    measured = circuit.copy()
    measured.add_register(ClassicalRegister(len(basis), _REGISTER))
    turns = _turns(gates)
    for bit, (qubit, letter) in enumerate(basis.items(), start=circuit.num_clbits):
        for name, angles in turns.get(letter, ()):
            getattr(measured, name)(*angles, places[qubit])
        measured.measure(places[qubit], bit)
    return measured


def _turns(gates: Sequence[str] | None) -> Mapping[str, Sequence[tuple[str, tuple[float, ...]]]]:
    if gates is None:
        return _TURNS[0][1]
    known = frozenset(gates)
    for needed, turns in _TURNS:
        if needed <= known:
            return turns
    raise Invalid(
        f"no way is known to measure in X and Y with {', '.join(sorted(known))}",
        hint="Submit the measured circuits as samples.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What a run of a group gave."""

    labels: frozenset[str]
    signs: NDArray[np.int8]
    """(outcomes, bits): -1 for a one."""
    numbers: NDArray[np.float64]
    column: Mapping[int, int]
    """The bit that each qubit was measured into."""

    @classmethod
    def of(cls, group: _Group, answer: Counted, own: int) -> "_Seen":
        bits = range(own, own + len(group.basis))
        rows = [[1 - 2 * ((value >> bit) & 1) for bit in bits] for value in answer.counts]
        numbers = np.array(list(answer.counts.values()), dtype=np.float64)
        if not numbers.sum() > 0:
            raise Invalid("a run that was to be measured counted nothing")
        return cls(
            labels=frozenset(group.labels),
            signs=np.array(rows, dtype=np.int8).reshape(len(rows), len(group.basis)),
            numbers=numbers,
            column={qubit: bit for bit, qubit in enumerate(group.basis)},
        )

    def term(self, label: str) -> NDArray[np.float64]:
        """A Pauli's value, outcome by outcome."""
        columns = [self.column[qubit] for qubit in letters_on(label, range(len(label)))]
        values: NDArray[np.float64] = self.signs[:, columns].prod(axis=1).astype(np.float64)
        return values


def _moments(observable: Mapping[str, float], seen: Sequence[_Seen]) -> tuple[float, float]:
    """Mean, and variance of the mean, of an observable over the runs of its groups."""
    mean = sum(c for label, c in observable.items() if not set(label) - {"I"})
    variance = 0.0
    for run in seen:
        own = [(label, c) for label, c in observable.items() if label in run.labels]
        if not own:
            continue
        values = sum((run.term(label) * c for label, c in own), np.zeros(len(run.numbers)))
        shots = run.numbers.sum()
        average = float(values @ run.numbers / shots)
        mean += average
        variance += float(((values - average) ** 2) @ run.numbers / shots**2)
    return float(mean), variance
