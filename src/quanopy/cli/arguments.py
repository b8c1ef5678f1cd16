"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
JobId = Annotated[str, typer.Argument(metavar="ID", help="A job's id.")]
JobIds = Annotated[list[str], typer.Argument(metavar="ID", help="Ids of jobs.")]
Resource = Annotated[
    str | None,
    typer.Option(
        "--resource", "-r", help="What to run on; by default QUANOPY_RESOURCE, or the emulator aer."
    ),
]
Requires = Annotated[
    list[str] | None,
    typer.Option(
        "--require",
        metavar="NAME=VALUE",
        help="What to run on, by what it must be: qubits=20, connectivity=linear, simulator=false, "
        "policy=cheapest …; repeat for several. See `quanopy match`.",
    ),
]
Shots = Annotated[
    int | None, typer.Option("--shots", "-s", min=1, max=2**31 - 1, help="Shots of each circuit.")
]
Precision = Annotated[
    float | None,
    typer.Option(
        "--precision", min=0.0, max=1e3, help="Wanted standard error; 0 is exact, if it can be."
    ),
]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="Makes results repeatable.")]
Memory = Annotated[
    bool, typer.Option("--memory", help="Keep each shot's outcome in order, not only counts.")
]
Level = Annotated[
    int | None,
    typer.Option(
        "--optimization-level",
        min=0,
        max=3,
        help="Compile with this, also what fits; by default the resource's, for what does not.",
    ),
]
NoCompile = Annotated[
    bool, typer.Option("--no-compile", help="Refuse what does not fit the resource as it stands.")
]
SeedTranspiler = Annotated[
    int | None,
    typer.Option("--seed-transpiler", min=0, max=2**32 - 1, help="Makes compiling repeatable."),
]
MaxCalibrationAge = Annotated[
    str | None,
    typer.Option(
        "--max-calibration-age",
        metavar="DURATION",
        help="Run only under a calibration younger than this (90s, 15m, 2h, 7d); wait for one.",
    ),
]
MaxCalibrationWait = Annotated[
    str | None,
    typer.Option(
        "--max-calibration-wait", metavar="DURATION", help="How long to wait for one, at most."
    ),
]
SameCalibration = Annotated[
    str | None,
    typer.Option(
        "--same-calibration-as",
        metavar="ID",
        help="Run only under the calibration that this job ran under.",
    ),
]
Observables = Annotated[
    list[str] | None,
    typer.Option(
        "--observable",
        metavar="PAULI",
        help="Pauli label (ZZ), weighted sum (0.5*ZZ - 1.2*XI) or JSON mapping of labels to "
        "coefficients; repeat for several. Asks for expectation values.",
    ),
]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="Write to this file, whole or not at all.")
]
Timeout = Annotated[
    float | None, typer.Option("--timeout", min=0.0, help="Seconds to wait, at most.")
]
Data = Annotated[
    Path | None, typer.Option("--data", help="Folder of the broker's data; default QUANOPY_DATA.")
]
