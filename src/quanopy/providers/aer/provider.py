"""The Aer provider: resources and targets here, emulation in child processes."""

from collections.abc import Sequence
from functools import cache

from quanopy.domain.calibration import Snapshot
from quanopy.domain.errors import NotFound
from quanopy.domain.resources import Resource, Target
from quanopy.ports.providers import Work
from quanopy.providers.aer import child
from quanopy.providers.aer.devices import Device, devices
from quanopy.providers.aer.emulator import Emulator
from quanopy.providers.aer.methods import METHODS, Method
from quanopy.providers.running import ChildrenRunning
from quanopy.sandbox.confinement import Confinement
from quanopy.sandbox.pool import Children


class AerProvider:
    """Emulators of Qiskit Aer in processes of our own."""

    def __init__(
        self,
        *,
        name: str = "aer",
        processes: int,
        threads: int,
        memory_bytes: int,
        time_limit_s: float,
    ) -> None:
        """See :func:`quanopy.providers.aer.create`."""
        self.name = name
        self.processes = processes
        self._threads = threads
        self._memory_bytes = memory_bytes
        self._time_limit_s = time_limit_s
        self._target = cache(self._build_target)
        # Aer's own bound on states is memory_bytes; the rest is for what it does beside them.
        confinement = Confinement(
            threads=threads, memory_bytes=2 * memory_bytes + 2**30, warm_up=child.warm_up
        )
        self._children = Children(processes, confinement, child.emulate, name="aer")

    def resources(self) -> Sequence[Resource]:
        """Aer's methods, and the fake devices with their noise."""
        methods = [
            Resource(
                name=method.resource,
                provider=self.name,
                description=method.description,
                capabilities=method.capabilities(self._memory_bytes),
            )
            for method in METHODS
        ]
        fakes = [
            Resource(
                name=device.resource,
                provider=self.name,
                description=f"Aer with the gates, coupling and noise of fake_{device.name}",
                capabilities=device.capabilities(self._memory_bytes),
            )
            for device in devices()
        ]
        return [*methods, *fakes]

    def target(self, resource: str) -> Target:
        """What programs are compiled for; ``NotFound`` for a resource that is not here."""
        return self._target(resource)

    def calibration(self, resource: str) -> Snapshot | None:
        """The snapshot that a fake device was made from; emulators without noise have none."""
        found = _find(resource)
        return found.snapshot() if isinstance(found, Device) else None

    def check(self, work: Work) -> None:
        """It takes everything."""

    def warm(self) -> None:
        """Start one process, and let Aer run once in it."""
        self._children.warm()

    def start(self, works: Sequence[Work]) -> ChildrenRunning:
        """Begin a batch for one resource."""
        found = _find(works[0].resource)
        emulator = Emulator(
            method=found.name if isinstance(found, Method) else "automatic",
            device=found.name if isinstance(found, Device) else None,
            threads=self._threads,
            memory_bytes=self._memory_bytes,
        )
        return ChildrenRunning(
            works,
            lambda some: self._children.submit(
                child.emulate, emulator, some, timeout_s=self._time_limit_s
            ),
            time_limit_s=self._time_limit_s,
        )

    def close(self) -> None:
        """End the processes; idempotent."""
        self._children.close()

    def _build_target(self, resource: str) -> Target:
        found = _find(resource)
        return found.target(self._memory_bytes) if isinstance(found, Method) else found.target()


def _find(resource: str) -> Method | Device:
    known: list[Method | Device] = [*METHODS, *devices()]
    for found in known:
        if found.resource == resource:
            return found
    raise NotFound(f"the Aer provider has no resource {resource!r}")
