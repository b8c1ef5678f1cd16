"""Resources: what can run programs, what it can do, and the machine it compiles for."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from quanopy.domain.jobs import JobKind
from quanopy.domain.programs import CIRCUITS, digest_of
from quanopy.domain.states import ResourceState


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one task on a resource may ask; ``None`` where the resource sets no limit.

    A job over ``pubs``, ``evaluations`` or ``shots`` is split into several tasks; one over
    ``qubits``, ``job_shots`` or ``bytes`` is refused.
    """

    qubits: int | None = None
    clifford_qubits: int | None = None
    """Qubits where all gates are Clifford, if that is more."""
    pubs: int | None = None
    evaluations: int | None = None
    shots: int | None = None
    """Shots of one pub in one task."""
    job_shots: int | None = None
    """Shots of one pub altogether."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a resource can do, declared by its provider and stored with it."""

    kinds: tuple[JobKind, ...] = (JobKind.SAMPLE, JobKind.ESTIMATE, JobKind.RUN)
    limits: Limits = field(default_factory=Limits)
    simulator: bool = True
    default_shots: int = 1024
    default_level: int = 1
    """Optimisation level of what has to be compiled: 1 on emulators, 2 on hardware."""
    gates: tuple[str, ...] | None = None
    """Instructions that any qubits may carry out; a program within them needs no compiling.
    ``None`` where only the target can tell (it has a coupling map)."""
    formats: tuple[str, ...] = CIRCUITS
    """Formats of programs that it takes; circuits are compiled for it."""
    coalesce: bool = True
    """Whether tasks of several jobs may share one call."""
    technology: str | None = None
    """What it is made of: ``superconducting``, ``trapped-ion``, ``neutral-atom``, ``photonic`` …"""
    price_per_task: float | None = None
    """What a task costs besides its shots; both prices ``None``: not known."""
    price_per_shot: float | None = None
    noise: bool = False
    """Whether it emulates the noise that a snapshot of a calibration tells of."""
    adopts: bool = True
    """Whether jobs may be there that were made elsewhere; a worker says so of its providers."""

    def cost(self, shots: float, tasks: float = 1.0) -> float | None:
        """What so many shots and tasks cost; ``None`` where it has no price."""
        if self.price_per_task is None and self.price_per_shot is None:
            return None
        return (self.price_per_task or 0.0) * tasks + (self.price_per_shot or 0.0) * shots


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The machine description programs are compiled for, as canonical JSON (``quanopy.target/1``).

    ``{"format": "quanopy.target/1", "qubits": n, "dt": s | null, "instructions": {name:
    {"parameters": k, "qubits": [[q, …], …] | null, "errors": […]?, "durations_s": […]?}}}``
    where ``qubits: null`` means all to all.
    """

    data: bytes

    @property
    def digest(self) -> str:
        """Digest of the canonical JSON."""
        return digest_of(self.data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A QPU, cloud device or emulator that a provider exposes."""

    name: str
    provider: str
    description: str = ""
    lanes: int | None = None
    """How many claims and executions may be on it at once, over all workers; ``None``: as
    many as workers bring (emulators in their own processes)."""
    device: str | None = None
    """The physical device it is, or is a part of; ``None``: itself."""
    part: tuple[str, ...] | None = None
    """What of its device it takes (names of qubits, lanes, threads …); ``None``: all of it.
    Resources whose parts overlap are never run on at the same time; those of the same part share
    its lanes."""
    state: ResourceState = ResourceState.ONLINE
    reason: str | None = None
    capabilities: Capabilities = field(default_factory=Capabilities)
    owner: str | None = None
    """The account that registered it; ``None``: it is a provider's own."""
    accounts: tuple[str, ...] | None = None
    """The accounts that may use it; ``None``: all."""

    @property
    def bounded(self) -> bool:
        """Whether others may wait for what runs on it to end."""
        return self.lanes is not None or self.device is not None

    def serves(self, account: str) -> bool:
        """Whether an account may see and use it."""
        return self.accounts is None or account in self.accounts


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """A resource that put itself into the catalogue, and stays there while its heart beats."""

    id: str
    name: str
    owner: str
    url: str
    target: Target
    description: str = ""
    lanes: int = 1
    """How many programs it runs at once."""
    accounts: tuple[str, ...] | None
    """The accounts that may use it; its owner's alone, unless an operator opened it."""
    registered_at: datetime
    seen_at: datetime
    """Its last heartbeat."""
    ttl_s: float
    """How long it is taken to live after a heartbeat."""
    alive: bool = True
    """Whether that time has not passed, by the catalogue's clock."""


def overlapping(part: Collection[str] | None, other: Collection[str] | None) -> bool:
    """Whether two parts of a device (``None``: all of it) have something in common."""
    return part is None or other is None or not set(part).isdisjoint(other)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceStatus:
    """A resource and how busy it is."""

    resource: Resource
    queued: int
    """Tasks waiting."""
    active: int
    """Tasks claimed or executing."""
    wait_s: float
    """Estimated seconds until a task submitted now would start."""
    seen_at: datetime | None
    """When a worker that serves it last reported; ``None``: never."""
    workers: int
    """Live workers that serve it."""
