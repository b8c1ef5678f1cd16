"""``quanopy sweep``: one program at many points of its inputs."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quanopy.cli.arguments import AsJson, Observables, Timeout
from quanopy.cli.pairs import pairs
from quanopy.cli.running import Running, with_running

if TYPE_CHECKING:
    from quanopy.client.sweep_result import SweepResult

MOST = 1_000_000
"""Values of an input."""


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

    values = _over(over)
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


def _values(text: str) -> list[float]:
    """Numbers from ``0:3.14:11`` or ``0,0.5,1``; none where it is neither."""
    try:
        if ":" not in text:
            return [float(one) for one in text.split(",")]
        first, last, count = text.split(":")
        return _spread(float(first), float(last), int(count))
    except ValueError:
        return []


def _over(given: Sequence[str]) -> dict[str, list[float]]:
    from quanopy.domain.errors import Invalid

    hint = f"Write phi=0:3.14:11, or phi=0,0.5,1; at most {MOST:,} values."
    named = pairs(given, "--over", form="NAME=VALUES", hint=hint)
    found = {name: _values(text) for name, text in named.items()}
    for name, numbers in found.items():
        if not numbers:
            text = f"{name}={named[name]}"
            raise Invalid(f"{text[:60]!r} is no NAME=VALUES", where="--over", hint=hint)
    return found


def _spread(first: float, last: float, count: int) -> list[float]:
    """So many values, evenly from the first to the last."""
    if not 2 <= count <= MOST:
        raise ValueError("too few values, or too many")
    return [first + (last - first) * at / (count - 1) for at in range(count)]


def _shares(given: Sequence[str] | None) -> "list[str] | dict[str, float] | None":
    from quanopy.domain.errors import Invalid

    if not given:
        return None
    if not any("=" in one for one in given):
        return list(given)
    shares = pairs([one if "=" in one else f"{one}=1" for one in given], "--scatter")
    try:
        return {name: float(share) for name, share in shares.items()}
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
