"""Programs as they really ran."""

import base64
from typing import TYPE_CHECKING

from quanopy.domain.errors import Unsupported
from quanopy.wire.jobs import CompiledOut

if TYPE_CHECKING:
    from qiskit import QuantumCircuit


class AsRun:
    """A program as a part of its job ran it."""

    def __init__(self, found: CompiledOut) -> None:
        self.wire = found
        """As the broker says it."""
        self.program = found.program
        """Its index in the job."""
        self.part = found.part
        """Index of the part of the job (one of several where limits split it)."""
        self.execution_id = found.execution_id
        self.changed = found.changed
        """Whether it was compiled; else it ran as it was read."""
        self.compiler = found.compiler
        """Name and version, as ``qiskit 2.1.0``; ``None`` where nothing was compiled."""
        self.level = found.level
        """Optimisation level, 0 to 3; ``None`` where nothing was compiled."""
        self.seed = found.seed
        """The ``seed_transpiler`` that it was compiled with."""
        self.target = found.target
        """Digest of the target; ``None`` where the resource compiles nothing."""
        self.native = found.native
        """The format of a program that is no circuits, and ran as it was submitted."""

    @property
    def data(self) -> bytes:
        """QPY, or the native program."""
        return base64.b64decode(self.wire.qpy or self.wire.data or "")

    @property
    def circuits(self) -> "list[QuantumCircuit]":
        """Its circuits as Qiskit's, with ``layout`` where they were laid out.

        Raises :class:`Unsupported` for a native program, which is none.
        """
        from quanopy.client.circuits import unpack_circuits

        if self.native is not None:
            raise Unsupported(f"a {self.native} program has no circuits", hint="Take its data.")
        return unpack_circuits(self.data)

    def __repr__(self) -> str:
        how = f"{self.compiler}, level {self.level}" if self.changed else "as it was"
        return f"AsRun(program={self.program}, part={self.part}, {how})"
