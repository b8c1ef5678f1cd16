"""Finding providers by the entry-point group ``quanopy.providers``; a broken one is a row."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from quanopy.ports.providers import LocalProvider, RemoteProvider

GROUP = "quanopy.providers"

AnyProvider = LocalProvider | RemoteProvider


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """A provider that is installed, and the provider itself or why there is none."""

    name: str
    distribution: str
    """What was installed to bring it, with its version."""
    provider: AnyProvider | None = None
    problem: str | None = None


def load(settings: Mapping[str, Mapping[str, Any]]) -> list[Plugin]:
    """Create the providers named in ``settings`` (by entry point, or as
    ``module:factory``: keyword arguments), in that order.

    A plugin that is not installed, cannot be imported or raises when it is created comes back
    with its ``problem``, and never raises.
    """
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    return [
        _load(name, found.get(name) or _by_path(name), options)
        for name, options in settings.items()
    ]


def installed() -> list[str]:
    """Names of all installed providers, without importing them."""
    return sorted({entry.name for entry in entry_points(group=GROUP)})


def _by_path(name: str) -> EntryPoint | None:
    """A provider that is not installed as a plugin, named ``module:factory``."""
    return EntryPoint(name=name, value=name, group=GROUP) if ":" in name else None


def _load(name: str, entry: EntryPoint | None, options: Mapping[str, Any]) -> Plugin:
    if entry is None:
        known = ", ".join(installed()) or "none"
        return Plugin(name=name, distribution="", problem=f"not installed (installed: {known})")
    origin = f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else ""
    try:
        create: Callable[..., AnyProvider] = entry.load()
        provider = create(**options)
    except Exception as error:  # noqa: BLE001 - a stranger's plugin may fail as it likes
        problem = f"{type(error).__name__}: {error}"
        return Plugin(name=name, distribution=origin, problem=problem)
    return Plugin(name=name, distribution=origin, provider=provider)
