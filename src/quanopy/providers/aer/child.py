"""What the server names when it calls a child: importing this loads no Qiskit, calling it does."""

import os
from collections.abc import Sequence

from quanopy.ports.providers import Outcome, Work
from quanopy.providers.aer.emulator import Emulator


def warm_up() -> None:
    """Load Aer; what it prints to standard output is nobody's."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    from quanopy.providers.aer import emulation

    emulation.warm_up()


def emulate(emulator: Emulator, works: Sequence[Work]) -> list[Outcome]:
    """Emulate a batch, see :func:`quanopy.providers.aer.emulation.emulate`."""
    from quanopy.providers.aer import emulation

    return emulation.emulate(emulator, works)
