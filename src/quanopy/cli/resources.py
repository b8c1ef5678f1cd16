"""Commands on resources: what there is, how busy, in and out of service."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from quanopy.cli.arguments import AsJson
from quanopy.cli.exits import guarded
from quanopy.cli.importing import import_resources
from quanopy.cli.subcommands import Subcommands

if TYPE_CHECKING:
    from quanopy.wire.service import ResourceOut

MANY = 8
"""Emulated devices of a provider that are all shown."""
app = typer.Typer(
    cls=Subcommands, help="Show resources; take them in or out of service.", rich_markup_mode=None
)


@app.callback(invoke_without_command=True)
@guarded
def resources(
    context: typer.Context,
    everything: Annotated[
        bool, typer.Option("--all", help="Also idle emulated devices; there are many.")
    ] = False,
    containing: Annotated[
        str | None, typer.Option("--filter", metavar="TEXT", help="Those with this in their name.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show resources: what they can, how many tasks wait, how long a new one would."""
    if context.invoked_subcommand is not None:
        return
    from quanopy.cli.output import emit_all, show_table
    from quanopy.client import Client

    with Client() as client:
        found = [one for one in client.resources() if (containing or "") in one.name]
    if as_json:
        emit_all(found)
        return
    if not found:
        why = f"with {containing!r} in their names" if containing else "yet: start a worker"
        typer.echo(f"no resources {why}", err=True)
        return
    hidden = set() if everything or containing else _in_the_background(found)
    shown = [one for one in found if one.name not in hidden]
    show_table(
        (
            *("name", "state", "kinds", "qubits", "lanes", "queued", "active", "wait", "workers"),
            *("calibrated", ""),
        ),
        (_row(resource) for resource in shown),
    )
    if len(shown) < len(found):
        rest = len(found) - len(shown)
        typer.echo(f"and {rest} emulated devices that are idle: --all, or --filter TEXT", err=True)


def _in_the_background(found: "Sequence[ResourceOut]") -> set[str]:
    """Emulators of devices (whose connections decide what fits) that nobody uses, where their
    provider has many."""
    emulated = [one for one in found if one.simulator and one.gates is None]
    many = Counter(one.provider for one in emulated)
    return {
        one.name
        for one in emulated
        if many[one.provider] > MANY and one.state == "online" and not (one.queued or one.active)
    }


def _row(resource: "ResourceOut") -> tuple[object, ...]:
    state = f"{resource.state}: {resource.reason}" if resource.reason else resource.state
    return (
        resource.name,
        state,
        ", ".join(resource.kinds),
        resource.limits.qubits,
        resource.lanes,
        resource.queued,
        resource.active,
        _wait(resource),
        resource.workers,
        _calibrated(resource),
        resource.description,
    )


def _wait(resource: "ResourceOut") -> str:
    """How long a new task would wait, where it would be started at all."""
    if resource.state != "online":
        return "starts none"
    return f"{resource.wait_s:.1f} s" if resource.workers else "no worker"


def _calibrated(resource: "ResourceOut") -> str | None:
    from datetime import UTC, datetime

    from quanopy.domain.durations import duration_text

    if resource.calibrated_at is None:
        return None
    return f"{duration_text((datetime.now(UTC) - resource.calibrated_at).total_seconds())} ago"


Name = Annotated[str, typer.Argument(metavar="NAME", help="The resource's name.")]
Reason = Annotated[str | None, typer.Option("--reason", help="Shown to users.")]


@app.command()
@guarded
def maintenance(name: Name, reason: Reason = None, as_json: AsJson = False) -> None:
    """Start no new work on a resource; what runs may finish."""
    _set_state(name, "maintenance", reason, as_json)


@app.command()
@guarded
def offline(name: Name, reason: Reason = None, as_json: AsJson = False) -> None:
    """Say that a resource is gone; what it was given stays queued."""
    _set_state(name, "offline", reason, as_json)


@app.command()
@guarded
def online(name: Name, as_json: AsJson = False) -> None:
    """Take a resource into service again."""
    _set_state(name, "online", None, as_json)


def _set_state(name: str, state: str, reason: str | None, as_json: bool) -> None:
    from quanopy.cli.output import emit
    from quanopy.client import Client

    with Client() as client:
        found = client.set_resource_state(name, state, reason)
    if as_json:
        emit(found.model_dump(mode="json"))
    else:
        typer.echo(f"{found.name} is {'in ' if state == 'maintenance' else ''}{found.state}")


@app.command("open")
@guarded
def open_resource(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The resource's name.")],
    accounts: Annotated[
        list[str] | None,
        typer.Option(
            "--account",
            metavar="ACCOUNT",
            help="Beside its owner's; repeat for several. Default: all.",
        ),
    ] = None,
    owner_only: Annotated[
        bool, typer.Option("--owner-only", help="Close it to all but its owner again.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Open a resource that registered itself to other accounts than its owner's. For operators."""
    from quanopy.cli.output import emit
    from quanopy.client import Client

    with Client() as client:
        found = client.open_resource(name, [] if owner_only else accounts or None)
    if as_json:
        emit(found.model_dump(mode="json"))
    else:
        served = "everybody" if found.accounts is None else ", ".join(found.accounts)
        typer.echo(f"{name} serves {served}")


@app.command("remove")
@guarded
def remove(name: Name, as_json: AsJson = False) -> None:
    """Take a resource that registered itself out of the catalogue: your own, or as an operator."""
    from quanopy.cli.output import done
    from quanopy.client import Client

    with Client() as client:
        client.remove_resource(name)
    done(f"{name} has left", {"name": name, "removed": True}, as_json=as_json)


app.command("import")(import_resources)
