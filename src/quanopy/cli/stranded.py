"""``quanopy stranded``: what may have been billed and nobody can tell of, and the ways out."""

from typing import TYPE_CHECKING, Annotated

import typer

from quanopy.cli.arguments import AsJson
from quanopy.cli.exits import guarded
from quanopy.cli.subcommands import Subcommands

if TYPE_CHECKING:
    from quanopy.domain.states import WayOut
    from quanopy.wire.service import StrandedOut

app = typer.Typer(
    cls=Subcommands,
    help="Show executions that may have been billed and nobody can tell of; say what became of "
    "them. For operators.",
    rich_markup_mode=None,
)

Id = Annotated[str, typer.Argument(metavar="ID", help="The execution's id.")]
Reason = Annotated[str, typer.Option("--reason", help="What you found out; it is kept.")]


@app.callback(invoke_without_command=True)
@guarded
def stranded(context: typer.Context, as_json: AsJson = False) -> None:
    """Show what is known of stranded executions, of all accounts, the oldest first."""
    if context.invoked_subcommand is not None:
        return
    from quanopy.cli.output import emit_all
    from quanopy.client import Client

    with Client() as client:
        found = client.stranded()
    if as_json:
        emit_all(found)
    elif not found:
        typer.echo("nothing is stranded", err=True)
    else:
        _show(found)


def _show(found: "list[StrandedOut]") -> None:
    from quanopy.cli.output import show_table

    show_table(
        ("id", "provider", "its id", "resource", "account", "jobs", "created", "looked for", "why"),
        (
            (
                *(one.id, one.provider, one.provider_job_id or "not known", one.resource),
                *(one.account, " ".join(one.jobs), one.created_at.astimezone()),
                *(
                    "once" if one.searches == 1 else f"{one.searches} times",
                    one.problem and one.problem.message,
                ),
            )
            for one in found
        ),
    )
    typer.echo(
        "the id is the key that it was sent under; found, resend, give-up or look:", err=True
    )
    typer.echo("  quanopy stranded --help", err=True)


@app.command("found")
@guarded
def found(
    id: Id,
    vendor_id: Annotated[
        str | None,
        typer.Argument(metavar="VENDOR_ID", help="The vendor's id; default: the one known."),
    ] = None,
    reason: Reason = "found at the vendor",
    as_json: AsJson = False,
) -> None:
    """The vendor has it: follow it again."""
    from quanopy.domain.states import WayOut

    _settle(id, WayOut.FOUND, reason, as_json, vendor_id)


@app.command("resend")
@guarded
def resend(id: Id, reason: Reason, as_json: AsJson = False) -> None:
    """The vendor never had it: queue its tasks again. Nothing of it may have been billed."""
    from quanopy.domain.states import WayOut

    _settle(id, WayOut.RESEND, reason, as_json)


@app.command("give-up")
@guarded
def give_up(id: Id, reason: Reason, as_json: AsJson = False) -> None:
    """It is lost, or nobody wants it any more: its tasks fail with the reason."""
    from quanopy.domain.states import WayOut

    _settle(id, WayOut.GIVE_UP, reason, as_json)


@app.command("look")
@guarded
def look(id: Id, as_json: AsJson = False) -> None:
    """Have a worker ask the vendor once more: what is found goes on."""
    from quanopy.domain.states import WayOut

    _settle(id, WayOut.LOOK, "to be looked for", as_json)


def _settle(
    id: str, way: "WayOut", reason: str, as_json: bool, vendor_id: str | None = None
) -> None:
    from quanopy.cli.output import emit
    from quanopy.client import Client

    with Client() as client:
        after = client.settle(id, way, reason, provider_job_id=vendor_id)
    if as_json:
        emit(after.model_dump(mode="json"))
    else:
        typer.echo(f"{after.id} is {after.state}")
