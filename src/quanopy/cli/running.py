"""How a job is to run: the options that every command has which submits one."""

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from typing import TYPE_CHECKING, Any

from quanopy.cli.arguments import (
    Level,
    MaxCalibrationAge,
    MaxCalibrationWait,
    Memory,
    NoCompile,
    Precision,
    Requires,
    Resource,
    SameCalibration,
    Seed,
    SeedTranspiler,
    Shots,
)
from quanopy.cli.pairs import pairs

if TYPE_CHECKING:
    from quanopy.client import How


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """What was asked on the command line; what was not is left to the resource."""

    resource: Resource = None
    require: Requires = None
    shots: Shots = None
    precision: Precision = None
    seed: Seed = None
    memory: Memory = False
    optimization_level: Level = None
    no_compile: NoCompile = False
    seed_transpiler: SeedTranspiler = None
    max_calibration_age: MaxCalibrationAge = None
    max_calibration_wait: MaxCalibrationWait = None
    same_calibration_as: SameCalibration = None

    def how(self) -> "How":
        """These options as a job has them.

        Raises ``Invalid`` for options of compiling where nothing is to be compiled, and for a
        requirement that is no NAME=VALUE.
        """
        from quanopy.domain.errors import Invalid

        compiling = self.optimization_level is not None or self.seed_transpiler is not None
        if self.no_compile and compiling:
            raise Invalid(
                "nothing is compiled, so there is nothing to optimise",
                where="--no-compile",
                hint="Leave out --optimization-level and --seed-transpiler, or --no-compile.",
            )
        how: How = {
            "shots": self.shots,
            "precision": self.precision,
            "seed": self.seed,
            "optimization_level": self.optimization_level,
            "seed_transpiler": self.seed_transpiler,
            "max_calibration_age": self.max_calibration_age,
            "max_calibration_wait": self.max_calibration_wait,
            "same_calibration_as": self.same_calibration_as,
            "requires": required(self.require),
        }
        if self.memory:
            how["memory"] = True
        if self.no_compile:
            how["compile"] = False
        return how


def with_running(command: Callable[..., None]) -> Callable[..., None]:
    """The command, with an option for each field of :class:`Running` in the place of its
    keyword-only parameter ``running``, which it is given them in."""
    shared = [
        inspect.Parameter(
            one.name, inspect.Parameter.KEYWORD_ONLY, default=one.default, annotation=one.type
        )
        for one in fields(Running)
    ]

    @wraps(command)
    def called(**given: Any) -> None:
        command(running=Running(**{one.name: given.pop(one.name) for one in shared}), **given)

    own = inspect.signature(command)
    options = [
        option
        for one in own.parameters.values()
        for option in (shared if one.name == "running" else [one])
    ]
    called.__signature__ = own.replace(parameters=options)  # type: ignore[attr-defined]
    return called


def required(given: list[str] | None) -> dict[str, Any] | None:
    """Requirements of a resource from ``name=value`` each, where values are JSON or text."""
    found: dict[str, Any] = {}
    for name, value in pairs(given, "--require").items():
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found or None
