"""In a child process: runs of Aer whose states are exact, as few as what is asked for allows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit

from quanopy.providers.aer.emulator import Emulator
from quanopy.providers.aer.engine import EXACT, Circuit, experiments, simulator
from quanopy.providers.aer.templates import MOST_QUBITS


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Asked:
    """A circuit to be run under each of some parameter sets."""

    circuit: QuantumCircuit
    """Saves at its end what is asked for."""
    template: Circuit
    """What it was made of: of the same parameters."""
    values: NDArray[np.float64] | None
    """Parameter sets (sets, parameters); ``None``: there is nothing to bind."""


_Group = Sequence[tuple[Asked, list[Any]]]
"""Those of one circuit, and where what is saved for each goes."""


def run_exact(asked: Sequence[Asked], emulator: Emulator) -> list[list[Any]]:
    """What was saved for each, by its parameter sets. Raises :class:`TaskFailed` if Aer fails.

    Those of one circuit are run side by side, and one with nothing to bind but once.
    """
    found: list[list[Any]] = [[] for _ in asked]
    for late in (False, True):
        groups: dict[int, list[int]] = {}
        for index, one in enumerate(asked):
            if (one.template.late and emulator.method in EXACT) is late:
                groups.setdefault(id(one.circuit), []).append(index)
        for run in _runs([[(asked[i], found[i]) for i in group] for group in groups.values()]):
            _run(run, emulator, late)
    return found


def _runs(groups: Sequence[_Group]) -> Iterator[Sequence[_Group]]:
    """Wide circuits by themselves: Aer keeps all states of a run until its end."""
    wide = [group[0][0].circuit.num_qubits > MOST_QUBITS for group in groups]
    if narrow := [group for group, alone in zip(groups, wide, strict=True) if not alone]:
        yield narrow
    for group, alone in zip(groups, wide, strict=True):
        if alone:
            yield [group]


def _run(groups: Sequence[_Group], emulator: Emulator, late: bool) -> None:
    binds = [_binds([one for one, _ in group]) for group in groups]
    options = {"parameter_binds": binds} if any(binds) else {}
    circuits = [group[0][0].circuit for group in groups]
    saved = iter(
        experiments(
            simulator(emulator), circuits, shots=1, runtime_parameter_bind_enable=late, **options
        )
    )
    for group in groups:
        once = [next(saved).data] if group[0][0].values is None else None
        for one, found in group:
            found += once or [next(saved).data for _ in range(_sets(one))]


def _binds(group: Sequence[Asked]) -> dict[Any, NDArray[np.float64]]:
    values = [one.values for one in group if one.values is not None]
    return group[0].template.binds(np.concatenate(values)) if values else {}


def _sets(one: Asked) -> int:
    return 1 if one.values is None else len(one.values)
