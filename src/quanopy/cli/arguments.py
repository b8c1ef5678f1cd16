"""Arguments and options that several commands share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from quanopy.client import How

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
JobId = Annotated[str, typer.Argument(metavar="ID", help="A job's id.")]
JobIds = Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of jobs.")]
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


def required(given: list[str] | None) -> "dict[str, Any] | None":
    """Requirements of a resource from ``name=value`` each, where values are JSON or text."""
    import json

    from quanopy.domain.errors import Invalid

    found: dict[str, Any] = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not equals:
            raise Invalid(f"{text[:60]!r} is no NAME=VALUE", where="--require")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found or None


def how_to_run(
    *,
    shots: int | None,
    precision: float | None,
    seed: int | None,
    memory: bool,
    optimization_level: int | None,
    no_compile: bool,
    seed_transpiler: int | None,
) -> "How":
    """These options as a job has them; those that were not given are left to the resource.

    Raises ``Invalid`` for options of compiling where nothing is to be compiled.
    """
    from quanopy.domain.errors import Invalid

    if no_compile and (optimization_level is not None or seed_transpiler is not None):
        raise Invalid(
            "nothing is compiled, so there is nothing to optimise",
            where="--no-compile",
            hint="Leave out --optimization-level and --seed-transpiler, or --no-compile.",
        )
    how: How = {
        "shots": shots,
        "precision": precision,
        "seed": seed,
        "optimization_level": optimization_level,
        "seed_transpiler": seed_transpiler,
    }
    if memory:
        how["memory"] = True
    if no_compile:
        how["compile"] = False
    return how
