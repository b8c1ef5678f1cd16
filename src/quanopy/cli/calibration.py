"""``quanopy calibration``: what a resource is and was like, and what a job ran under."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quanopy.cli.arguments import AsJson
from quanopy.cli.pairs import time_of
from quanopy.cli.standing import SHORT, recalibrated

if TYPE_CHECKING:
    from datetime import datetime

    from quanopy.client import Client
    from quanopy.wire.calibrations import CalibrationOut, Metrics, SnapshotOut


def calibration(
    resource: Annotated[
        str | None, typer.Argument(metavar="RESOURCE", help="The resource's name.")
    ] = None,
    job: Annotated[
        str | None, typer.Option("--job", metavar="ID", help="What this job ran under.")
    ] = None,
    qubit: Annotated[
        list[int] | None,
        typer.Option("--qubit", "-q", min=0, metavar="QUBIT", help="Only of this qubit; repeat."),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric", "-m", metavar="NAME", help="Only this metric, qubit by qubit; repeat."
        ),
    ] = None,
    history: Annotated[
        bool, typer.Option("--history", help="The calibrations that were seen, newest first.")
    ] = False,
    since: Annotated[
        str | None,
        typer.Option("--since", help="From then on: 7d, 12h, or an ISO 8601 time."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000)] = 100,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE", help="Draw how it drifted, as PNG or SVG."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show how a resource is calibrated, or was, or what a job ran under."""
    from quanopy.client import Client
    from quanopy.domain.errors import Invalid

    if (resource is None) == (job is None):
        raise Invalid("name a resource, or a job with --job, not both", where="calibration")
    if job is not None and (history or plot or since):
        raise Invalid("what a job ran under has no history", where="--job")
    begin = None if since is None else time_of(since, "--since")
    with Client() as client:
        if job is not None:
            _of_job(client, job, as_json=as_json)
        elif plot is not None:
            _plot(client, resource or "", plot, begin, metric or [], qubit or [], limit)
        elif history or since is not None:
            _history(client, resource or "", begin, metric or [], limit, as_json=as_json)
        else:
            _now(client, resource or "", metric or [], qubit or [], as_json=as_json)


def _now(
    client: "Client",
    resource: str,
    metrics: Sequence[str],
    qubits: Sequence[int],
    *,
    as_json: bool,
) -> None:
    from quanopy.cli.output import emit
    from quanopy.domain.errors import NotFound

    found = client.calibration_of(resource, metrics=metrics)
    if found.snapshot is not None and found.snapshot.metrics is not None:
        numbers = _of_qubits(found.snapshot.metrics, qubits)
        shown = found.snapshot.model_copy(update={"metrics": numbers})
        found = found.model_copy(update={"snapshot": shown})
    if as_json:
        emit(found.model_dump(mode="json"))
        return
    _say(found)
    if found.snapshot is None:
        return
    if metrics or qubits:
        if not found.snapshot.metrics:
            wanted = ", ".join([*metrics, *(f"qubit {one}" for one in qubits)])
            raise NotFound(
                f"the calibration of {resource} has no number of {wanted}",
                where="--metric" if metrics else "--qubit",
                hint=f"`quanopy calibration {resource}` shows its metrics.",
            )
        _show_numbers(found.snapshot.metrics)
    else:
        _show_summary(found.snapshot.metrics or {})


def _say(found: "CalibrationOut") -> None:
    """How things stand, in a line or two."""
    from quanopy.domain.durations import duration_text

    if found.problem is not None:
        typer.echo(
            f"{found.resource} did not tell its calibration: {found.problem.message}", err=True
        )
    shown = found.snapshot
    if shown is None:
        silent = found.published is False and found.problem is None
        why = "publishes no calibration" if silent else "has not told its calibration yet"
        typer.echo(f"{found.resource} {why}", err=True)
        return
    at = shown.calibrated_at
    said = f"calibrated {at.astimezone():%Y-%m-%d %H:%M:%S %Z}" if at else "of unknown time"
    named = f", {shown.vendor_id}" if shown.vendor_id else ""
    typer.echo(f"{shown.resource}: {said} ({duration_text(shown.age_s)} ago){named}")
    typer.echo(f"{shown.digest}, seen {shown.seen_from.astimezone():%Y-%m-%d %H:%M:%S}")


def _of_qubits(metrics: "Metrics", qubits: Sequence[int]) -> "Metrics":
    """Numbers of these qubits, alone or with others."""
    wanted = {str(qubit) for qubit in qubits}
    if not wanted:
        return metrics
    some = {
        name: {targets: one for targets, one in places.items() if wanted & {*targets.split(",")}}
        for name, places in metrics.items()
    }
    return {name: places for name, places in some.items() if places}


def _show_summary(metrics: "Metrics") -> None:
    from statistics import median

    from quanopy.cli.output import show_table

    rows = []
    # Of the device as a whole there may be hundreds, each a metric of its own.
    local = {name: places for name, places in metrics.items() if {*places} != {""}}
    if not local:
        _show_numbers(metrics)
        return
    for name, places in sorted(local.items()):
        values = [one.value for one in places.values()]
        unit = next(iter(places.values())).unit
        spread = (_value(v, unit) for v in (median(values), min(values), max(values)))
        rows.append((name, len(values), *spread))
    show_table(("metric", "of", "median", "least", "most"), rows)
    if rest := len(metrics) - len(local):
        typer.echo(f"and {rest} of the device as a whole: --metric NAME, or --json", err=True)


def _show_numbers(metrics: "Metrics") -> None:
    from quanopy.cli.output import show_table

    rows = [
        (
            name,
            targets or "device",
            _value(one.value, one.unit),
            one.measured_at.astimezone() if one.measured_at else None,
        )
        for name, places in sorted(metrics.items())
        for targets, one in sorted(places.items(), key=lambda item: _order(item[0]))
    ]
    show_table(("metric", "qubits", "value", "measured"), rows)


def _order(targets: str) -> tuple[int, ...]:
    return tuple(int(one) for one in targets.split(",") if one.isdigit())


_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"))


def _value(value: float, unit: str) -> str:
    """A number to read: times and frequencies with a prefix, ratios as they are."""
    if unit not in ("s", "Hz") or not value:
        return f"{value:.4g} {unit}".strip()
    size, prefix = next(
        ((size, prefix) for size, prefix in _PREFIXES if abs(value) >= size), _PREFIXES[-1]
    )
    return f"{value / size:.4g} {prefix}{unit}"


def _history(
    client: "Client",
    resource: str,
    since: "datetime | None",
    metrics: Sequence[str],
    limit: int,
    *,
    as_json: bool,
) -> None:
    from statistics import median

    from quanopy.cli.output import emit_all, show_table

    found = client.calibrations(resource, since=since, metrics=metrics, limit=limit)
    if as_json:
        emit_all(found)
        return
    if not found:
        typer.echo(f"no calibration of {resource} was seen", err=True)
        return

    def middle(snapshot: "SnapshotOut", name: str) -> str | None:
        places = (snapshot.metrics or {}).get(name) or {}
        values = list(places.values())
        return _value(median(one.value for one in values), values[0].unit) if values else None

    rows = [
        (
            one.calibrated_at.astimezone() if one.calibrated_at else None,
            one.seen_from.astimezone(),
            one.seen_until.astimezone(),
            one.digest[:SHORT],
            one.vendor_id,
            one.count,
            *(middle(one, name) for name in metrics),
        )
        for one in found
    ]
    columns = ("calibrated", "seen from", "until", "digest", "named", "numbers")
    show_table((*columns, *(f"{name} (median)" for name in metrics)), rows)


def _plot(
    client: "Client",
    resource: str,
    file: Path,
    since: "datetime | None",
    metrics: Sequence[str],
    qubits: Sequence[int],
    limit: int,
) -> None:
    from quanopy.cli.drift import draw, usual
    from quanopy.domain.errors import NotFound

    wanted = list(metrics)
    if not wanted:
        latest = client.calibration_of(resource).snapshot
        wanted = usual(latest.metrics or {}) if latest is not None else []
    found = (
        client.calibrations(resource, since=since, metrics=wanted, limit=limit) if wanted else []
    )
    if not any(snapshot.metrics for snapshot in found):
        raise NotFound(
            f"there is nothing to draw of {resource}",
            hint=f"See what there is with `quanopy calibration {resource}`.",
        )
    draw(file, resource, found, wanted, qubits)
    typer.echo(f"{file}: of {resource}, calibrations: {len(found)}", err=True)


def _of_job(client: "Client", job_id: str, *, as_json: bool) -> None:
    from quanopy.cli.output import emit, show_table

    executions = client.job(job_id).detail().executions
    if as_json:
        emit(
            [{"execution": one.id, **one.calibration.model_dump(mode="json")} for one in executions]
        )
        return
    if not executions:
        typer.echo("nothing of it has run yet", err=True)
        return

    def short(digest: str | None) -> str | None:
        return digest and digest[:SHORT]

    known = [(one, one.calibration) for one in executions]
    show_table(
        ("execution", "state", "label", "ran under", "at submission", "at start", "at end"),
        (
            (
                *(one.id, one.state, bound.label, short(bound.snapshot)),
                *(short(bound.submitted), short(bound.started), short(bound.ended)),
            )
            for one, bound in known
        ),
    )
    for one, bound in known:
        if bound.warning:
            typer.echo(f"{one.id}: {recalibrated(bound)}", err=True)
