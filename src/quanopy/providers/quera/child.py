"""What the server names when it calls a child: importing this loads no Bloqade, calls do."""

from collections.abc import Sequence

from quanopy.ports.providers import Outcome, Work
from quanopy.sandbox.silence import silence


def warm_up() -> None:
    """Load Bloqade; what it prints to standard output is nobody's."""
    silence()
    import quanopy.providers.quera.emulation  # noqa: F401


def emulate(backend: str, works: Sequence[Work]) -> list[Outcome]:
    """Emulate a batch, see :func:`quanopy.providers.quera.emulation.emulate`."""
    from quanopy.providers.quera import emulation

    return emulation.emulate(works)
