"""What the server names when it calls a child: importing this loads no Perceval, calls do."""

from collections.abc import Sequence

from quanopy.ports.providers import Outcome, Work
from quanopy.sandbox.silence import silence


def warm_up() -> None:
    """Load Perceval; what it prints to standard output is nobody's."""
    silence()
    import quanopy.providers.perceval.emulation  # noqa: F401


def emulate(backend: str, works: Sequence[Work]) -> list[Outcome]:
    """Emulate a batch, see :func:`quanopy.providers.perceval.emulation.emulate`."""
    from quanopy.providers.perceval import emulation

    return emulation.emulate(backend, works)
