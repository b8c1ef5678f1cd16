"""The loopback vendors that serve from a shell, by name."""

from collections.abc import Mapping
from importlib import import_module

from quanopy.domain.errors import NotFound, Unavailable
from quanopy.testing.vendors.base import Vendor

SERVICES: Mapping[str, str] = {
    "braket": "quanopy.testing.vendors.braket:BraketVendor",
    "ibm": "quanopy.testing.vendors.ibm:IbmService",
    "pasqal": "quanopy.testing.vendors.pasqal:PasqalVendor",
    "perceval": "quanopy.testing.vendors.perceval:PercevalVendor",
    "iqm": "quanopy.testing.vendors.iqm:IqmVendor",
    "vqpu": "quanopy.testing.vendors.vqpu:VqpuVendor",
    "felis": "quanopy.testing.vendors.felis:FelisVendor",
    "ibm-system": "quanopy.testing.vendors.ibm_system:IbmSystem",
}
"""Where the class of each is; it is built with ``port``."""


def build(name: str, *, port: int = 0) -> Vendor:
    """A vendor that is not started yet. Raises :class:`NotFound` for a name that is none,
    :class:`Unavailable` where its emulator is not installed or the port is taken."""
    place = SERVICES.get(name)
    if place is None:
        raise NotFound(
            f"there is no loopback vendor {name!r}", hint=f"There are {', '.join(SERVICES)}."
        )
    module, _, attribute = place.partition(":")
    try:
        made: Vendor = getattr(import_module(module), attribute)(port=port)
    except ImportError as error:
        raise Unavailable(
            f"{name} needs {error.name}",
            hint=f"pip install 'quanopy[{name.partition('-')[0]}]'",
        ) from error
    except OSError as error:
        raise Unavailable(f"{name} cannot listen on port {port}: {error.strerror}") from error
    return made
