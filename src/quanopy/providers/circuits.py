"""Circuits as vendors of gate-model machines run them: bound, and their outcomes' bits in order."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit

from quanopy.codecs.arrays import decode_array
from quanopy.domain.errors import Invalid, QuanopyError
from quanopy.domain.jobs import Pub
from quanopy.ports.providers import Work
from quanopy.sandbox.circuits import load_qpy


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One circuit with every parameter bound."""

    pub: int
    """Place of its pub in the work."""
    at: int
    """Its parameter set, in C order."""
    circuit: QuantumCircuit
    shots: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """A vendor's answer to one run: outcomes as whole numbers, the circuit's first classical bit
    the lowest."""

    counts: Mapping[int, int]
    memory: Sequence[int] | None = None
    """Each shot's outcome in order, where the vendor tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundPub:
    """A pub with its circuit and its parameter sets."""

    pub: Pub
    place: int
    """In the work."""
    circuit: QuantumCircuit
    values: NDArray[np.float64] | None
    """Parameter sets (sets, parameters); ``None`` for a circuit without parameters."""
    shape: tuple[int, ...]

    @property
    def sets(self) -> int:
        """How many bound circuits it stands for."""
        return int(np.prod(self.shape, dtype=np.int64))

    def bound(self, at: int, circuit: QuantumCircuit | None = None) -> QuantumCircuit:
        """The circuit (or another of the same parameters) under one parameter set."""
        chosen = self.circuit if circuit is None else circuit
        return chosen if self.values is None else chosen.assign_parameters(self.values[at])


def bound_pubs(work: Work) -> Iterator[BoundPub]:
    """The pubs of a work with their circuits; each QPY is loaded once."""
    loaded: dict[int, list[QuantumCircuit]] = {}
    for place, pub in enumerate(work.pubs):
        if pub.program not in loaded:
            loaded[pub.program] = load_qpy(work.circuits[pub.program])
        values, shape = parameter_sets(pub, work.first_pub + place)
        yield BoundPub(
            pub=pub,
            place=place,
            circuit=loaded[pub.program][pub.circuit],
            values=values,
            shape=shape,
        )


def parameter_sets(pub: Pub, index: int) -> tuple[NDArray[np.float64] | None, tuple[int, ...]]:
    """A pub's parameter sets, one a row in C order, and their shape; ``index`` is its place in the
    job, for the error."""
    if pub.parameters is None:
        return None, ()
    try:
        array = decode_array(pub.parameters)
    except QuanopyError as error:
        error.where = f"pubs[{index}].parameters"
        raise
    shape = array.shape[:-1]
    if not array.shape[-1]:
        return None, shape
    return np.ascontiguousarray(array.reshape(-1, array.shape[-1])), shape


def registers_of(circuit: QuantumCircuit) -> list[dict[str, Any]]:
    """Name and width of the classical registers."""
    registers = circuit.cregs
    if not registers and circuit.num_clbits:
        return [{"name": "c", "bits": circuit.num_clbits}]
    return [{"name": register.name, "bits": register.size} for register in registers]


def positions_of(circuit: QuantumCircuit) -> list[int] | None:
    """Where each bit of the registers lies among the classical bits; ``None``: just there."""
    bits = [bit for register in circuit.cregs for bit in register]
    found = [circuit.find_bit(bit).index for bit in bits]
    return None if not found or found == list(range(circuit.num_clbits)) else found


def placed(value: int, positions: Sequence[int] | None) -> int:
    """An outcome with the bits of the registers in their order, loose bits left out."""
    if positions is None:
        return value
    return sum(((value >> position) & 1) << bit for bit, position in enumerate(positions))


def final_measurements(circuit: QuantumCircuit) -> dict[int, int]:
    """Which qubit each classical bit is measured from, for vendors that answer qubit by qubit.

    Raises :class:`Invalid` for a circuit that measures a qubit twice or goes on after it did.
    """
    place = circuit.find_bit
    found: dict[int, int] = {}
    done: set[int] = set()
    for one in circuit.data:
        if one.name == "barrier":
            continue
        qubits = [place(qubit).index for qubit in one.qubits]
        if not done.isdisjoint(qubits):
            raise Invalid(
                f"qubit {next(q for q in qubits if q in done)} is used after it was measured",
                hint="Measure at the end, or choose a resource that takes dynamic circuits.",
            )
        if one.name == "measure":
            found[place(one.clbits[0]).index] = qubits[0]
            done.update(qubits)
    return found
