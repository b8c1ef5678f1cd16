"""Aer's simulation methods: what each can run, and what it has room for."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from quanopy.codecs.targets import encode_target
from quanopy.domain.resources import Capabilities, Limits, Target

_CLIFFORD = "cx cy cz ecr h id pauli s sdg store swap sx sxdg x y z"
_ROTATIONS = "p r rx rxx ry ryy rz rzx rzz t tdg u u1 u2 u3 unitary diagonal cp ccx"
_CONTROLLED = (
    "ccz crx cry crz cswap csx cu cu1 cu3 mcp mcphase mcrx mcry mcrz mcx mcx_gray multiplexer"
)
_FLOW = "if_else for_loop while_loop switch_case break_loop continue_loop"
_ALWAYS = "measure reset barrier delay"

_PARAMETERS: Mapping[str, int | None] = {
    **dict.fromkeys(("p", "rx", "rxx", "ry", "ryy", "rz", "rzx", "rzz", "u1"), 1),
    **dict.fromkeys(("cp", "crx", "cry", "crz", "cu1", "mcphase", "delay"), 1),
    **dict.fromkeys(("r", "u2"), 2),
    **dict.fromkeys(("u", "u3", "cu3"), 3),
    "cu": 4,
    **dict.fromkeys(("pauli", "unitary", "diagonal", "multiplexer", "initialize", "mcp")),
    **dict.fromkeys(_FLOW.split()),
}
"""Numbers of parameters, where not 0; ``None``: it varies, or they are no angles."""

STABILIZER_QUBITS = 5_000
TASK_LIMITS = Limits(evaluations=20_000, shots=1_000_000, job_shots=100_000_000)
"""Jobs are split into tasks of seconds, so that others get their turn in between."""
_WIDE_QUBITS = 63
_MOST_AMPLITUDE_QUBITS = 40


_NOISY = frozenset({"automatic", "statevector", "density_matrix"})
"""Methods that carry out whatever noise a snapshot tells of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A simulation method and the resource it is offered as."""

    resource: str
    name: str
    """As Aer calls it."""
    description: str
    gates: tuple[str, ...]

    def capabilities(self, memory_bytes: int) -> Capabilities:
        """What the resource can do with so much memory."""
        return Capabilities(
            limits=self.limits(memory_bytes),
            gates=self.gates,
            default_level=1,
            noise=self.name in _NOISY,
        )

    def limits(self, memory_bytes: int) -> Limits:
        """How many qubits there is room for, and how much one task does."""
        match self.name:
            case "automatic":
                return replace(
                    TASK_LIMITS,
                    qubits=state_qubits(memory_bytes),
                    clifford_qubits=STABILIZER_QUBITS,
                )
            case "statevector":
                return replace(TASK_LIMITS, qubits=state_qubits(memory_bytes))
            case "density_matrix":
                return replace(TASK_LIMITS, qubits=state_qubits(memory_bytes) // 2)
            case "stabilizer":
                return replace(TASK_LIMITS, qubits=STABILIZER_QUBITS)
            case _:
                return replace(TASK_LIMITS, qubits=_WIDE_QUBITS)

    def target(self, memory_bytes: int) -> Target:
        """All gates on all qubits."""
        limits = self.limits(memory_bytes)
        return encode_target(
            qubits=max(limits.qubits or 0, limits.clifford_qubits or 0),
            instructions={
                name: {"parameters": _PARAMETERS.get(name, 0), "qubits": None}
                for name in self.gates
            },
        )


def state_qubits(memory_bytes: int) -> int:
    """Qubits whose state vector (16 bytes an amplitude) fits, with as much again for work."""
    return min((memory_bytes // 16).bit_length() - 1, _MOST_AMPLITUDE_QUBITS)


def _gates(*groups: str) -> tuple[str, ...]:
    return tuple(sorted({name for group in (*groups, _ALWAYS) for name in group.split()}))


METHODS = (
    Method(
        resource="aer",
        name="automatic",
        description="Aer, method chosen by circuit: stabilizer if Clifford, else state vector",
        gates=_gates(_CLIFFORD, _ROTATIONS, _CONTROLLED, _FLOW, "initialize"),
    ),
    Method(
        resource="aer-statevector",
        name="statevector",
        description="Aer, dense state vector",
        gates=_gates(_CLIFFORD, _ROTATIONS, _CONTROLLED, _FLOW, "initialize"),
    ),
    Method(
        resource="aer-density-matrix",
        name="density_matrix",
        description="Aer, dense density matrix",
        gates=_gates(_CLIFFORD.replace("store ", ""), _ROTATIONS, _FLOW),
    ),
    Method(
        resource="aer-mps",
        name="matrix_product_state",
        description="Aer, matrix product state: wide circuits of little entanglement",
        gates=_gates(_CLIFFORD, _ROTATIONS, _FLOW, "cswap csx initialize"),
    ),
    Method(
        resource="aer-stabilizer",
        name="stabilizer",
        description="Aer, stabilizer: Clifford circuits of thousands of qubits",
        gates=_gates(_CLIFFORD, _FLOW),
    ),
    Method(
        resource="aer-extended-stabilizer",
        name="extended_stabilizer",
        description="Aer, extended stabilizer: Clifford circuits with few T gates, approximate",
        gates=_gates(_CLIFFORD.replace("cy ", ""), "ccx ccz p rz t tdg u1"),
    ),
)
