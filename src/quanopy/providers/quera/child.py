"""What the server names when it calls a child: importing this loads no Bloqade, calls do."""

import os
from collections.abc import Sequence

from quanopy.ports.providers import Outcome, Work


def warm_up() -> None:
    """Load Bloqade; what it prints to standard output is nobody's."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    import quanopy.providers.quera.emulation  # noqa: F401


def emulate(backend: str, works: Sequence[Work]) -> list[Outcome]:
    """Emulate a batch, see :func:`quanopy.providers.quera.emulation.emulate`."""
    from quanopy.providers.quera import emulation

    return emulation.emulate(works)
