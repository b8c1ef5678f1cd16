"""Commands on executions, for operators: which are stranded, and what became of them."""

from typing import Annotated

import typer

from quanopy.cli.arguments import AsJson
from quanopy.cli.exits import guarded

app = typer.Typer(
    help="Show requests to providers; settle those that are stranded.", rich_markup_mode=None
)


@app.callback(invoke_without_command=True)
@guarded
def executions(
    context: typer.Context,
    state: Annotated[
        str, typer.Option("--state", help="stranded, submitting, submitted or running.")
    ] = "stranded",
    as_json: AsJson = False,
) -> None:
    """Show executions in a state, of all accounts, the oldest first."""
    if context.invoked_subcommand is not None:
        return
    from quanopy.cli.output import emit_all, show_table
    from quanopy.client import Client

    with Client() as client:
        found = client.executions(state)
    if as_json:
        emit_all(found)
        return
    if not found:
        typer.echo(f"no executions that are {state}", err=True)
        return
    show_table(
        ("id", "provider", "its id", "resource", "account", "tasks", "created", "problem"),
        (
            (
                *(one.id, one.provider, one.provider_job_id, one.resource, one.account),
                len(one.tasks),
                one.created_at.astimezone(),
                one.problem and one.problem.message,
            )
            for one in found
        ),
    )


@app.command("settle")
@guarded
def settle(
    id: Annotated[str, typer.Argument(metavar="ID", help="The execution's id.")],
    state: Annotated[str, typer.Argument(help="failed, cancelled or submitted.")],
    reason: Annotated[str, typer.Option("--reason", help="What you found out; it is kept.")],
    provider_job_id: Annotated[
        str | None,
        typer.Option("--provider-job-id", help="The provider's id, of one that goes on."),
    ] = None,
    retry: Annotated[
        bool, typer.Option("--retry", help="Queue the tasks of a failed one again.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say what became of a stranded execution, after looking it up with its provider."""
    from quanopy.cli.output import emit
    from quanopy.client import Client

    with Client() as client:
        after = client.settle(id, state, reason, provider_job_id=provider_job_id, retry=retry)
    if as_json:
        emit(after.model_dump(mode="json"))
    else:
        typer.echo(f"{after.id} is {after.state}")
