"""What the server names when it calls a child: importing this loads no Perceval, calls do."""

import os
from collections.abc import Sequence

from quanopy.ports.providers import Outcome, Work


def warm_up() -> None:
    """Load Perceval; what it prints to standard output is nobody's."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    import quanopy.providers.perceval.emulation  # noqa: F401


def emulate(backend: str, works: Sequence[Work]) -> list[Outcome]:
    """Emulate a batch, see :func:`quanopy.providers.perceval.emulation.emulate`."""
    from quanopy.providers.perceval import emulation

    return emulation.emulate(backend, works)
