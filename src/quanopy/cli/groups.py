"""``quanopy group``: jobs in order under one policy; ``quanopy segment``: a long experiment."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quanopy.cli.arguments import AsJson, Observables, Timeout
from quanopy.cli.exits import guarded
from quanopy.cli.running import Running, with_running
from quanopy.cli.subcommands import Subcommands

if TYPE_CHECKING:
    from quanopy.client import Client
    from quanopy.client.epoch_table import EpochTable
    from quanopy.client.groups import Group
    from quanopy.wire.groups import GroupOut

app = typer.Typer(
    cls=Subcommands,
    help="Run jobs in order under one policy, which the broker keeps; follow how far they are.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="A group's name, or its id.")]
Order = Annotated[
    str | None,
    typer.Option("--order", help="parallel (default), or sequential: one after another."),
]
InFlight = Annotated[
    int | None,
    typer.Option(
        "--max-in-flight",
        min=1,
        help="Jobs begun and not ended; by default one if sequential, else any number.",
    ),
]
Gap = Annotated[
    str | None,
    typer.Option(
        "--gap", metavar="DURATION", help="Between the end of one and the next: 90s, 10m, 2h."
    ),
]
Stop = Annotated[
    list[str] | None,
    typer.Option(
        "--stop",
        metavar="RULE=VALUE",
        help="End at precision=0.01, seconds=600, cost=50, deadline=2026-12-31T12:00Z; pause at "
        "failures=3, calibration.cx.error=0.02; repeat for several.",
    ),
]
Meant = Annotated[
    str | None, typer.Option("--resource", "-r", help="What its jobs are meant to run on.")
]
_RULES = ("precision", "seconds", "cost", "deadline", "failures")
_CALIBRATION = "calibration."


@app.command("create")
@guarded
def create(
    name: Name,
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
        _say(group.detail(), as_json=as_json)


@app.command("list")
@guarded
def list_groups(
    state: Annotated[
        list[str] | None, typer.Option("--state", help="Only in this state; repeat for several.")
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
    from quanopy.client import Client

    with Client() as client:
        group = _named(client, name)
        found = group.watch(timeout) if watch else group.detail()
    _say(found, as_json=as_json)


@app.command("jobs")
@guarded
def jobs(name: Name, as_json: AsJson = False) -> None:
    """List the jobs of a group, in order."""
    from quanopy.cli.output import emit_all, show_jobs
    from quanopy.client import Client

    with Client() as client:
        found = list(_named(client, name).listing())
    emit_all(found) if as_json else show_jobs(found)


@app.command("add")
@with_running
@guarded
def add(
    name: Name,
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="OpenQASM, QPY or QRMI payload files.")
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

    drafts = [
        drafted(
            [file], None, running.resource, observable or [], {**running.how(), "name": file.stem}
        )
        for file in files
    ]
    with Client() as client:
        found = client.states(_named(client, name).extend(drafts))
    emit_all(found) if as_json else show_jobs(found)


@app.command("run")
@guarded
def run(name: Name, as_json: AsJson = False) -> None:
    """Begin a group, or go on after a pause."""
    _act(name, "run", as_json=as_json)


@app.command("pause")
@guarded
def pause(name: Name, as_json: AsJson = False) -> None:
    """Begin nothing more of a group until it is resumed; what runs may finish."""
    _act(name, "pause", as_json=as_json)


@app.command("resume")
@guarded
def resume(name: Name, as_json: AsJson = False) -> None:
    """Go on with a group that is paused."""
    _act(name, "resume", as_json=as_json)


@app.command("cancel")
@guarded
def cancel(name: Name, as_json: AsJson = False) -> None:
    """End a group: what waits is cancelled, and it is asked of what runs."""
    _act(name, "cancel", as_json=as_json)


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
    from quanopy.cli.output import emit_all, show_jobs
    from quanopy.client import Client

    with Client() as client:
        found = client.states(_named(client, name).rerun_failed(replace=not append))
    emit_all(found) if as_json else show_jobs(found)


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
    from quanopy.client import Client

    with Client() as client:
        group = _named(client, name).change(
            name=new_name, order=order, max_in_flight=max_in_flight, gap=gap, stop=rules(stop)
        )
        _say(group.detail(), as_json=as_json)


@app.command("remove")
@guarded
def remove(name: Name) -> None:
    """Forget a group whose jobs have all ended; they stay."""
    from quanopy.client import Client

    with Client() as client:
        _named(client, name).remove()
    typer.echo(f"{name} is forgotten; its jobs are there still", err=True)


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
    from quanopy.client import Client

    with Client() as client:
        group = _named(client, name)
        if wait:
            group.watch(timeout)
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


@app.command("segments")
@guarded
def segments(
    name: Name,
    outcome: Annotated[
        str | None, typer.Option("--outcome", help="The probability of this outcome.")
    ] = None,
    observable: Annotated[
        str | None, typer.Option("--observable", help="Of counts: Z and I, a letter a bit.")
    ] = None,
    pub: Annotated[int, typer.Option("--pub", min=0)] = 0,
    metric: Annotated[
        list[str] | None, typer.Option("--metric", "-m", help="Drawn below; repeat for several.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw it, as PNG or SVG.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what came of an experiment, epoch by epoch of its calibration."""
    from quanopy.cli.output import console, emit
    from quanopy.client import Client

    which: dict[str, Any] = {"pub": pub, "outcome": outcome, "observable": observable}
    with Client() as client:
        found = _named(client, name).segments()
        table = found.table(**which)
        if plot is not None:
            found.plot(plot, metric=metric, **which)
            typer.echo(f"drawn: {plot}", err=True)
    if as_json:
        emit(_document(table))
    else:
        console().print(table)


@with_running
def segment(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="OpenQASM, QPY or a payload.")],
    *,
    name: Annotated[str, typer.Option("--name", help="What to find it by again.")],
    running: Running,
    total_shots: Annotated[
        int | None,
        typer.Option("--total-shots", min=1, help="Of all segments; --shots is of each."),
    ] = None,
    count: Annotated[
        int | None, typer.Option("--count", min=1, help="So many segments, all alike.")
    ] = None,
    observable: Observables = None,
    max_in_flight: InFlight = 2,
    gap: Gap = None,
    stop: Stop = None,
    override: Annotated[
        bool, typer.Option("--override", help="Attach though it is of another resource.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Follow it to its end, with a bar.")] = False,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> None:
    """Cut a long experiment into segments, which the broker runs one after another."""
    from quanopy.cli.jobs import drafted
    from quanopy.client import Client
    from quanopy.domain.errors import Invalid

    if (total_shots is None) == (count is None):
        raise Invalid("say how many segments", hint="Give --total-shots and --shots, or --count.")
    if total_shots is not None and running.shots is None:
        raise Invalid("say how many shots each has", where="--shots")
    how = running.how()
    if total_shots is not None:
        how["shots"] = None
    draft = drafted([file], None, running.resource, observable or [], how)
    with Client() as client:
        group = client.segment(
            draft,
            name=name,
            total_shots=total_shots,
            shots=running.shots if total_shots is not None else None,
            count=count,
            max_in_flight=max_in_flight,
            gap=gap,
            stop_when=rules(stop),
            resource=running.resource,
            override=override,
        )
        found = group.watch(timeout) if wait else group.detail()
    _say(found, as_json=as_json)


def _document(table: "EpochTable") -> dict[str, Any]:
    """What a table of epochs says, for programs."""
    from dataclasses import asdict

    return {
        "figure": str(table.figure),
        "epochs": [_plain(asdict(row)) for row in table],
        "all": None if table.total is None else _plain(asdict(table.total)),
        "notes": table.notes,
    }


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        name: [None if one is None else str(one) for one in value]
        if isinstance(value, tuple)
        else value
        for name, value in fields.items()
    }


def rules(given: list[str] | None) -> dict[str, Any] | None:
    """Stop rules from ``name=value`` each; a calibration's are ``calibration.METRIC=LIMIT``."""
    from quanopy.domain.errors import Invalid

    found: dict[str, Any] = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not equals:
            raise Invalid(f"{text[:60]!r} is no RULE=VALUE", where="--stop")
        try:
            known = json.loads(value)
        except ValueError:
            known = value
        of, named = found, name
        if name.startswith(_CALIBRATION):
            of, named = found.setdefault("calibration", {}), name.removeprefix(_CALIBRATION)
        if named in of:
            raise Invalid(f"{name[:60]} is given twice", where="--stop")
        if of is found and name not in _RULES:
            hint = f"Rules are {', '.join(_RULES)} and calibration.METRIC."
            raise Invalid(f"there is no rule {name[:60]!r}", where="--stop", hint=hint)
        of[named] = known
    return found or None


def _named(client: "Client", name: str) -> "Group":
    return client.find_group(name)


def _act(name: str, action: str, *, as_json: bool) -> None:
    from quanopy.client import Client

    with Client() as client:
        group = _named(client, name)
        getattr(group, action)()
        _say(group.detail(), as_json=as_json)


def _say(found: "GroupOut", *, as_json: bool) -> None:
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
