"""Commands on tokens, for administrators."""

from typing import Annotated

import typer

from quanopy.cli.arguments import AsJson
from quanopy.cli.exits import guarded
from quanopy.cli.subcommands import Subcommands

app = typer.Typer(
    cls=Subcommands,
    help="Make, list and revoke tokens.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

DAY_S = 86_400.0


@app.command("create")
@guarded
def create(
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="Whom it speaks for.")],
    scope: Annotated[str, typer.Option("--scope", help="user, operator or admin.")] = "user",
    label: Annotated[str, typer.Option("--label", help="What it is for.")] = "",
    days: Annotated[
        float | None, typer.Option("--days", min=0.0, help="Valid for so long; default: for good.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a token. Its secret is printed on stdout, this once."""
    from quanopy.cli.output import emit
    from quanopy.client import Client
    from quanopy.wire.refusals import checked
    from quanopy.wire.service import TokenIn

    expires_in_s = None if days is None else days * DAY_S
    wanted = checked(
        TokenIn,
        {"account": account, "scope": scope, "label": label, "expires_in_s": expires_in_s},
    )
    with Client() as client:
        made = client.create_token(wanted)
    if as_json:
        emit(made.model_dump(mode="json"))
        return
    typer.echo(f"{made.id}: keep the secret, it is not shown again", err=True)
    typer.echo(made.secret)


@app.command("list")
@guarded
def list_tokens(as_json: AsJson = False) -> None:
    """List tokens, without their secrets."""
    from quanopy.cli.output import emit_all, show_table
    from quanopy.client import Client

    with Client() as client:
        found = client.tokens()
    if as_json:
        emit_all(found)
        return
    show_table(
        ("id", "account", "scope", "label", "created", "expires", "revoked"),
        (
            (
                *(token.id, token.account, token.scope, token.label, token.created_at),
                token.expires_at,
                token.revoked_at,
            )
            for token in found
        ),
    )


@app.command("revoke")
@guarded
def revoke(
    id: Annotated[str, typer.Argument(metavar="ID", help="A token's id.")], as_json: AsJson = False
) -> None:
    """Make a token worthless from now on."""
    from quanopy.cli.output import done
    from quanopy.client import Client

    with Client() as client:
        client.revoke_token(id)
    done(f"{id} is revoked", {"id": id, "revoked": True}, as_json=as_json)
