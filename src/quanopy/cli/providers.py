"""``quanopy providers``: each plugin, whether it works, and why not."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quanopy.cli.arguments import AsJson
from quanopy.cli.service import Config, Providers

if TYPE_CHECKING:
    from quanopy.providers.registry import Plugin
    from quanopy.wire.service import ResourceOut

OK, BROKEN, UNUSED, AWAY = "ok", "broken", "not configured", "no worker"
OFFLINE = "offline"
COLUMNS = ("name", "plugin", "state", "resources", "from", "why")
COLUMNS_AT_WORK = ("name", "state", "resources", "workers", "why")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What is known of a provider."""

    name: str
    plugin: str | None
    state: str
    resources: int | None = None
    distribution: str | None = None
    """What brings it, with its version."""
    problem: str | None = None
    workers: int | None = None
    """Workers of a running broker that serve it; ``None``: none was asked."""


def providers(
    chosen: Providers = None,
    config: Config = None,
    broker: Annotated[
        bool,
        typer.Option("--broker", help="Ask the running broker what its workers serve."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show each provider: whether it works as it is configured here, and why not; 1 if not."""
    from quanopy.cli.output import emit, show_table

    rows = _at_work() if broker else _configured(chosen, config)
    if as_json:
        emit([asdict(row) for row in rows])
    elif broker:
        show_table(
            COLUMNS_AT_WORK, ((r.name, r.state, r.resources, r.workers, r.problem) for r in rows)
        )
    else:
        show_table(
            COLUMNS,
            ((r.name, r.plugin, r.state, r.resources, r.distribution, r.problem) for r in rows),
        )
    if any(row.state == BROKEN for row in rows):
        raise typer.Exit(1)


def _configured(chosen: str | None, config: Path | None) -> Sequence[Row]:
    """The tables of the settings, and the plugins that none of them uses."""
    from quanopy.providers.registry import installed
    from quanopy.server.settings import load
    from quanopy.server.wiring import plugins

    loaded = plugins(load(config, providers=chosen))
    used = {plugin.plugin for plugin in loaded}
    with ThreadPoolExecutor(max_workers=max(1, len(loaded))) as pool:
        rows = list(pool.map(_tried, loaded))
    unused = {n: by for n, by in installed().items() if n not in used}
    return [*rows, *_unused(unused)]


def _unused(plugins: Mapping[str, str]) -> Iterator[Row]:
    for name, distribution in plugins.items():
        yield Row(name=name, plugin=name, state=UNUSED, distribution=distribution)


def _tried(plugin: "Plugin") -> Row:
    """A provider that was made, asked for its resources."""
    count, problem = None, plugin.problem
    if plugin.provider is not None:
        with closing(plugin.provider):
            try:
                count = len(plugin.provider.resources())
            except Exception as error:  # noqa: BLE001 - a stranger's plugin may fail as it likes
                problem = f"{type(error).__name__}: {error}"
    return Row(
        name=plugin.name,
        plugin=plugin.plugin,
        state=BROKEN if problem else OK,
        resources=count,
        distribution=plugin.distribution or None,
        problem=problem and problem.strip().partition("\n")[0],
    )


def _at_work() -> Sequence[Row]:
    """What the broker knows of the providers of its workers."""
    from quanopy.client import Client

    served: dict[str, list[ResourceOut]] = {}
    with Client() as client:
        for resource in client.resources():
            served.setdefault(resource.provider, []).append(resource)
    return [_served(name, theirs) for name, theirs in sorted(served.items())]


def _served(name: str, resources: "Sequence[ResourceOut]") -> Row:
    """A provider by its resources: offline where they all are, with the reasons they give."""
    workers = max(one.workers for one in resources)
    out = [one for one in resources if one.state != "online"]
    why = sorted({one.reason for one in out if one.reason})
    state = AWAY if not workers else OFFLINE if len(out) == len(resources) else OK
    some = f"{len(out)} of {len(resources)} out of service" if out and state is OK else ""
    told = "; ".join([*([some] if some else []), *why])
    return Row(
        name=name,
        plugin=None,
        state=state,
        resources=len(resources),
        problem=told or None,
        workers=workers,
    )
