"""``quanopy replay``: a job run again with the noise it ran under, and the two compared."""

from pathlib import Path
from typing import Annotated

import typer

from quanopy.cli.arguments import AsJson, JobId


def replay(
    id: JobId,
    emulator: Annotated[
        str | None,
        typer.Option(
            "--emulator", help="Default: aer; perceval-slos for photons, pulser-qutip for atoms."
        ),
    ] = None,
    shots: Annotated[
        int | None, typer.Option("--shots", min=1, help="Default: as many as it had.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0)] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw it, as PNG or SVG.")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option("--timeout", help="Seconds to wait for the emulator.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a job again on an emulator with the noise of the calibration it ran under; compare."""
    from quanopy.cli.output import emit, show_table
    from quanopy.client import Client
    from quanopy.client.pictures import check

    if plot is not None:
        check(plot, "--plot")
    with Client() as client:
        found = client.replay(id, emulator=emulator, shots=shots, seed=seed, timeout=timeout)
    if plot is not None:
        found.plot(plot)
    if as_json:
        emit(found.as_json())
        return
    show_table(
        ("pub", "parameters", "total variation", "Hellinger"),
        (
            (one.pub, one.at, f"{one.total_variation:.4f}", f"{one.hellinger:.4f}")
            for one in found.compared
        ),
    )
    again = ", ".join(run.job.id for run in found.runs)
    typer.echo(f"{again}, calibration {found.label}", err=True)
    if plot is not None:
        typer.echo(f"drawn: {plot}", err=True)
