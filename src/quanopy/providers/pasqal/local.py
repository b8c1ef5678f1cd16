"""Pulser's own emulator, in processes of our own."""

from collections.abc import Sequence

from quanopy.domain.calibration import Snapshot
from quanopy.domain.errors import NotFound, ResourceMismatch
from quanopy.domain.jobs import JobKind
from quanopy.domain.programs import PULSER
from quanopy.domain.resources import Capabilities, Limits, Resource, Target
from quanopy.ports.providers import Work
from quanopy.providers.pasqal import child
from quanopy.providers.pasqal.programs import check_work
from quanopy.providers.running import ChildrenRunning
from quanopy.sandbox.confinement import Confinement
from quanopy.sandbox.pool import Children

RESOURCE = "pulser-qutip"


class PulserEmulators:
    """A local provider: sequences are strangers', so they are built in child processes alone."""

    def __init__(
        self, *, name: str, processes: int, memory_bytes: int, atoms: int, time_limit_s: float
    ) -> None:
        """See :func:`quanopy.providers.pasqal.create_local`."""
        self.name = name
        self.processes = processes
        self._atoms = atoms
        self._time_limit_s = time_limit_s
        confinement = Confinement(threads=1, memory_bytes=memory_bytes, warm_up=child.warm_up)
        self._children = Children(processes, confinement, child.emulate, name=name)

    def resources(self) -> Sequence[Resource]:
        """One: QuTiP's evolution of the whole register."""
        able = Capabilities(
            kinds=(JobKind.RUN,),
            formats=(PULSER,),
            limits=Limits(qubits=self._atoms),
            technology="neutral-atom",
            noise=True,
        )
        return [
            Resource(
                name=RESOURCE,
                provider=self.name,
                description="Pulser's emulator: the whole state of the register, by QuTiP",
                capabilities=able,
            )
        ]

    def target(self, resource: str) -> Target:
        """Nothing is compiled for atoms."""
        self._find(resource)
        raise ResourceMismatch(f"{resource} runs Pulser sequences as they stand")

    def calibration(self, resource: str) -> Snapshot | None:
        """None is published: noise is that of the sequence's device."""
        self._find(resource)
        return None

    def check(self, work: Work) -> None:
        """Shape and number of atoms; a sequence is built by a child."""
        check_work(work, atoms=self._atoms, runs=None)

    def warm(self) -> None:
        """Start one process and load Pulser in it."""
        self._children.warm()

    def start(self, works: Sequence[Work]) -> ChildrenRunning:
        """Begin a batch."""
        self._find(works[0].resource)
        return ChildrenRunning(
            works,
            lambda some: self._children.submit(
                child.emulate, self._atoms, some, timeout_s=self._time_limit_s
            ),
            time_limit_s=self._time_limit_s,
        )

    def close(self) -> None:
        """End the processes; idempotent."""
        self._children.close()

    def _find(self, resource: str) -> None:
        if resource != RESOURCE:
            raise NotFound(f"{self.name} has no resource {resource!r}")
