"""What the server names when it calls a child: importing this loads no Qiskit, calling it does."""

import os
from collections.abc import Sequence

from quanopy.ports.providers import Outcome, Work


def warm_up() -> None:
    """Load Aer; what it prints to standard output is nobody's."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    from quanopy.providers.aer import emulation

    emulation.warm_up()


def emulate(
    method: str, device: str | None, threads: int, memory_bytes: int, works: Sequence[Work]
) -> list[Outcome]:
    """Emulate a batch, see :func:`quanopy.providers.aer.emulation.emulate`."""
    from quanopy.providers.aer import emulation
    from quanopy.providers.aer.engine import Emulator

    emulator = Emulator(method=method, device=device, threads=threads, memory_bytes=memory_bytes)
    return emulation.emulate(emulator, works)
