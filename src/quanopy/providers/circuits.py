"""What providers of gate-model machines share: works as bound circuits, and counts as results.

A vendor is given one bound circuit a run and answers with what it counted. :func:`runs_of` takes
a work apart, :func:`results_of` puts the answers together again, in a process that may know
nothing but the work. Expectation values are measured, see :mod:`quanopy.providers.measuring`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit

from quanopy.codecs.arrays import decode_array
from quanopy.codecs.results import PubResult
from quanopy.domain.errors import Invalid, QuanopyError
from quanopy.domain.jobs import JobKind, Pub
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


def runs_of(work: Work, *, gates: Sequence[str] | None = None) -> list[Run]:
    """What has to be run, in the order in which :func:`results_of` expects the answers.

    ``gates`` are those that may be added to measure in another basis; ``None``: any.
    Raises :class:`Invalid` for expectation values that are to be exact.
    """
    if work.kind is JobKind.ESTIMATE:
        from quanopy.providers.measuring import measured_runs

        return [run for one in bound_pubs(work) for run in measured_runs(one, gates)]
    return [
        Run(pub=one.place, at=at, circuit=one.bound(at), shots=one.pub.shots or 1)
        for one in bound_pubs(work)
        for at in range(one.sets)
    ]


def results_of(work: Work, answers: Sequence[Counted]) -> list[PubResult]:
    """The result of each pub from the answers to :func:`runs_of`, in its order.

    Raises :class:`Invalid` where there are more or fewer answers than runs.
    """
    remaining = iter(answers)
    try:
        results = [_result(work, one, remaining) for one in bound_pubs(work)]
    except StopIteration:
        raise Invalid(f"{len(answers)} answers are too few for what was run") from None
    left = sum(1 for _ in remaining)
    if left:
        raise Invalid(f"{len(answers)} answers are {left} more than what was run")
    return results


def _result(work: Work, one: BoundPub, remaining: Iterator[Counted]) -> PubResult:
    if work.kind is JobKind.ESTIMATE:
        from quanopy.providers.measuring import estimated

        return estimated(one, remaining)
    answers = [next(remaining) for _ in range(one.sets)]
    positions = positions_of(one.circuit)
    result: PubResult = {
        "shape": list(one.shape),
        "shots": one.pub.shots or 1,
        "registers": registers_of(one.circuit),
        "counts": [_counts(answer.counts, positions) for answer in answers],
    }
    if work.options.memory and all(answer.memory is not None for answer in answers):
        result["memory"] = [
            [hex(placed(value, positions)) for value in answer.memory or ()] for answer in answers
        ]
    return result


def _counts(counts: Mapping[int, int], positions: Sequence[int] | None) -> dict[str, int]:
    total: dict[str, int] = {}
    for value, number in counts.items():
        key = hex(placed(value, positions))
        total[key] = total.get(key, 0) + number
    return total


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
