"""Perceval's own emulators, in processes of our own."""

from collections.abc import Sequence
from dataclasses import dataclass

from quanopy.domain.calibration import Snapshot
from quanopy.domain.errors import NotFound, ResourceMismatch
from quanopy.domain.jobs import JobKind
from quanopy.domain.programs import PERCEVAL
from quanopy.domain.resources import Capabilities, Resource, Target
from quanopy.ports.providers import Work
from quanopy.providers.perceval import child
from quanopy.providers.running import ChildrenRunning
from quanopy.sandbox.confinement import Confinement
from quanopy.sandbox.pool import Children


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """A backend of Perceval."""

    resource: str
    name: str
    """There."""
    description: str
    seeded: bool = True
    """Whether a seed makes its results repeatable."""


BACKENDS = (
    Backend(
        resource="perceval-slos",
        name="SLOS",
        description="Exact distributions of Fock states (strong simulation)",
    ),
    Backend(
        resource="perceval-clifford",
        name="CliffordClifford2017",
        description="Samples of Fock states, for more photons than exact methods bear",
        seeded=False,
    ),
    Backend(
        resource="perceval-slap",
        name="SLAP",
        description="Exact distributions of Fock states in little memory",
    ),
    Backend(
        resource="perceval-mps",
        name="MPS",
        description="Distributions by matrix product states, for circuits that entangle little",
    ),
)


class PercevalEmulators:
    """A local provider: experiments are strangers', so they are read in child processes alone."""

    def __init__(
        self, *, name: str, processes: int, memory_bytes: int, time_limit_s: float
    ) -> None:
        """See :func:`quanopy.providers.perceval.create_local`."""
        self.name = name
        self.processes = processes
        self._time_limit_s = time_limit_s
        confinement = Confinement(threads=1, memory_bytes=memory_bytes, warm_up=child.warm_up)
        self._children = Children(processes, confinement, child.emulate, name=name)

    def resources(self) -> Sequence[Resource]:
        """One a backend."""
        able = Capabilities(
            kinds=(JobKind.RUN,), formats=(PERCEVAL,), technology="photonic", noise=True
        )
        return [
            Resource(
                name=backend.resource,
                provider=self.name,
                description=backend.description,
                capabilities=able,
            )
            for backend in BACKENDS
        ]

    def target(self, resource: str) -> Target:
        """Nothing is compiled for photons."""
        _find(resource)
        raise ResourceMismatch(f"{resource} runs Perceval experiments as they stand")

    def calibration(self, resource: str) -> Snapshot | None:
        """None is published: noise is the experiment's own."""
        _find(resource)
        return None

    def check(self, work: Work) -> None:
        """The format, and whether it can be seeded; an experiment is read by a child alone."""
        if work.native != PERCEVAL:
            raise ResourceMismatch(f"{work.resource} runs Perceval experiments alone")
        if work.options.seed is not None and not _find(work.resource).seeded:
            raise ResourceMismatch(
                f"{work.resource} samples in threads of its own, which no seed makes repeatable",
                where="options.seed",
                hint="Leave the seed out, or take perceval-slos.",
            )

    def warm(self) -> None:
        """Start one process and load Perceval in it."""
        self._children.warm()

    def start(self, works: Sequence[Work]) -> ChildrenRunning:
        """Begin a batch for one backend."""
        backend = _find(works[0].resource).name
        return ChildrenRunning(
            works,
            lambda some: self._children.submit(
                child.emulate, backend, some, timeout_s=self._time_limit_s
            ),
            time_limit_s=self._time_limit_s,
        )

    def close(self) -> None:
        """End the processes; idempotent."""
        self._children.close()


def _find(resource: str) -> Backend:
    for backend in BACKENDS:
        if backend.resource == resource:
            return backend
    raise NotFound(f"Perceval's emulators have no resource {resource!r}")
