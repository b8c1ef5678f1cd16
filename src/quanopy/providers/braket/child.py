"""What the server names when it calls a child: importing this loads nothing of Braket, calls do."""

from collections.abc import Sequence

from quanopy.ports.providers import Outcome, Work
from quanopy.sandbox.silence import silence


def warm_up() -> None:
    """Load the simulators; what they print to standard output is nobody's."""
    silence()
    import quanopy.providers.braket.emulation  # noqa: F401


def emulate(backend: str, works: Sequence[Work]) -> list[Outcome]:
    """Emulate a batch, see :func:`quanopy.providers.braket.emulation.emulate`."""
    from quanopy.providers.braket import emulation

    return emulation.emulate(backend, works)
