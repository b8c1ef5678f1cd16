"""In a child process: programs of atoms on Bloqade's own emulator.

A program is a ``braket.ir.ahs.program`` of a stranger's; it is built again with Bloqade's builder,
whose units are micrometres, microseconds and radians a microsecond.
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from bloqade.analog import start
from braket.ir.ahs.program_v1 import Program

from quanopy.domain.errors import Invalid
from quanopy.ports.providers import Outcome, Work
from quanopy.providers.braket.natives import native_pubs
from quanopy.providers.braket.results import AHS_RESULT
from quanopy.providers.emulated import outcome

_MICRO = 1e6


def emulate(works: Sequence[Work]) -> list[Outcome]:
    """Run a batch, one work after another; a bad one fails alone."""
    return [outcome(work, partial(native_pubs, work, atoms)) for work in works]


def atoms(program: bytes, shots: int, seed: int | None) -> dict[str, Any]:
    """A result as Braket's schema has it. Bloqade draws from NumPy's common generator."""
    try:
        parsed = Program.parse_raw(program)
    except ValueError as error:
        raise Invalid(f"no braket-ahs program: {error}"[:300]) from None
    filling = list(parsed.setup.ahs_register.filling)
    np.random.seed(seed)
    found = _routine(parsed).bloqade.python().run(shots).report().bitstrings(False)
    rows = [[int(bit) for bit in row] for row in found[0]]
    return {
        "braketSchemaHeader": {"name": AHS_RESULT, "version": "1"},
        "taskMetadata": {"shots": shots, "deviceId": "bloqade"},
        "measurements": [_shot(row, filling) for row in rows],
    }


def _shot(row: Sequence[int], filling: Sequence[int]) -> dict[str, Any]:
    """A shot, with the sites that were left empty in their places again."""
    seen = iter(row)
    return {
        "shotMetadata": {"shotStatus": "Success"},
        "shotResult": {
            "preSequence": [int(bool(one)) for one in filling],
            "postSequence": [next(seen) if one else 0 for one in filling],
        },
    }


def _routine(program: Program) -> Any:
    register, hamiltonian = program.setup.ahs_register, program.hamiltonian
    if len(hamiltonian.drivingFields) != 1 or len(hamiltonian.localDetuning) > 1:
        raise Invalid("one driving field, and at most one local detuning, can be emulated")
    places = [
        (float(x) * _MICRO, float(y) * _MICRO)
        for (x, y), filled in zip(register.sites, register.filling, strict=True)
        if filled
    ]
    if not places:
        raise Invalid("no site has an atom", where="setup.ahs_register.filling")
    (drive,) = hamiltonian.drivingFields
    fields = {"amplitude": drive.amplitude, "phase": drive.phase, "detuning": drive.detuning}
    for name, field in fields.items():
        if field.pattern != "uniform":
            raise Invalid("a driving field is uniform", where=f"hamiltonian.drivingFields.{name}")
    built = start.add_position(places)
    built = _linear(built.rydberg.rabi.amplitude.uniform, drive.amplitude.time_series)
    built = _steps(built.rydberg.rabi.phase.uniform, drive.phase.time_series)
    built = _linear(built.rydberg.detuning.uniform, drive.detuning.time_series)
    for local in hamiltonian.localDetuning:
        scales = [
            float(one)
            for one, filled in zip(local.magnitude.pattern, register.filling, strict=True)
            if filled
        ]
        built = _linear(built.scale(scales), local.magnitude.time_series)
    return built


def _linear(on: Any, series: Any) -> Any:
    """A series whose values are joined by lines."""
    times, values = _numbers(series)
    return on.piecewise_linear([b - a for a, b in pairwise(times)], [v / _MICRO for v in values])


def _steps(on: Any, series: Any) -> Any:
    """A series each of whose values holds until the next (phases, in radians)."""
    times, values = _numbers(series)
    return on.piecewise_constant([b - a for a, b in pairwise(times)], values[:-1])


def _numbers(series: Any) -> tuple[list[float], list[float]]:
    times = [float(time) * _MICRO for time in series.times]
    values = [float(value) for value in series.values]
    if len(times) < 2 or len(times) != len(values) or any(b <= a for a, b in pairwise(times)):
        raise Invalid("a time series needs values at two or more times that grow")
    return times, values
