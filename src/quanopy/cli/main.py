"""``quanopy``: the command for people and scripts."""

import sys
from typing import Annotated

import typer

from quanopy.cli import (
    adopting,
    calibration,
    compiled,
    dev,
    exits,
    experiments,
    groups,
    jobs,
    matching,
    providers,
    receipts,
    replaying,
    resources,
    results,
    service,
    store,
    stranded,
    sweeping,
    tokens,
    vqpu,
    webhooks,
)
from quanopy.cli.exits import guarded
from quanopy.cli.subcommands import Subcommands

# Help is plain text: typer takes 0.2 s to import what it makes rich help with.
app = typer.Typer(
    cls=Subcommands,
    name="quanopy",
    help="Submit quantum programs to a broker, and fetch their results later.",
    epilog=exits.HELP,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

for _command in (
    jobs.submit,
    jobs.status,
    compiled.compiled,
    adopting.adopt,
    replaying.replay,
    results.result,
    jobs.jobs,
    results.watch,
    jobs.cancel,
    jobs.retry,
    experiments.segment,
    sweeping.sweep,
    receipts.export,
    receipts.verify,
    receipts.import_,
    calibration.calibration,
    service.serve,
    service.worker,
    providers.providers,
    matching.match,
):
    app.command(_command.__name__.removesuffix("_"))(guarded(_command))
groups.app.command("segments")(guarded(experiments.segments))
app.add_typer(groups.app, name="group")
app.add_typer(resources.app, name="resources")
app.add_typer(stranded.app, name="stranded")
app.add_typer(store.app, name="store")
app.add_typer(tokens.app, name="token")
app.add_typer(webhooks.app, name="webhook")
app.add_typer(dev.app, name="dev")
app.add_typer(vqpu.app, name="vqpu")


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(version("quanopy"))
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Submit quantum programs to a broker, and fetch their results later."""


def run() -> None:
    """The entry point of ``quanopy``."""
    exits.plain_output()
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(exits.INTERRUPTED)
