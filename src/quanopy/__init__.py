"""Quanopy: a self-hosted broker between programs and quantum resources.

::

    import quanopy

    with quanopy.Client() as client:
        job = client.sample(circuit, resource="aer", shots=1000)
        print(job.result()[0].counts)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quanopy import webhooks
    from quanopy.client.client import Client
    from quanopy.client.handles import Job
    from quanopy.client.results import load
    from quanopy.domain import errors

    __version__: str

__all__ = ["Client", "Job", "__version__", "errors", "load", "webhooks"]

_HOMES = {
    "Client": "quanopy.client.client",
    "Job": "quanopy.client.handles",
    "load": "quanopy.client.results",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: commands must start at once."""
    if name == "webhooks":
        return import_module("quanopy.webhooks")
    if name == "errors":
        return import_module("quanopy.domain.errors")
    if name == "__version__":
        return import_module("importlib.metadata").version("quanopy")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'quanopy' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
