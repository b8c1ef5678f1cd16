"""Factories of providers as plugins may have them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from quanopy.domain.resources import Resource
from quanopy.providers.secrets import Secret


class Plain:
    """A provider that only tells what it was made with."""

    capabilities = None

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        self.name = name
        self.options = options
        self.closed = False

    def resources(self) -> Sequence[Resource]:
        """Two machines."""
        return [Resource(name=name, provider=self.name, lanes=1) for name in ("left", "right")]

    def close(self) -> None:
        """Remember it."""
        self.closed = True


def create(
    *,
    name: str = "plain",
    token: Secret | None = None,
    url: str = "",
    mode: Literal["job", "batch"] = "job",
    timeout_s: float = 1.0,
    most: int = 1,
    eager: bool = False,
    folder: Path | None = None,
    names: Sequence[str] = (),
    environment: Mapping[str, Secret | str] | None = None,
) -> Plain:
    """Options of all kinds."""
    options = {k: v for k, v in locals().items() if k != "name"}
    return Plain(name, options)


def needing(*, token: Secret) -> Plain:
    """Takes no name, and needs a credential."""
    return Plain("needing", {"token": token})


class Speechless(Plain):
    """A provider whose vendor does not answer."""

    def resources(self) -> Sequence[Resource]:
        """Nobody knows."""
        raise RuntimeError("the vendor is away\nand does not come back")


def speechless(*, name: str = "speechless") -> Plain:
    """One that can be made, and nothing more."""
    return Speechless(name, {})
