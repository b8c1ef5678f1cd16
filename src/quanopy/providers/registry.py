"""Finding providers by the entry-point group ``quanopy.providers``; a broken one is a row.

A table of settings makes a provider: ``plugin`` is the entry point, or ``module:factory`` (default:
the table's name), ``prefix`` comes before the names of its resources, ``resources`` holds what is
to be changed about these, by their names as they are then
(:class:`~quanopy.providers.tailoring.Changes`), and everything else is what the plugin's factory
takes as keyword arguments.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points

from quanopy.domain.errors import Invalid, QuanopyError
from quanopy.ports.providers import LocalProvider, RemoteProvider
from quanopy.providers.options import bound, takes
from quanopy.providers.renaming import renamed
from quanopy.providers.tailoring import changes_of, tailored

GROUP = "quanopy.providers"
_OURS = ("plugin", "prefix", "resources")
"""Keys of a table that are not its plugin's."""
_PREFIX = re.compile(r"[A-Za-z0-9._-]{0,40}")

AnyProvider = LocalProvider | RemoteProvider


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """A table of settings, and the provider that it makes or why there is none."""

    name: str
    """The table's."""
    plugin: str
    distribution: str
    """What was installed to bring it, with its version."""
    provider: AnyProvider | None = None
    problem: str | None = None


def load(tables: Mapping[str, Mapping[str, object]]) -> list[Plugin]:
    """Create the providers of these tables of settings, in that order.

    A plugin that is not installed, cannot be imported, is given what it does not take or raises
    when it is created comes back with its ``problem``, and never raises.
    """
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    plugins: list[Plugin] = []
    for name, table in tables.items():
        loaded = _load(name, table, found)
        plugins.append(_of_its_own(loaded, plugins))
    return plugins


def installed() -> Mapping[str, str]:
    """All installed plugins, without importing them, and what was installed to bring each."""
    entries = sorted(entry_points(group=GROUP), key=lambda entry: entry.name)
    return {entry.name: _origin(entry) for entry in entries}


def _load(name: str, table: Mapping[str, object], found: Mapping[str, EntryPoint]) -> Plugin:
    wanted = table.get("plugin", name)
    if not isinstance(wanted, str):
        problem = f"providers.{name}.plugin: is no text"
        return Plugin(name=name, plugin=name, distribution="", problem=problem)
    entry = found.get(wanted) or _by_path(wanted)
    if entry is None:
        known = ", ".join(sorted(found)) or "none"
        problem = f"{wanted!r} is not installed (installed: {known})"
        return Plugin(name=name, plugin=wanted, distribution="", problem=problem)
    plugin = Plugin(name=name, plugin=wanted, distribution=_origin(entry))
    try:
        return replace(plugin, provider=_created(name, table, entry.load()))
    except QuanopyError as error:
        return replace(plugin, problem=str(error))
    except Exception as error:  # noqa: BLE001 - a stranger's plugin may fail as it likes
        return replace(plugin, problem=f"{type(error).__name__}: {error}")


def _created(
    name: str, table: Mapping[str, object], create: Callable[..., AnyProvider]
) -> AnyProvider:
    where = f"providers.{name}"
    changes = changes_of(table.get("resources", {}), where=f"{where}.resources")
    prefix = table.get("prefix", "")
    if not isinstance(prefix, str) or _PREFIX.fullmatch(prefix) is None:
        raise Invalid(
            "is no beginning of a name",
            where=f"{where}.prefix",
            hint="Use letters, digits, dots, dashes and underscores.",
        )
    options = {key: value for key, value in table.items() if key not in _OURS}
    if "name" in options:
        raise Invalid("the table's name is the provider's", where=f"{where}.name")
    if takes(create, "name") and ":" not in name:
        options["name"] = name
    given = bound(create, options, where=where)
    try:
        return tailored(renamed(create(**given), prefix), changes)
    except Invalid as error:
        raise Invalid(error.message, where=error.where or where, hint=error.hint) from error


def _of_its_own(plugin: Plugin, others: list[Plugin]) -> Plugin:
    """A plugin, without its provider where another has the provider's name: jobs would not know
    which of the two is meant."""
    if plugin.provider is None:
        return plugin
    name = plugin.provider.name
    twin = next((one for one in others if one.provider and one.provider.name == name), None)
    if twin is None:
        return plugin
    plugin.provider.close()
    problem = f"a provider is named {name} already: that of the table providers.{twin.name}"
    return replace(plugin, provider=None, problem=problem)


def _by_path(name: str) -> EntryPoint | None:
    """A provider that is not installed as a plugin, named ``module:factory``."""
    return EntryPoint(name=name, value=name, group=GROUP) if ":" in name else None


def _origin(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else ""
