"""Programs: immutable, named by digest; and what a reader found in them."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

OPENQASM2 = "openqasm2"
OPENQASM3 = "openqasm3"
QPY = "qpy"
QRMI_PAYLOAD = "qrmi-payload"
CIRCUITS = (OPENQASM3, OPENQASM2, QPY, QRMI_PAYLOAD)
"""Formats of circuits: they are read, compiled and run on every gate-model resource."""

BRAKET_IR = "braket-ir"
"""``braket.ir.openqasm.program`` or ``braket.ir.jaqcd.program``: JSON with its versioned header."""
BRAKET_AHS = "braket-ahs"
"""``braket.ir.ahs.program``: JSON with its versioned header (analog Hamiltonian simulation)."""
PULSER = "pulser"
"""A Pulser sequence in its abstract representation (JSON)."""
PERCEVAL = "perceval"
"""A Perceval experiment as text that begins with ``:PCVL:``."""
IQM = "iqm"
"""IQM's own JSON of circuits."""
QIR = "qir"
"""QIR as text: a module of LLVM's intermediate representation."""
NATIVE = (BRAKET_IR, BRAKET_AHS, PULSER, PERCEVAL, IQM, QIR)
"""Formats that run as they stand on their vendor's resources alone. Names are open: a plugin may
bring others."""

CLIFFORD = frozenset(
    (
        *("id", "x", "y", "z", "h", "s", "sdg", "sx", "sxdg", "cx", "cy", "cz", "swap", "ecr"),
        *("pauli", "measure", "reset", "barrier", "delay"),
    )
)
"""What a stabilizer method runs, by name."""
CONTROL_FLOW = frozenset(
    (
        *("if_else", "for_loop", "while_loop", "switch_case", "break_loop", "continue_loop"),
        *("box", "store"),
    )
)
"""What no compiler makes of gates."""


def digest_of(data: bytes) -> str:
    """The name of some bytes: ``sha256:`` and 64 hexadecimal digits."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass(frozen=True, kw_only=True)
class Program:
    """What a quantum resource executes: a format name (``openqasm3``, ``qpy/15`` …) and bytes."""

    format: str
    data: bytes

    @cached_property
    def digest(self) -> str:
        """Digest of the bytes as they were submitted."""
        return digest_of(self.data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """What a program asks of a resource, seen without loading it again.

    Over all circuits of a program: the most qubits, the names of all instructions used and the
    number of circuits.
    """

    circuits: int
    qubits: int
    """The most that a circuit uses: on a wide device, most of a compiled circuit's are idle."""
    clbits: int
    gates: tuple[str, ...]
    instructions: int
    """Instructions of the longest circuit."""
    clifford: bool
    """Whether all gates are Clifford gates by name (a stabilizer method can run them)."""
    measured: bool
    """Whether every circuit measures into at least one classical bit."""
    native: str | None = None
    """The format of a program that is not made of circuits: it runs as it stands, where that
    format is taken, and nothing else here is known of it."""
