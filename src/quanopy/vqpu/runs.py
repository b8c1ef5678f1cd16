"""Runs: what the device has emulated, and what comes of it."""

from dataclasses import dataclass


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
