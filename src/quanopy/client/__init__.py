"""The HTTP client: finding the broker, submitting, waiting, fetching. Qiskit is optional here."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quanopy.client.client import Client
    from quanopy.client.drafts import Draft, How
    from quanopy.client.handles import Job
    from quanopy.client.receipts import Receipt
    from quanopy.client.results import EstimateResult, Result, SampleResult, load

__all__ = [
    "Client",
    "Draft",
    "EstimateResult",
    "How",
    "Job",
    "Receipt",
    "Result",
    "SampleResult",
    "load",
]

_HOMES = {
    "Client": "client",
    "Draft": "drafts",
    "How": "drafts",
    "Job": "handles",
    "Receipt": "receipts",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: what reads files needs nothing of HTTP."""
    if name in __all__:
        return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'results')}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
