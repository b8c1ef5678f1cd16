"""What the server names when it calls a child: importing this loads no Pulser, calls do."""

from collections.abc import Sequence

from quanopy.ports.providers import Outcome, Work
from quanopy.sandbox.silence import silence


def warm_up() -> None:
    """Load Pulser; what it prints to standard output is nobody's."""
    silence()
    import quanopy.providers.pasqal.emulation  # noqa: F401


def emulate(atoms: int, works: Sequence[Work]) -> list[Outcome]:
    """Emulate a batch, see :func:`quanopy.providers.pasqal.emulation.emulate`."""
    from quanopy.providers.pasqal import emulation

    return emulation.emulate(atoms, works)
