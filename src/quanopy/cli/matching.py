"""``quanopy match``: which resources fit what a job asks for, and why the others do not."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quanopy.cli.arguments import AsJson

if TYPE_CHECKING:
    from quanopy.wire.matching import CandidateOut, MatchOut

FITTING = ("rank", "resource", "qubits", "queued", "wait", "cost", "2q error", "calibrated")
REJECTED = ("why not", "resources", "which")
SHOWN = 10
"""Resources that fit, the best of them, where not all are asked for."""
NAMED = 4
"""Resources that are named of those with one reason."""
_WAYS = {"hardware": "asked for with --hardware, --technology or --max-cost"}
Bounds = list[str] | None


def match(
    qubits: Annotated[int | None, typer.Option("--qubits", "-n", min=1)] = None,
    gate: Annotated[
        list[str] | None, typer.Option("--gate", metavar="GATE", help="Repeat for several.")
    ] = None,
    connectivity: Annotated[
        str | None,
        typer.Option("--connectivity", help="all, linear, ring, or pairs of qubits: 0-1,1-2,1-3."),
    ] = None,
    technology: Annotated[
        list[str] | None, typer.Option("--technology", metavar="NAME", help="Repeat for several.")
    ] = None,
    simulator: Annotated[
        bool | None,
        typer.Option("--simulator/--hardware", help="Emulators alone, or hardware alone."),
    ] = None,
    fidelity: Annotated[
        float | None, typer.Option("--fidelity", help="Least, of two-qubit gates (median).")
    ] = None,
    at_most: Annotated[
        Bounds,
        typer.Option(
            "--at-most",
            metavar="NAME=NUMBER",
            help="Noise: readout_error=0.02; repeat for several.",
        ),
    ] = None,
    at_least: Annotated[
        Bounds,
        typer.Option(
            "--at-least", metavar="NAME=NUMBER", help="Noise: T1=1e-4; repeat for several."
        ),
    ] = None,
    max_queue: Annotated[int | None, typer.Option("--max-queue", help="Tasks waiting.")] = None,
    max_wait: Annotated[str | None, typer.Option("--max-wait", help="Seconds, or 2h.")] = None,
    max_cost: Annotated[float | None, typer.Option("--max-cost", help="Of the job.")] = None,
    max_calibration_age: Annotated[
        str | None, typer.Option("--max-calibration-age", help="Seconds, or 2h.")
    ] = None,
    policy: Annotated[
        str | None, typer.Option("--policy", help="least-busy, best-calibrated or cheapest.")
    ] = None,
    kind: Annotated[str | None, typer.Option("--kind", help="sample, estimate or run.")] = None,
    format_: Annotated[
        list[str] | None,
        typer.Option("--format", metavar="FORMAT", help="Of programs; repeat for several."),
    ] = None,
    shots: Annotated[int | None, typer.Option("--shots", "-s", help="For the cost.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Each resource, also those that do not fit.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show which resources fit, the best first, and why the others do not; 1 if none does."""
    from quanopy.cli.output import emit
    from quanopy.client import Client

    requires: dict[str, Any] = {
        "qubits": qubits,
        "gates": gate,
        "connectivity": _connectivity(connectivity),
        "technology": technology,
        "simulator": simulator,
        "fidelity": fidelity,
        "metrics": _metrics(at_most, at_least),
        "max_queue": max_queue,
        "max_wait": max_wait,
        "max_cost": max_cost,
        "max_calibration_age": max_calibration_age,
        "policy": policy,
    }
    asked = {name: value for name, value in requires.items() if value is not None}
    with Client() as client:
        found = client.match(asked, kind=kind, formats=format_ or (), shots=shots)
    if as_json:
        emit(found.model_dump(mode="json"))
    else:
        _show(found, everything=everything)
    if not any(one.rank for one in found.resources):
        raise typer.Exit(1)


def _show(found: "MatchOut", *, everything: bool) -> None:
    """Those that fit, the best first; the others by reason, or each with all its reasons."""
    from quanopy.cli.output import show_table

    fitting = [one for one in found.resources if one.rank]
    rejected = [one for one in found.resources if not one.rank]
    typer.echo(f"{len(fitting)} of {len(found.resources)} resources fit; {_FIRST[found.policy]}")
    shown = fitting if everything else fitting[:SHOWN]
    if shown:
        show_table(FITTING, (_row(one) for one in shown))
    if len(shown) < len(fitting):
        typer.echo(f"and {len(fitting) - len(shown)} more that fit: --all", err=True)
    if rejected and everything:
        show_table(("resource", "why not"), ((o.name, "; ".join(o.reasons)) for o in rejected))
    elif rejected:
        show_table(REJECTED, _by_reason(rejected))
        typer.echo("each with all its reasons: --all", err=True)


_FIRST = {
    "least-busy": "the one that starts soonest first",
    "best-calibrated": "the one with the least error of two-qubit gates first",
    "cheapest": "the cheapest first",
}


def _by_reason(rejected: "Sequence[CandidateOut]") -> Iterator[tuple[object, ...]]:
    """Kinds of reasons, those of the most resources first, each with some of these."""
    names: dict[str, list[str]] = {}
    for one in rejected:
        for kind in dict.fromkeys(reason.partition(":")[0] for reason in one.reasons):
            names.setdefault(kind, []).append(one.name)
    said = {one.name: one.reasons for one in rejected}
    for kind, of in sorted(names.items(), key=lambda item: -len(item[1])):
        whys = {why for name in of for why in said[name] if why.partition(":")[0] == kind}
        why = whys.pop() if len(whys) == 1 else kind
        more = f" and {len(of) - NAMED} more" if len(of) > NAMED else ""
        way = f"; {_WAYS[kind]}" if kind in _WAYS else ""
        yield (why + way, len(of), ", ".join(of[:NAMED]) + more)


def _row(one: "CandidateOut") -> tuple[object, ...]:
    from quanopy.domain.durations import duration_text

    age = one.calibration_age_s
    return (
        one.rank,
        one.name,
        one.qubits,
        one.queued,
        f"{one.wait_s:.1f} s",
        None if one.cost is None else f"{one.cost:.6g}",
        None if one.two_qubit_error is None else f"{one.two_qubit_error:.2e}",
        None if age is None else f"{duration_text(age)} ago",
    )


def _connectivity(text: str | None) -> str | list[list[int]] | None:
    """A shape by its name, or pairs of qubits."""
    from quanopy.domain.errors import Invalid

    if text is None or "-" not in text:
        return text
    try:
        pairs = [[int(qubit) for qubit in pair.split("-")] for pair in text.split(",")]
    except ValueError:
        raise Invalid(
            f"{text[:60]!r} are no pairs of qubits",
            where="--connectivity",
            hint="For example 0-1,1-2; or a shape: all, linear, ring.",
        ) from None
    return pairs


def _metrics(at_most: Bounds, at_least: Bounds) -> dict[str, dict[str, float]] | None:
    found: dict[str, dict[str, float]] = {}
    for option, side, given in (
        ("--at-most", "most", at_most),
        ("--at-least", "least", at_least),
    ):
        for text in given or ():
            name, value = _bound(option, text)
            found.setdefault(name, {})[side] = value
    return found or None


def _bound(option: str, text: str) -> tuple[str, float]:
    from quanopy.domain.errors import Invalid

    name, _, value = text.rpartition("=")
    try:
        return name, float(value)
    except ValueError:
        raise Invalid(
            f"{text[:60]!r} is no NAME=NUMBER", where=option, hint="For example T1=1e-4."
        ) from None
