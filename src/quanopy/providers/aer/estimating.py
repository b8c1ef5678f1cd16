"""In a child process: expectation values of many pubs in as few runs of Aer as possible.

The meaning is that of Aer's ``EstimatorV2``: exact expectation values, to which normal noise of
the asked precision is added. Where runs of a circuit differ, their mean is taken, and its own
error goes into the standard error. Pubs of one circuit and the same Paulis, of whatever job, are
bound and evolved together.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.quantum_info import Pauli
from qiskit_aer import AerSimulator
from qiskit_aer.library import SaveExpectationValue

from quanopy.providers.aer.emulator import Emulator
from quanopy.providers.aer.engine import Circuit, experiments, noise_for, simulator
from quanopy.providers.aer.exact import Asked, run_exact
from quanopy.providers.aer.items import Item
from quanopy.providers.observables import Values, combined, labels_in, letters_on

_KEPT = 32
"""Copies of a circuit, each with other Paulis at its end."""
_LEAST_SHOTS = 1024
_EXACT_QUBITS = 11
_MOST_SHOTS = 1_000_000
"""Runs that a circuit is averaged over where runs differ."""
_BATCHES = 32
"""What they are shared among: the spread of the batches' means tells the error of the whole."""


def estimate(items: Sequence[Item], emulator: Emulator) -> None:
    """Run these and set their results. Raises :class:`TaskFailed` if Aer fails for any."""
    exact: list[Item] = []
    groups: dict[tuple[object, ...], list[Item]] = {}
    for item in items:
        if not item.sets or not any(set(label) - {"I"} for label in _paulis(item)):
            # Aer dies of a circuit that is bound to nothing at all.
            item.result = _result(item, {label: np.ones(item.sets) for label in _paulis(item)})
        elif _varies(item.circuit, emulator) or emulator.noisy:
            groups.setdefault(_key(item, emulator), []).append(item)
        else:
            exact.append(item)
    _estimate_exactly(exact, emulator)
    for group in groups.values():
        _estimate_together(group, emulator)


def _estimate_exactly(items: Sequence[Item], emulator: Emulator) -> None:
    asked = []
    for item in items:
        template, values = item.exact
        circuit = _observed(template, _paulis(item), item.circuit.places)
        asked.append(Asked(circuit=circuit, template=template, values=values))
    for item, saved in zip(items, run_exact(asked, emulator), strict=True):
        item.result = _result(item, _collect(saved, _paulis(item)))


def _key(item: Item, emulator: Emulator) -> tuple[object, ...]:
    """What items must have in common to be run together."""
    varies = _varies(item.circuit, emulator)
    alone = id(item) if varies and item.work.options.seed is not None else None
    return (id(item.circuit), _paulis(item), _shots(item) if varies else None, alone)


def _varies(circuit: Circuit, emulator: Emulator) -> bool:
    """Whether a run is one of many that have to be averaged."""
    return circuit.random or (emulator.noisy and _method(circuit, emulator) is None)


def _method(circuit: Circuit, emulator: Emulator) -> str | None:
    """Noise on few qubits is evolved exactly; ``None``: the resource's own method."""
    qubits = len(circuit.active)
    exact = qubits <= _EXACT_QUBITS and 16 << 2 * qubits <= emulator.memory_bytes
    return "density_matrix" if emulator.noisy and exact else None


def _shots(item: Item) -> int:
    precision = item.pub.precision or 0.0
    wanted = math.ceil(1 / precision**2) if precision > 1e-3 else _MOST_SHOTS
    return max(_LEAST_SHOTS, wanted) if precision else _LEAST_SHOTS


def _paulis(item: Item) -> tuple[str, ...]:
    return labels_in(item.pub.observables)


def _estimate_together(items: Sequence[Item], emulator: Emulator) -> None:
    first = items[0]
    values = _expectations(items, _paulis(first), emulator)
    batches = _BATCHES if _varies(first.circuit, emulator) else 1
    start = 0
    for item in items:
        end = start + item.sets * batches
        own = {label: all_[start:end] for label, all_ in values.items()}
        item.result = _result(item, own, batches)
        start = end


def _expectations(items: Sequence[Item], paulis: tuple[str, ...], emulator: Emulator) -> Values:
    """Each Pauli's expectation values over the parameter sets of all these items, in order; where
    runs differ, those of each set's batches side by side."""
    first = items[0]
    circuit = _observed(first.circuit, paulis, first.circuit.places)
    varies = _varies(first.circuit, emulator)
    batches = _BATCHES if varies else 1
    values = sum(item.sets for item in items) * batches
    options = noise_for(emulator, [first.circuit], None)
    run = simulator(emulator, _method(first.circuit, emulator))
    if varies:
        options["shots"] = math.ceil(_shots(first) / batches)
    if varies and first.work.options.seed is not None:
        return _seeded(first, circuit, paulis, run, options)
    if first.values is None:
        # Nothing to bind: one run serves all, save where runs differ.
        runs = values if varies else 1
        return _collect(_saved([circuit] * runs, run, options) * (values // runs), paulis)
    stacked = np.concatenate([item.values for item in items if item.values is not None])
    bound = np.repeat(stacked, batches, axis=0)
    options["parameter_binds"] = [first.circuit.binds(bound)]
    return _collect(_saved([circuit], run, options), paulis)


def _seeded(
    item: Item,
    circuit: QuantumCircuit,
    paulis: tuple[str, ...],
    run: AerSimulator,
    options: Mapping[str, Any],
) -> Values:
    data = []
    for at in range(item.sets):
        own = {**options, "seed_simulator": item.seed(at)}
        if item.values is None:
            data += _saved([circuit] * _BATCHES, run, own)
        else:
            bound = np.repeat(item.values[at : at + 1], _BATCHES, axis=0)
            data += _saved([circuit], run, own | {"parameter_binds": [item.circuit.binds(bound)]})
    return _collect(data, paulis)


def _observed(circuit: Circuit, paulis: tuple[str, ...], places: tuple[int, ...]) -> QuantumCircuit:
    """The circuit with the Paulis saved at its end, where the qubits they speak of have come to
    lie; each on all qubits that anything is done to or asked of: the others, idle ones of a wide
    device, then cost nothing.

    On fewer, Aer 0.18 drops qubits that no save needs and then takes the wrong ones of
    those that are left.
    """
    found = circuit.observed.get((paulis, places))
    if found is None:
        found = circuit.circuit.copy()
        placed = {label: letters_on(label, places) for label in paulis if set(label) - {"I"}}
        qubits = sorted(circuit.active.union(*placed.values()))
        for label, letters in placed.items():
            pauli = Pauli("".join(letters.get(qubit, "I") for qubit in reversed(qubits)))
            found.append(SaveExpectationValue(pauli, label=label), qubits)
        if len(circuit.observed) == _KEPT:
            circuit.observed.clear()
        circuit.observed[paulis, places] = found
    return found


def _saved(
    circuits: Sequence[QuantumCircuit], on: AerSimulator, options: Mapping[str, Any]
) -> list[Any]:
    return [each.data for each in experiments(on, circuits, **options)]


def _collect(data: Sequence[Any], paulis: tuple[str, ...]) -> Values:
    return {
        label: np.array([getattr(each, label) for each in data], dtype=np.float64)
        if set(label) - {"I"}
        else np.ones(len(data))
        for label in paulis
    }


def _result(item: Item, values: Values, batches: int = 1) -> dict[str, Any]:
    evs, errors = _averaged(item, values, batches)
    precision = item.pub.precision or 0.0
    if precision > 0:
        evs = np.random.default_rng(item.seed()).normal(evs, precision, evs.shape)
    return {
        "shape": list(evs.shape),
        "evs": evs.ravel().tolist(),
        "stds": np.hypot(errors, precision).ravel().tolist(),
        "precision": precision,
    }


def _averaged(item: Item, values: Values, batches: int) -> tuple[Any, Any]:
    """Means over the batches of runs, and their standard errors: none where all runs are alike."""
    means = np.stack(
        [
            combined(
                item.pub.observables,
                item.sets,
                item.shape,
                {label: all_[batch::batches] for label, all_ in values.items()},
            )
            for batch in range(batches)
        ]
    )
    if batches == 1:
        return means[0], np.zeros(means[0].shape)
    return means.mean(axis=0), means.std(axis=0, ddof=1) / math.sqrt(batches)
