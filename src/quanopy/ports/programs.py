"""Reading and compiling programs: always in child processes, never where this is called."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from quanopy.domain.errors import QuanopyError
from quanopy.domain.jobs import JobSpec, Options, Reading
from quanopy.domain.resources import Target


class Reader(Protocol):
    """Reads strangers' programs in processes that may crash, hang or run out of memory alone."""

    def read(
        self, specs: Sequence[JobSpec], *, deadline_s: float
    ) -> list[Reading | QuanopyError | None]:
        """Read these jobs together; one answer each, in order.

        A program that kills, hangs or bloats its reader gives an ``Invalid`` for its own job
        and touches no other; one that does not fit a target that is known gives what compiling
        it gives, a ``ResourceMismatch``. ``None``: not read by the deadline (in seconds), nor
        known bad.
        """

    def warm(self) -> None:
        """Somebody is there who may submit: start in the background what takes long to start.
        Never blocks; later calls do nothing."""

    def close(self) -> None:
        """End the processes; idempotent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compilation:
    """One program to compile: QPY of our own (as a reader emitted it), for a target."""

    circuits: bytes
    target: Target
    level: int
    """Optimisation level for what does not fit."""
    options: Options

    @property
    def seed(self) -> int:
        """Of what is random in compiling: the same request always gives the same circuits."""
        given = self.options.seed_transpiler
        return 0 if given is None else given


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """Circuits that fit their target, as QPY with their layouts kept."""

    circuits: bytes
    changed: bool
    """``False``: everything fitted already and was left alone."""
    kept: str | None = None
    """The object that holds these circuits for good, where one does."""


class Compiler(Protocol):
    """Compiles programs for a target, each (program, target, options) once."""

    def compile(self, requests: Sequence[Compilation]) -> list[Compiled | QuanopyError]:
        """Compile these together; one answer each, in order. ``ResourceMismatch`` where
        ``options.compile`` is false, or nothing can make the program fit."""

    def close(self) -> None:
        """End the processes; idempotent."""
