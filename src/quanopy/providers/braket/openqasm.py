"""Circuits in Braket's OpenQASM 3: its names of gates, its pragmas.

Written here, because Amazon's SDK takes more memory than all else that a worker does.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction

from quanopy.domain.errors import Invalid
from quanopy.providers.braket.gates import GATES
from quanopy.providers.circuits import final_measurements

_WRITTEN: Mapping[str, str] = {qiskits: brakets for brakets, qiskits in GATES.items()} | {"u": "U"}
"""Braket's names of Qiskit's gates."""
_BESIDE = frozenset({"barrier", "measure"})
"""What is no gate: barriers told the compiler what it may not move, measurements come last."""


def measured_source(circuit: QuantumCircuit, *, labels: Sequence[int], verbatim: bool) -> str:
    """A bound circuit and its measurements, the lowest classical bit first; ``labels`` are the
    vendor's numbers of its qubits.

    ``verbatim`` has the machine run just these gates on just these qubits. Raises
    :class:`Invalid` for what Braket has not.
    """
    measured = sorted(final_measurements(circuit).items())
    qubits = _Qubits(labels, physical=verbatim)
    gates = list(_gates(circuit, qubits))
    if verbatim:
        gates = ["#pragma braket verbatim", "box{", *gates, "}"]
    last = [f"b[{at}] = measure {qubits.name(qubit)};" for at, (_, qubit) in enumerate(measured)]
    return _program([f"bit[{len(measured)}] b;"], qubits, [*gates, *last])


def expected_source(circuit: QuantumCircuit, observables: Sequence[Mapping[int, str]]) -> str:
    """A bound circuit with the expectation value of each product of Paulis, which are letters by
    qubit. Raises :class:`Invalid` for what Braket has not."""
    qubits = _Qubits(range(circuit.num_qubits), physical=False)
    gates = list(_gates(circuit, qubits))
    products = [
        " @ ".join(f"{letter.lower()}({qubits.name(at)})" for at, letter in letters.items())
        for letters in observables
    ]
    pragmas = [f"#pragma braket result expectation {product}" for product in products]
    return _program([], qubits, [*gates, *pragmas])


class _Qubits:
    """Names of qubits, and the highest of them: those above are left out of the program."""

    def __init__(self, labels: Sequence[int], *, physical: bool) -> None:
        self._labels = labels
        self._physical = physical
        self._size = 0

    def name(self, at: int) -> str:
        """A qubit's, by its place in the circuit."""
        label = self._labels[at]
        self._size = max(self._size, label + 1)
        return f"${label}" if self._physical else f"q[{label}]"

    def declared(self) -> list[str]:
        """The register; physical qubits are there anyway."""
        return [] if self._physical or not self._size else [f"qubit[{self._size}] q;"]


def _program(declared: Sequence[str], qubits: _Qubits, body: Sequence[str]) -> str:
    return "\n".join(["OPENQASM 3.0;", *declared, *qubits.declared(), *body])


def _gates(circuit: QuantumCircuit, qubits: _Qubits) -> Iterator[str]:
    for one in circuit.data:
        if one.name in _BESIDE:
            continue
        if one.name not in _WRITTEN:
            raise Invalid(
                f"Braket has no gate {one.name[:80]}",
                hint="Leave `compile` on, or transpile for the resource's own target first.",
            )
        names = ", ".join(qubits.name(circuit.find_bit(qubit).index) for qubit in one.qubits)
        yield f"{_WRITTEN[one.name]}{_angles(one)} {names};"


def _angles(one: CircuitInstruction) -> str:
    if not one.params:
        return ""
    try:
        angles = [float(param) for param in one.params]
    except TypeError:
        raise Invalid(f"a gate {one.name} has a parameter without a value") from None
    if not all(map(math.isfinite, angles)):
        raise Invalid(f"a gate {one.name} has an angle that is no number")
    return f"({', '.join(map(repr, angles))})"
