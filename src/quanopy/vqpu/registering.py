"""A vQPU's place in a broker's catalogue: registered, kept by a heartbeat, given up at the end."""

from typing import Any

from quanopy.domain.errors import Unsupported
from quanopy.vqpu.machine import Machine


class Registered:
    """Not there yet."""

    def __init__(self, machine: Machine, url: str, stop: Any) -> None:
        raise Unsupported("no broker takes registrations yet")

    def __enter__(self) -> "Registered":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def secret(self) -> str:
        """The token."""
        return ""

    def beat(self) -> None:
        """Begin."""

    def take_no_more(self) -> None:
        """Leave."""
