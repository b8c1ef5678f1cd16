"""What the server names when it calls a child: importing this loads no Pulser, calls do."""

import os
from collections.abc import Sequence

from quanopy.ports.providers import Outcome, Work


def warm_up() -> None:
    """Load Pulser; what it prints to standard output is nobody's."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    import quanopy.providers.pasqal.emulation  # noqa: F401


def emulate(atoms: int, works: Sequence[Work]) -> list[Outcome]:
    """Emulate a batch, see :func:`quanopy.providers.pasqal.emulation.emulate`."""
    from quanopy.providers.pasqal import emulation

    return emulation.emulate(atoms, works)
