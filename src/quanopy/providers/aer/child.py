"""What the server names when it calls a child: importing this loads no Qiskit, calling it does."""

from collections.abc import Sequence

from quanopy.ports.providers import Outcome, Work
from quanopy.providers.aer.emulator import Emulator
from quanopy.sandbox.silence import silence


def warm_up() -> None:
    """Load Aer; what it prints to standard output is nobody's."""
    silence()
    from quanopy.providers.aer import emulation

    emulation.warm_up()


def emulate(emulator: Emulator, works: Sequence[Work]) -> list[Outcome]:
    """Emulate a batch, see :func:`quanopy.providers.aer.emulation.emulate`."""
    from quanopy.providers.aer import emulation

    return emulation.emulate(emulator, works)
