"""``quanopy webhook``: where the broker sends what happens."""

from typing import TYPE_CHECKING, Annotated

import typer

from quanopy.cli.arguments import AsJson
from quanopy.cli.exits import guarded
from quanopy.cli.subcommands import Subcommands

if TYPE_CHECKING:
    from quanopy.wire.webhooks import WebhookOut

app = typer.Typer(
    cls=Subcommands,
    help="Have what happens sent to a url, signed; see how that goes.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Id = Annotated[str, typer.Argument(metavar="ID", help="A webhook's id.")]


@app.command("add")
@guarded
def add(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where to: https://HOST/PATH.")],
    kind: Annotated[
        list[str] | None,
        typer.Option(
            "--kind",
            "-k",
            metavar="KIND",
            help="Only events of this kind: job.completed, 'job.*', '*'; repeat. By default the "
            "ends of jobs, and all of groups.",
        ),
    ] = None,
    job: Annotated[
        str | None, typer.Option("--job", metavar="ID", help="Only of this job.")
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            "--group", metavar="NAME", help="Only of this group and its jobs: its name, or its id."
        ),
    ] = None,
    label: Annotated[str, typer.Option("--label", help="What it is for.")] = "",
    as_json: AsJson = False,
) -> None:
    """Add a webhook. The secret that signs is printed on stdout."""
    from quanopy.cli.output import emit
    from quanopy.client import Client

    with Client() as client:
        of = None if group is None else client.find_group(group)
        made = client.webhooks.add(url, kinds=kind or (), job=job, group=of, label=label)
    if as_json:
        emit(made.model_dump(mode="json"))
        return
    typer.echo(f"{made.id}: verify its requests with this secret", err=True)
    typer.echo(made.secret)


@app.command("list")
@guarded
def list_webhooks(
    account: Annotated[
        str | None, typer.Option("--account", help="Another's, or '*': for operators.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List webhooks, and how each stands."""
    from quanopy.cli.output import emit_all, show_table
    from quanopy.client import Client

    with Client() as client:
        found = client.webhooks.list(account=account)
    if as_json:
        emit_all(found)
        return
    show_table(
        ("id", "url", "kinds", "of", "label", "state", "delivered", "why"),
        (
            (
                *(one.id, one.url, " ".join(one.kinds), one.job or one.group, one.label),
                *(one.state, one.delivered_at and one.delivered_at.astimezone()),
                one.reason or one.problem,
            )
            for one in found
        ),
    )


@app.command("show")
@guarded
def show(id: Id, as_json: AsJson = False) -> None:
    """Show how a webhook stands: what was delivered, why it fails, when it is tried again."""
    from quanopy.client import Client

    with Client() as client:
        _say(client.webhooks.get(id), as_json=as_json)


@app.command("remove")
@guarded
def remove(id: Id, as_json: AsJson = False) -> None:
    """Remove a webhook: nothing more is sent."""
    from quanopy.cli.output import done
    from quanopy.client import Client

    with Client() as client:
        client.webhooks.remove(id)
    done(f"{id} is removed", {"id": id, "removed": True}, as_json=as_json)


@app.command("pause")
@guarded
def pause(id: Id, as_json: AsJson = False) -> None:
    """Send nothing until it is resumed; nothing is left out then."""
    from quanopy.client import Client

    with Client() as client:
        _say(client.webhooks.pause(id), as_json=as_json)


@app.command("resume")
@guarded
def resume(id: Id, as_json: AsJson = False) -> None:
    """Go on from where it stood, or try what fails again now."""
    from quanopy.client import Client

    with Client() as client:
        _say(client.webhooks.resume(id), as_json=as_json)


@app.command("test")
@guarded
def try_out(
    id: Id,
    timeout: Annotated[
        float, typer.Option("--timeout", min=0.0, help="Seconds to wait, at most.")
    ] = 30.0,
    as_json: AsJson = False,
) -> None:
    """Send a test, and say whether it was delivered."""
    from quanopy.client import Client

    with Client() as client:
        _say(client.webhooks.test(id, timeout), as_json=as_json)


@app.command("secret")
@guarded
def secret(
    id: Id,
    rotate: Annotated[
        bool,
        typer.Option("--rotate", help="Make a new one; the one before it signs too, for a day."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print the secret that a webhook's requests are signed with."""
    from quanopy.cli.output import emit
    from quanopy.client import Client

    with Client() as client:
        found = client.webhooks.secret(id, rotate=rotate)
    emit({"id": id, "secret": found}) if as_json else typer.echo(found)


def _say(one: "WebhookOut", *, as_json: bool) -> None:
    from quanopy.cli.output import emit, show_table

    if as_json:
        emit(one.model_dump(mode="json", exclude={"secret"}))
        return
    shown = {
        "id": one.id,
        "url": one.url,
        "kinds": " ".join(one.kinds),
        "of": one.job or one.group or "all of the account",
        "label": one.label or None,
        "state": one.state,
        "paused because": one.reason,
        "last problem": one.problem,
        "tried in vain": one.attempts or None,
        "failing since": one.failing_since and one.failing_since.astimezone(),
        "tried again": one.next_at and one.next_at.astimezone(),
        "last delivered": one.delivered_at and one.delivered_at.astimezone(),
        "added": one.created_at.astimezone(),
    }
    show_table(("", ""), [(name, value) for name, value in shown.items() if value is not None])
