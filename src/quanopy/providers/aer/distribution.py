"""In a child process: outcomes drawn from exact probabilities, instead of one by one by Aer.

Aer takes some 0.6 µs to draw and count each shot. Where a circuit only measures at its end, and
not many bits, its outcomes follow one multinomial distribution whose probabilities Aer gives at
once; drawing all shots from it is the same experiment at the cost of none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import Clbit, Qubit
from qiskit_aer.library import SaveProbabilities

_MOST_BITS = 12
"""Measured bits up to which the list of all probabilities is short."""
_LABEL = "quanopy_probabilities"
_NOT_PURE = frozenset({"reset", "initialize", "measure"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """A circuit that saves the probabilities of what another one measures at its end."""

    circuit: QuantumCircuit
    keys: Sequence[str]
    """The outcome, in hexadecimal over the registers, that each probability belongs to."""

    def draw(self, data: Any, shots: int, random: np.random.Generator) -> Mapping[str, int]:
        """Counts of so many shots; ``data`` is what Aer saved for one run of ``circuit``."""
        probabilities: NDArray[np.float64] = np.clip(getattr(data, _LABEL), 0.0, None)
        drawn = random.multinomial(shots, probabilities / probabilities.sum())
        counts: dict[str, int] = {}
        for i in np.flatnonzero(drawn).tolist():
            # Two may look alike: bits that no register shows.
            counts[self.keys[i]] = counts.get(self.keys[i], 0) + int(drawn[i])
        return counts


def distribution(circuit: QuantumCircuit, positions: Sequence[int]) -> Distribution | None:
    """How to draw the outcomes of a circuit, or ``None`` where it does more than measure some
    bits at its end. ``positions`` says which classical bit each bit of an outcome shows."""
    final = _final_measurements(circuit)
    if final is None or not 0 < len(final) <= _MOST_BITS:
        return None
    bare = circuit.copy_empty_like()
    for instruction in circuit.data:
        if instruction.name not in ("measure", "barrier"):
            bare._append(instruction)  # the way without checks: it comes from such a circuit
    bare.append(SaveProbabilities(len(final), label=_LABEL), list(final.values()))
    return Distribution(circuit=bare, keys=_keys(list(final), positions))


def _final_measurements(circuit: QuantumCircuit) -> dict[int, int] | None:
    """Qubit by classical bit, if all measurements come last and each has a bit to itself."""
    final: dict[Clbit, Qubit] = {}
    measured: set[Qubit] = set()
    for instruction in circuit.data:
        name = instruction.name
        if name == "barrier":
            continue
        if not measured.isdisjoint(instruction.qubits):
            return None
        if name == "measure":
            if instruction.clbits[0] in final:
                return None
            final[instruction.clbits[0]] = instruction.qubits[0]
            measured.add(instruction.qubits[0])
        elif name in _NOT_PURE or instruction.clbits or instruction.is_control_flow():
            return None
    place = circuit.find_bit
    return {place(clbit).index: place(qubit).index for clbit, qubit in final.items()}


def _keys(clbits: Sequence[int], positions: Sequence[int]) -> list[str]:
    """For each index over these bits (the first the lowest), the outcome as a whole."""
    values = [0]
    for clbit in clbits:
        shown = sum(1 << bit for bit, position in enumerate(positions) if position == clbit)
        values += [value | shown for value in values]
    return [hex(value) for value in values]
