"""Braket's own simulators, in processes of our own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from quanopy.codecs.targets import encode_target
from quanopy.domain.calibration import Snapshot
from quanopy.domain.errors import NotFound, ResourceMismatch
from quanopy.domain.jobs import JobKind
from quanopy.domain.programs import BRAKET_AHS, BRAKET_IR, CIRCUITS
from quanopy.domain.resources import Capabilities, Limits, Resource, Target
from quanopy.ports.providers import Outcome, Work
from quanopy.providers.braket import child
from quanopy.providers.running import ChildrenRunning
from quanopy.sandbox.confinement import Confinement
from quanopy.sandbox.pool import Children

Emulate = Callable[[str, Sequence[Work]], list[Outcome]]
"""Runs works on a backend, in a child."""
_ROTATIONS = dict.fromkeys(("p", "cp", "rx", "ry", "rz", "rxx", "ryy", "rzz"), 1)
GATES = {
    **dict.fromkeys(("x", "y", "z", "h", "s", "sdg", "t", "tdg", "sx", "sxdg", "id", "swap"), 0),
    **dict.fromkeys(("iswap", "cx", "cy", "cz", "ecr", "ccx", "cswap", "measure", "barrier"), 0),
    **_ROTATIONS,
    "r": 2,
    "u": 3,
}
"""What circuits are compiled for, and how many parameters each has."""
_MOST_ATOMS = 20
_MOST_QUBITS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulator:
    """One of Braket's."""

    resource: str
    backend: str
    """As Braket calls it."""
    description: str


SIMULATORS = (
    Simulator(
        resource="braket-sv",
        backend="braket_sv",
        description="Braket's state vector simulator",
    ),
    Simulator(
        resource="braket-dm",
        backend="braket_dm",
        description="Braket's density matrix simulator",
    ),
    Simulator(
        resource="braket-ahs",
        backend="braket_ahs",
        description="Braket's simulator of Rydberg atoms (analog Hamiltonian simulation)",
    ),
)


class BraketSimulators:
    """A local provider. Braket's programs are strangers': they are read in child processes."""

    def __init__(
        self,
        *,
        name: str,
        processes: int,
        memory_bytes: int,
        time_limit_s: float,
        simulators: Sequence[Simulator] = SIMULATORS,
        warm_up: Callable[[], None] = child.warm_up,
        emulate: Emulate = child.emulate,
    ) -> None:
        """See :func:`quanopy.providers.braket.create_local`; others that run programs of atoms
        bring ``simulators`` of their own, and what loads and runs them in a child."""
        self.name = name
        self.processes = processes
        self._simulators = simulators
        self._memory_bytes = memory_bytes
        self._time_limit_s = time_limit_s
        confinement = Confinement(threads=1, memory_bytes=memory_bytes, warm_up=warm_up)
        self._emulate = emulate
        self._children = Children(processes, confinement, emulate, name=name)

    def resources(self) -> Sequence[Resource]:
        """One a simulator."""
        return [
            Resource(
                name=one.resource,
                provider=self.name,
                description=one.description,
                capabilities=self._capabilities(one),
            )
            for one in self._simulators
        ]

    def target(self, resource: str) -> Target:
        """All gates on all qubits; ``ResourceMismatch`` for atoms."""
        one = self._find(resource)
        if _is_analog(one):
            raise ResourceMismatch(f"{resource} runs programs of atoms: nothing is compiled for it")
        gates = {name: {"parameters": count, "qubits": None} for name, count in GATES.items()}
        return encode_target(qubits=self._qubits(one), instructions=gates)

    def calibration(self, resource: str) -> Snapshot | None:
        """There is nothing to calibrate."""
        self._find(resource)
        return None

    def check(self, work: Work) -> None:
        """The format; a program is read by a child alone."""
        one = self._find(work.resource)
        able = self._capabilities(one).formats
        if work.native is not None and work.native not in able:
            raise ResourceMismatch(f"{one.resource} runs {', '.join(able)}, not {work.native}")

    def warm(self) -> None:
        """Start one process and load the simulators in it."""
        self._children.warm()

    def start(self, works: Sequence[Work]) -> ChildrenRunning:
        """Begin a batch for one simulator."""
        backend = self._find(works[0].resource).backend
        return ChildrenRunning(
            works,
            lambda some: self._children.submit(
                self._emulate, backend, some, timeout_s=self._time_limit_s
            ),
            time_limit_s=self._time_limit_s,
        )

    def close(self) -> None:
        """End the processes; idempotent."""
        self._children.close()

    def _capabilities(self, one: Simulator) -> Capabilities:
        if _is_analog(one):
            return Capabilities(
                kinds=(JobKind.RUN,),
                limits=Limits(qubits=_MOST_ATOMS, shots=1_000_000),
                default_shots=100,
                formats=(BRAKET_AHS,),
            )
        return Capabilities(
            limits=Limits(qubits=self._qubits(one), evaluations=1_000, shots=1_000_000),
            gates=tuple(GATES),
            formats=(*CIRCUITS, BRAKET_IR),
        )

    def _qubits(self, one: Simulator) -> int:
        """Qubits whose state fits, with as much again twice for work."""
        width = (self._memory_bytes // 64).bit_length() - 1
        return min(width // 2 if one.backend == "braket_dm" else width, _MOST_QUBITS)

    def _find(self, resource: str) -> Simulator:
        for one in self._simulators:
            if one.resource == resource:
                return one
        raise NotFound(f"{self.name} has no resource {resource!r}")


def _is_analog(one: Simulator) -> bool:
    return one.backend not in ("braket_sv", "braket_dm")
