"""``quanopy group``: jobs in order under one policy."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quanopy.cli.arguments import AsJson, Observables, Timeout
from quanopy.cli.exits import goes_on, guarded
from quanopy.cli.policies import Gap, InFlight, Order, Stop, rules
from quanopy.cli.running import Running, with_running
from quanopy.cli.subcommands import Subcommands

if TYPE_CHECKING:
    from quanopy.client.groups import Group
    from quanopy.wire.groups import GroupOut

app = typer.Typer(
    cls=Subcommands,
    help="Run jobs in order under one policy, which the broker keeps; follow how far they are.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="A group's name, or its id.")]
Meant = Annotated[
    str | None, typer.Option("--resource", "-r", help="What its jobs are meant to run on.")
]


@app.command("create")
@guarded
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to find it by again.")],
    order: Order = None,
    max_in_flight: InFlight = None,
    gap: Gap = None,
    stop: Stop = None,
    resource: Meant = None,
    as_json: AsJson = False,
) -> None:
    """Make a group, or find the one of that name."""
    from quanopy.client import Client

    with Client() as client:
        group = client.group(
            name,
            order=order,
            max_in_flight=max_in_flight,
            gap=gap,
            stop=rules(stop),
            resource=resource,
        )
        say(group.detail(), as_json=as_json)


@app.command("list")
@guarded
def list_groups(
    state: Annotated[
        list[str] | None,
        typer.Option("--state", metavar="STATE", help="Only in this state; repeat for several."),
    ] = None,
    name_prefix: Annotated[str | None, typer.Option("--name-prefix")] = None,
    account: Annotated[
        str | None, typer.Option("--account", help="Another's, or '*': for operators.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")] = 30,
    as_json: AsJson = False,
) -> None:
    """List groups, newest first, and how far each is."""
    from itertools import islice

    from quanopy.cli.output import emit_all, show_table
    from quanopy.client import Client

    filters = {"state": state, "name_prefix": name_prefix, "account": account}
    with Client() as client:
        found = list(islice(client.group_listing(**filters), limit))
    if as_json:
        emit_all(found)
        return
    if not found:
        typer.echo(
            "no groups with these filters" if any(filters.values()) else "no groups", err=True
        )
        return
    show_table(
        ("name", "state", "jobs", "done", "failed", "running", "resource", "created", "why"),
        (
            (
                *(one.name, one.state, one.size, one.progress.completed, one.progress.failed),
                *(one.progress.running, one.resource, one.created_at.astimezone(), one.reason),
            )
            for one in found
        ),
    )


@app.command("show")
@guarded
def show(
    name: Name,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Follow it to its end, with a bar.")
    ] = False,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> None:
    """Show how far a group is."""
    with _group(name) as group:
        found = followed(group, timeout) if watch else group.detail()
    say(found, as_json=as_json)


@app.command("jobs")
@guarded
def jobs(name: Name, as_json: AsJson = False) -> None:
    """List the jobs of a group, in order."""
    from quanopy.cli.output import emit_all, show_jobs

    with _group(name) as group:
        found = list(group.listing())
    emit_all(found) if as_json else show_jobs(found)


@app.command("add")
@with_running
@guarded
def add(
    name: Name,
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE", help="OpenQASM, QPY or QRMI payload files.")
    ],
    *,
    running: Running,
    observable: Observables = None,
    as_json: AsJson = False,
) -> None:
    """Add jobs at the end of a group, one for each file."""
    from quanopy.cli.jobs import drafted
    from quanopy.cli.output import emit_all, show_jobs
    from quanopy.client import Client
    from quanopy.client.standstill import beginning

    drafts = [
        drafted(
            [file], None, running.resource, observable or [], {**running.how(), "name": file.stem}
        )
        for file in files
    ]
    with Client() as client:
        group = client.find_group(name)
        found = client.states(group.extend(drafts))
        then = None if as_json else beginning(group.detail())
    emit_all(found) if as_json else show_jobs(found)
    if then is not None:
        typer.echo(f"none of them runs before the group does: `{then}`", err=True)


def _action(name: str, does: str) -> None:
    """The command that has a group do this."""

    @app.command(name, help=does)
    @guarded
    def act(group: Name, as_json: AsJson = False) -> None:
        with _group(group) as found:
            getattr(found, name)()
            say(found.detail(), as_json=as_json)


_action("run", "Begin a group, or go on after a pause.")
_action("pause", "Begin nothing more of a group until it is resumed; what runs may finish.")
_action("resume", "Go on with a group that is paused.")
_action("cancel", "End a group: what waits is cancelled, and it is asked of what runs.")


@app.command("rerun")
@guarded
def rerun(
    name: Name,
    append: Annotated[
        bool, typer.Option("--append", help="As new jobs at its end, not in their places.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run what failed of a group, or was cancelled, again."""
    from quanopy.cli.output import emit_all, progress, show_jobs
    from quanopy.client import Client

    with Client() as client:
        with progress(quiet=as_json) as bar:
            shown = bar.add_task("jobs", total=None)
            again = client.find_group(name).rerun_failed(
                replace=not append,
                on_progress=lambda done, total: bar.update(shown, completed=done, total=total),
            )
        found = client.states(again) if again else []
    emit_all(found) if as_json else show_jobs(found, none="nothing failed or was cancelled")


@app.command("change")
@guarded
def change(
    name: Name,
    new_name: Annotated[str | None, typer.Option("--name", help="What to call it.")] = None,
    order: Order = None,
    max_in_flight: InFlight = None,
    gap: Gap = None,
    stop: Stop = None,
    as_json: AsJson = False,
) -> None:
    """Give a group another name or policy; what is left out of a policy is the default again."""
    with _group(name) as group:
        group.change(
            name=new_name, order=order, max_in_flight=max_in_flight, gap=gap, stop=rules(stop)
        )
        say(group.detail(), as_json=as_json)


@app.command("remove")
@guarded
def remove(name: Name, as_json: AsJson = False) -> None:
    """Forget a group whose jobs have all ended; they stay."""
    from quanopy.cli.output import done

    with _group(name) as group:
        group.remove()
    said = f"{name} is forgotten; its jobs are there still"
    done(said, {"id": group.id, "removed": True}, as_json=as_json)


@app.command("results")
@guarded
def results(
    name: Name,
    wait: Annotated[bool, typer.Option("--wait", help="Until the group has ended.")] = False,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> None:
    """Show the results of a group's jobs, in order, gaps and all."""
    from quanopy.cli.output import console, emit, show_result

    with _group(name) as group:
        if wait:
            followed(group, timeout)
        found = group.results(partial=True)
        states = list(group.listing())
    if as_json:
        emit([None if one is None else one.to_dict() for one in found])
        return
    out = console()
    for job, result in zip(states, found, strict=False):
        out.print(f"{job.position}  {job.id}  {job.name or ''}  {job.state}", style="bold")
        if result is not None:
            show_result(result)


@contextmanager
def _group(name: str) -> "Iterator[Group]":
    """The group of this name, or of this id."""
    from quanopy.client import Client

    with Client() as client:
        yield client.find_group(name)


def followed(group: "Group", timeout: float | None) -> "GroupOut":
    """A group once it has ended or pauses; whoever ends this command, or is left with a pause, is
    told how to go on. Raises :class:`NotReady` as :meth:`Group.watch`."""
    from quanopy.client.standstill import standstill
    from quanopy.domain.groups import GroupState

    found = group.detail()
    still = None if found.state is GroupState.PAUSED else standstill(found)
    if still is not None and timeout is None:
        raise still
    with nullcontext() if still else goes_on("group", "show", group.id, "--watch"):
        found = group.watch(timeout)
    if found.state is GroupState.PAUSED:
        typer.echo(f"it is paused; go on with it: quanopy group resume {found.id}", err=True)
    return found


def say(found: "GroupOut", *, as_json: bool) -> None:
    """Show a group, and how far it is."""
    from quanopy.cli.output import emit, show_table

    if as_json:
        emit(found.model_dump(mode="json"))
        return
    done, policy = found.progress, found.policy
    show_table(
        (
            *("name", "state", "jobs", "blocked", "queued", "running", "completed", "failed"),
            *("cancelled", "shots", "resource", "next", "why"),
        ),
        [
            (
                *(found.name, found.state, found.size, done.blocked, done.queued, done.running),
                *(done.completed, done.failed, done.cancelled, done.shots, found.resource),
                *(found.next_at and found.next_at.astimezone(), found.reason),
            )
        ],
    )
    places = policy.max_in_flight or ("one" if policy.order == "sequential" else "any number")
    gap = f", {policy.gap:g} s apart" if policy.gap else ""
    typer.echo(f"  {policy.order}, {places} in flight{gap}; {found.id}")
