"""What the service names when it calls a child: importing this loads no Qiskit, calling it does."""

from collections.abc import Sequence
from dataclasses import dataclass

from quanopy.domain.errors import QuanopyError
from quanopy.sandbox.silence import silence
from quanopy.vqpu.machine import Emulated


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A circuit to run, as instructions or as OpenQASM 3."""

    shots: int
    instructions: tuple[tuple[str, tuple[int, ...], tuple[float, ...]], ...] = ()
    measure: tuple[tuple[int, int], ...] = ()
    """Qubit and the bit it is read into."""
    program: str | None = None
    memory: bool = False
    """Whether each shot's outcome is wanted, in order."""
    seed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What came of a run."""

    bits: int
    counts: dict[str, int]
    """Shots by outcome in hexadecimal; bit 0 is the lowest."""
    memory: list[str] | None
    """The outcome of each shot."""


def warm_up() -> None:
    """Load Aer; what it prints to standard output is nobody's."""
    silence()
    from quanopy.vqpu import emulation

    emulation.warm_up()


def emulate(machine: Emulated, runs: Sequence[Run]) -> list[Taken | QuanopyError]:
    """Emulate these, see :func:`quanopy.vqpu.emulation.emulate`."""
    from quanopy.vqpu import emulation

    return emulation.emulate(machine, runs)
