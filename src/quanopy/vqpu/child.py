"""What the service names when it calls a child: importing this loads no Qiskit, calling it does."""

from collections.abc import Sequence

from quanopy.domain.errors import QuanopyError
from quanopy.sandbox.silence import silence
from quanopy.vqpu.machine import Emulated
from quanopy.vqpu.runs import Run, Taken


def warm_up() -> None:
    """Load Aer; what it prints to standard output is nobody's."""
    silence()
    from quanopy.vqpu import emulation

    emulation.warm_up()


def emulate(machine: Emulated, runs: Sequence[Run]) -> list[Taken | QuanopyError]:
    """Emulate these, see :func:`quanopy.vqpu.emulation.emulate`."""
    from quanopy.vqpu import emulation

    return emulation.emulate(machine, runs)
