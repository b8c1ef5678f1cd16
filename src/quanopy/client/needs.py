"""What some of the client needs that the base install does not bring."""

from importlib import import_module

from quanopy.domain.errors import Unsupported


def need_numpy(what: str) -> None:
    """Raises :class:`Unsupported` where NumPy is not installed, which ``what`` needs."""
    try:
        import_module("numpy")
    except ImportError as error:
        raise Unsupported(
            f"{what} need NumPy, which is not installed", hint="pip install 'quanopy[qiskit]'"
        ) from error
