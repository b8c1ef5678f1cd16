"""``quanopy sweep``: one program at many points of its inputs."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quanopy.cli.arguments import AsJson, Observables, Timeout
from quanopy.cli.running import Running, with_running

if TYPE_CHECKING:
    from quanopy.client.sweep_result import SweepResult


@with_running
def sweep(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="OpenQASM 3 with inputs, or QPY.")],
    *,
    over: Annotated[
        list[str],
        typer.Option(
            "--over",
            metavar="NAME=VALUES",
            help="An input and its values: phi=0:3.14:11 (from, to, how many), or phi=0,0.5,1; "
            "repeat for several, each with each.",
        ),
    ],
    together: Annotated[
        bool, typer.Option("--zip", help="The first of each input together, and so on.")
    ] = False,
    observable: Observables = None,
    scatter: Annotated[
        list[str] | None,
        typer.Option(
            "--scatter",
            metavar="RESOURCE[=SHARE]",
            help="Split the points among resources, as their lanes or shares are; repeat.",
        ),
    ] = None,
    job: Annotated[
        list[str] | None,
        typer.Option("--job", metavar="ID", help="Run nothing: join what these jobs gave."),
    ] = None,
    running: Running,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> None:
    """Run a program at many points of its inputs, and show what each gave."""
    from quanopy.cli.observables import parse_observable
    from quanopy.cli.output import console, emit
    from quanopy.client import Client

    values = dict(_values(text) for text in over)
    asked = [parse_observable(text) for text in observable or ()]
    with Client() as client:
        found = client.sweep(
            file,
            values,
            asked[0] if len(asked) == 1 else asked or None,
            combine="zip" if together else "product",
            resource=running.resource,
            scatter=_shares(scatter),
            jobs=job or (),
            **running.how(),
        )
        if not job:
            typer.echo(f"submitted: {' '.join(one.id for one in found.jobs)}", err=True)
        result = found.result(timeout)
    emit(_document(result)) if as_json else console().print(result)


def _values(text: str) -> tuple[str, list[float]]:
    from quanopy.domain.errors import Invalid

    name, equals, given = text.partition("=")
    try:
        if ":" in given:
            first, last, count = given.split(":")
            numbers = _spread(float(first), float(last), int(count))
        else:
            numbers = [float(one) for one in given.split(",")]
    except ValueError:
        numbers = []
    if not (name and equals and numbers):
        raise Invalid(
            f"{text[:60]!r} is no NAME=VALUES",
            where="--over",
            hint="Write phi=0:3.14:11, or phi=0,0.5,1.",
        )
    return name, numbers


def _spread(first: float, last: float, count: int) -> list[float]:
    """So many values, evenly from the first to the last."""
    if count < 2:
        raise ValueError("fewer than two values")
    return [first + (last - first) * at / (count - 1) for at in range(count)]


def _shares(given: Sequence[str] | None) -> "list[str] | dict[str, float] | None":
    from quanopy.domain.errors import Invalid

    if not given:
        return None
    if not any("=" in one for one in given):
        return list(given)
    try:
        return {name: float(share or 1) for name, _, share in (one.partition("=") for one in given)}
    except ValueError as error:
        raise Invalid(f"a share is no number: {error}", where="--scatter") from None


def _document(result: "SweepResult") -> dict[str, Any]:
    """What a sweep gave, for programs."""
    kinds = ("counts", "evs", "stds")
    numbers: dict[str, Any] = {kind: result.pub[kind] for kind in kinds if kind in result.pub}
    return {
        "shape": list(result.shape),
        "values": {name: array.tolist() for name, array in result.values.items()},
        **numbers,
        "resources": result.resources.tolist(),
        "calibrations": result.calibrations.tolist(),
        "jobs": [one.job_id for one in result.jobs],
    }
