"""Gates by the names that Braket and Qiskit have for them."""

from collections.abc import Mapping

_SAME = (
    "x",
    "y",
    "z",
    "s",
    "t",
    "h",
    "swap",
    "iswap",
    "rx",
    "ry",
    "rz",
    "cy",
    "cz",
    "ecr",
    "cswap",
)
GATES: Mapping[str, str] = {
    **dict(zip(_SAME, _SAME, strict=True)),
    "cnot": "cx",
    "ccnot": "ccx",
    "phaseshift": "p",
    "cphaseshift": "cp",
    "prx": "r",
    "si": "sdg",
    "ti": "tdg",
    "v": "sx",
    "vi": "sxdg",
    "i": "id",
    "xx": "rxx",
    "yy": "ryy",
    "zz": "rzz",
}
"""Qiskit's names of Braket's gates."""
ANGLES = dict.fromkeys(("p", "cp", "rx", "ry", "rz", "rxx", "ryy", "rzz"), 1) | {"r": 2}
"""How many angles those of them have that have any, by Qiskit's names."""
NATIVE = frozenset({"cz", "cnot", "ecr", "iswap", "swap", "prx", "rz", "h", "x", "v"})
"""Native gates that are Qiskit's own and take any angle: sets of these are compiled for here."""
PAIRED = frozenset({"cx", "cz", "ecr", "iswap", "swap"})
"""Native gates on two qubits, by Qiskit's names."""
