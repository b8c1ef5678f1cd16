"""Works as a vQPU takes them, and its answers as outcomes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from qiskit import QuantumCircuit

from quanopy.codecs.results import encode_result
from quanopy.codecs.vqpu import MOST_INSTRUCTIONS, Instruction, encode
from quanopy.domain.errors import Invalid, Rejected, TaskFailed
from quanopy.domain.resources import Capabilities
from quanopy.ports.providers import Outcome, Work
from quanopy.providers.circuits import Counted, Run, final_measurements
from quanopy.providers.runs import results_of, runs_of

_DEFAULT = Capabilities().default_shots ** -0.5
_ANYHOW = 1 << 20
"""Bytes of a result that has hardly an outcome, with errors in place of some."""
_BIT, _OUTCOME = 4, 64
"""Bytes of a bit of a shot, and of an outcome with how often it was seen, beside its digits."""


def circuits_of(work: Work, gates: Sequence[str]) -> list[dict[str, Any]]:
    """The circuits of a work as JSON; raises :class:`Invalid` for one that cannot be said so."""
    known = frozenset(gates)
    return [_circuit(run, known) for run in runs_of(_measurable(work), gates=gates)]


def _measurable(work: Work) -> Work:
    """With a precision that can be measured: 0, a simulator's default, is that of the shots that
    are taken where none are named."""
    pubs = [pub if pub.precision != 0.0 else replace(pub, precision=_DEFAULT) for pub in work.pubs]
    return replace(work, pubs=pubs)


def _circuit(run: Run, gates: frozenset[str]) -> dict[str, Any]:
    where = f"pubs[{run.pub}]"
    pairs = _pairs(run.circuit)
    if not pairs:
        raise Invalid("it measures nothing", where=where)
    instructions = list(_instructions(run.circuit, gates, where))
    return {"circuit": encode(instructions), "measure": pairs, "shots": run.shots}


def _pairs(circuit: QuantumCircuit) -> list[list[int]]:
    """Qubits and the bits they are read into: the measured bits in their order, with no gaps."""
    measured = final_measurements(circuit)
    return [[measured[clbit], bit] for bit, clbit in enumerate(sorted(measured))]


def _instructions(circuit: QuantumCircuit, gates: frozenset[str], where: str) -> list[Instruction]:
    if len(circuit.data) > MOST_INSTRUCTIONS:
        raise Invalid(f"more than {MOST_INSTRUCTIONS} instructions", where=where)
    place = {qubit: index for index, qubit in enumerate(circuit.qubits)}
    found: list[Instruction] = []
    for one in circuit.data:
        if one.name in ("measure", "barrier", "delay"):
            continue
        if one.name not in gates:
            raise Invalid(f"{one.name} is no gate of this vQPU", where=where)
        qubits = tuple(place[qubit] for qubit in one.qubits)
        found.append((one.name, qubits, tuple(float(angle) for angle in one.params)))
    return found


class Expected:
    """What the answer to a work has to be like."""

    def __init__(self, work: Work) -> None:
        self._work = _measurable(work)
        self._runs = runs_of(self._work)
        self._bits = [sorted(final_measurements(run.circuit)) for run in self._runs]

    def bytes(self, *, each_shot: bool) -> int:
        """How long its document may be: every bit of every shot, or every outcome once."""
        pairs = zip(self._runs, self._bits, strict=True)
        if each_shot:
            return _ANYHOW + sum(run.shots * _BIT * (1 + len(bits)) for run, bits in pairs)
        return _ANYHOW + sum(
            min(run.shots, 1 << len(bits)) * (_OUTCOME + len(bits) // 4) + _OUTCOME
            for run, bits in pairs
        )

    def outcome(self, answers: Sequence[object], usage: Mapping[str, float]) -> Outcome:
        """The work's outcome from what was answered to each of its circuits: shots by outcome, or
        why there are none. Raises :class:`Rejected` for what is no answer."""
        work, runs = self._work, self._runs
        if len(answers) != len(runs):
            raise Rejected(f"{len(answers)} answers for {len(runs)} circuits")
        for answer in answers:
            if isinstance(answer, str):
                return Outcome(error=TaskFailed(answer), usage=usage)
        counted = [
            _counted(answer, run, bits, keep=work.options.memory)
            for answer, run, bits in zip(answers, runs, self._bits, strict=True)
        ]
        return Outcome(result=encode_result(results_of(work, counted)), usage=usage)


def _counted(answer: object, run: Run, clbits: Sequence[int], *, keep: bool) -> Counted:
    if isinstance(answer, dict):
        found = {_spread(_value(key, len(clbits)), clbits): _number(n) for key, n in answer.items()}
        if sum(found.values()) != run.shots:
            raise Rejected(f"{sum(found.values())} outcomes of {run.shots} shots")
        return Counted(counts=found)
    shots = _shots(answer, run.shots, len(clbits))
    values = [_spread(value, clbits) for value in shots]
    counts: dict[int, int] = {}
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    return Counted(counts=counts, memory=values if keep else None)


def _shots(answer: object, shots: int, bits: int) -> list[int]:
    if not isinstance(answer, list) or len(answer) != shots:
        raise Rejected(f"no answer of {shots} shots")
    return [_row(row, bits) for row in answer]


def _row(row: object, bits: int) -> int:
    if not isinstance(row, list) or len(row) != bits:
        raise Rejected(f"a shot is not of {bits} bits")
    if any(bit not in (0, 1) or isinstance(bit, float) for bit in row):
        raise Rejected("a shot has what is no bit")
    return sum(int(bit) << index for index, bit in enumerate(row))


def _value(key: object, bits: int) -> int:
    try:
        value = int(str(key)[: bits + 3], 16)
    except ValueError:
        raise Rejected(f"{str(key)[:40]!r} is no outcome") from None
    if not 0 <= value < 1 << bits:
        raise Rejected(f"{str(key)[:40]!r} is no outcome of {bits} bits")
    return value


def _number(number: object) -> int:
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise Rejected(f"{str(number)[:40]} is no number of shots")
    return number


def _spread(value: int, clbits: Sequence[int]) -> int:
    """An outcome over the measured bits, as one over all bits of the circuit."""
    if not clbits or clbits[-1] == len(clbits) - 1:
        return value
    return sum(((value >> bit) & 1) << clbit for bit, clbit in enumerate(clbits))
