"""Long experiments: ``quanopy segment``, and what came of one, epoch by epoch."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quanopy.cli.arguments import AsJson, Observables, Timeout
from quanopy.cli.groups import Name, followed, say
from quanopy.cli.policies import Gap, InFlight, Stop, rules
from quanopy.cli.running import Running, with_running

if TYPE_CHECKING:
    from quanopy.client.epoch_table import EpochTable


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
        list[str] | None,
        typer.Option("--metric", "-m", metavar="NAME", help="Drawn below; repeat for several."),
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
        found = client.find_group(name).segments()
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
        found = followed(group, timeout) if wait else group.detail()
    say(found, as_json=as_json)


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
