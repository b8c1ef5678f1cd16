"""Circuits as virtual QPUs take them: a line an instruction, ``Rx(q[0],1.57)``, ``CZ(q[0],q[1])``.

Names are Qiskit's in any case (``Rx`` is ``rx``); qubits come first, then angles in radians.
"""

import math
import re
from collections.abc import Iterable, Sequence

from quanopy.domain.errors import Invalid, TooLarge

MOST_INSTRUCTIONS = 1_000_000
MOST_CIRCUITS = 1_000
"""Circuits that one submission takes."""
SHOTS = 100_000
"""What a vQPU takes of a circuit at once that does not say, or has not said yet."""
MOST_SHOTS = 100_000_000
"""What all submissions of a job take together."""
LANES_FOR_EACH = 4
"""Executions that may be at a vQPU for each of its lanes: the next ones are there already when one
has ended, which is seen only when it is next polled."""
NOT_GATES = frozenset({"measure", "reset", "delay", "barrier"})
"""Instructions of a target that are none of its gates."""
LONGEST_LINE = 400
_LINE = re.compile(r"\s*([A-Za-z][A-Za-z0-9_]{0,39})\s*\(([^()]*)\)\s*;?\s*")
_QUBIT = re.compile(r"q\s*\[\s*([0-9]{1,6})\s*\]")
_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?")
_ALIASES = {"cnot": "cx", "toffoli": "ccx"}

Instruction = tuple[str, tuple[int, ...], tuple[float, ...]]
"""Qiskit's name of a gate, its qubits, its angles."""


def shown(gate: str) -> str:
    """A gate's name as vQPUs write it: ``Rx``, ``CZ``."""
    return gate.capitalize() if gate in ("rx", "ry", "rz") else gate.upper()


def known(name: str) -> str:
    """Qiskit's name of a gate that a vQPU names."""
    lower = name.lower()
    return _ALIASES.get(lower, lower)


def encode(instructions: Iterable[Instruction]) -> list[str]:
    """A line an instruction; floats so that they read back as the same."""
    return [
        f"{shown(gate)}({','.join([*(f'q[{q}]' for q in qubits), *map(repr, angles)])})"
        for gate, qubits, angles in instructions
    ]


def decode(lines: Sequence[object], *, where: str = "circuit") -> list[Instruction]:
    """What the lines say; raises :class:`Invalid` that names the first bad one."""
    if len(lines) > MOST_INSTRUCTIONS:
        raise TooLarge(f"{len(lines)} instructions, at most {MOST_INSTRUCTIONS}", where=where)
    return [_instruction(line, f"{where}[{index}]") for index, line in enumerate(lines)]


def _instruction(line: object, where: str) -> Instruction:
    if not isinstance(line, str) or len(line) > LONGEST_LINE:
        raise Invalid("an instruction is a short text", where=where, hint="Write Rx(q[0],1.57).")
    found = _LINE.fullmatch(line)
    if found is None:
        raise Invalid(f"{line[:60]!r} is no instruction", where=where, hint="Write Rx(q[0],1.57).")
    qubits: list[int] = []
    angles: list[float] = []
    for part in found[2].split(",") if found[2].strip() else ():
        text = part.strip()
        if (qubit := _QUBIT.fullmatch(text)) is not None and not angles:
            qubits.append(int(qubit[1]))
        elif _NUMBER.fullmatch(text) is not None and math.isfinite(float(text)):
            angles.append(float(text))
        else:
            raise Invalid(
                f"{text[:40]!r} is neither a qubit nor an angle",
                where=where,
                hint="Qubits q[0], q[1] … come first, then angles in radians.",
            )
    if not qubits or len(set(qubits)) != len(qubits):
        raise Invalid(f"{line[:60]!r} acts on no qubit, or on one twice", where=where)
    return known(found[1]), tuple(qubits), tuple(angles)
