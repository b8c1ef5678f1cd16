"""In a child process: runs of Aer whose states are exact, as few as what is asked for allows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit

from quanopy.domain.lots import lots
from quanopy.providers.aer.emulator import Emulator
from quanopy.providers.aer.engine import EXACT, Circuit, experiments, simulator

_MOST_BYTES = 64 * 1024 * 1024
"""Of the states of one run."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Asked:
    """A circuit to be run under each of some parameter sets."""

    circuit: QuantumCircuit
    """Saves at its end what is asked for."""
    template: Circuit
    """What it was made of: of the same parameters."""
    values: NDArray[np.float64] | None
    """Parameter sets (sets, parameters); ``None``: there is nothing to bind."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Stretch:
    """Some of the parameter sets that one circuit is run under."""

    circuit: QuantumCircuit
    template: Circuit
    values: NDArray[np.float64] | None
    saved: list[Any]
    """Where what is saved goes, after that of the stretches before it."""

    @property
    def sets(self) -> int:
        return 1 if self.values is None else len(self.values)


def run_exact(asked: Sequence[Asked], emulator: Emulator) -> list[Sequence[Any]]:
    """What was saved for each, by its parameter sets. Raises :class:`TaskFailed` if Aer fails.

    Those of one circuit are run side by side, and one with nothing to bind but once.
    """
    found: list[Sequence[Any]] = [() for _ in asked]
    for late in (False, True):
        groups: dict[int, list[int]] = {}
        for index, one in enumerate(asked):
            if (one.template.late and emulator.method in EXACT) is late:
                groups.setdefault(id(one.circuit), []).append(index)
        saved: dict[int, list[Any]] = {key: [] for key in groups}
        stretches = [
            stretch
            for key, places in groups.items()
            for stretch in _stretches([asked[i] for i in places], saved[key], emulator)
        ]
        for some in lots(
            stretches, lambda one: one.sets * _state_bytes(one.template, emulator), most=_MOST_BYTES
        ):
            _run(some, emulator, late)
        for key, places in groups.items():
            together = iter(saved[key])
            for place in places:
                values = asked[place].values
                found[place] = saved[key] if values is None else list(islice(together, len(values)))
    return found


def _stretches(group: Sequence[Asked], saved: list[Any], emulator: Emulator) -> Iterator[_Stretch]:
    """What those of one circuit are run in: Aer keeps every state of a run until its end."""
    first = group[0]
    values = [one.values for one in group if one.values is not None]
    if not values:
        yield _Stretch(circuit=first.circuit, template=first.template, values=None, saved=saved)
        return
    together = np.concatenate(values)
    most = max(1, _MOST_BYTES // _state_bytes(first.template, emulator))
    for start in range(0, len(together), most):
        yield _Stretch(
            circuit=first.circuit,
            template=first.template,
            values=together[start : start + most],
            saved=saved,
        )


def _state_bytes(template: Circuit, emulator: Emulator) -> int:
    qubits = len(template.active) * (2 if emulator.method == "density_matrix" else 1)
    return 16 << qubits


def _run(stretches: Sequence[_Stretch], emulator: Emulator, late: bool) -> None:
    binds = [{} if one.values is None else one.template.binds(one.values) for one in stretches]
    options = {"parameter_binds": binds} if any(binds) else {}
    results = iter(
        experiments(
            simulator(emulator),
            [one.circuit for one in stretches],
            shots=1,
            runtime_parameter_bind_enable=late,
            **options,
        )
    )
    for one in stretches:
        one.saved.extend(result.data for result in islice(results, one.sets))
