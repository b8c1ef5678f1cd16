"""``quanopy adopt``: a vendor's job that was made elsewhere, taken over."""

from typing import Annotated

import typer

from quanopy.cli.arguments import AsJson


def adopt(
    provider: Annotated[str, typer.Option("--provider", help="The provider's name.")],
    id: Annotated[str, typer.Option("--id", help="The vendor's id of the job.")],
    name: Annotated[str | None, typer.Option("--name")] = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", metavar="TAG", help="Repeat for several.")
    ] = None,
    account: Annotated[
        str | None, typer.Option("--account", help="Whose job it is to be; default: yours.")
    ] = None,
    timeout: Annotated[
        float, typer.Option("--timeout", help="Seconds to wait for the vendor's answer.")
    ] = 60.0,
    as_json: AsJson = False,
) -> None:
    """Take over a job that was created at a vendor; its result is kept. For operators."""
    from quanopy.cli.output import emit
    from quanopy.client import Client

    with Client() as client:
        job = client.adopt(
            provider, id, name=name, tags=tag or (), account=account, timeout=timeout
        )
        detail = job.detail()
    if as_json:
        emit(detail.model_dump(mode="json"))
        return
    typer.echo(job.id)
    typer.echo(f"{id} of {provider}, on {detail.resource}, is {job.id} now", err=True)
    typer.echo("what calibration it ran under is unknown", err=True)
