"""In a child process: many pubs sampled in as few runs of Aer as possible."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from quanopy.domain.errors import TaskFailed
from quanopy.providers.aer.engine import Emulator, noise_for, simulator
from quanopy.providers.aer.items import Item


def sample(items: Sequence[Item], emulator: Emulator) -> None:
    """Run these and set their results. Raises :class:`TaskFailed` if Aer fails for any."""
    shared = [item for item in items if item.work.options.seed is None]
    for (shots, memory, bound), group in _grouped(shared):
        run = list(group)
        experiments = iter(_run(run, emulator, shots, memory, bound))
        for item in run:
            item.result = _result(item, [next(experiments) for _ in range(item.sets)], shots)
    for item in items:
        if item.work.options.seed is not None:
            _sample_seeded(item, emulator)


def _grouped(items: Iterable[Item]) -> Iterator[tuple[tuple[int, bool, bool], Iterator[Item]]]:
    def key(item: Item) -> tuple[int, bool, bool]:
        return (item.pub.shots or 1, item.work.options.memory, item.values is not None)

    return groupby(sorted(items, key=key), key)


def _sample_seeded(item: Item, emulator: Emulator) -> None:
    """A seed in one run of Aer is spread by position, so each parameter set is run by itself."""
    shots, memory = item.pub.shots or 1, item.work.options.memory
    found = []
    for at in range(item.sets):
        options = noise_for(emulator, [item.circuit])
        options["seed_simulator"] = item.seed(at)
        if item.values is not None:
            options["parameter_binds"] = [item.circuit.binds(item.values[at : at + 1])]
        found += _experiments(item.circuit.circuit, emulator, shots, memory, options)
    item.result = _result(item, found, shots)


def _run(
    items: Sequence[Item], emulator: Emulator, shots: int, memory: bool, bound: bool
) -> list[Any]:
    options = noise_for(emulator, [item.circuit for item in items])
    if bound:
        options["parameter_binds"] = [
            item.circuit.binds(item.values) for item in items if item.values is not None
        ]
    circuits = [item.circuit.circuit for item in items]
    return _experiments(circuits, emulator, shots, memory, options)


def _experiments(
    circuits: Any, emulator: Emulator, shots: int, memory: bool, options: Mapping[str, Any]
) -> list[Any]:
    job = simulator(emulator).run(circuits, shots=shots, memory=memory, **options)
    result = job.result()
    if not result.success:
        raise TaskFailed(f"Aer: {_first_failure(result)}"[:500])
    experiments: list[Any] = result.results
    return experiments


def _first_failure(result: Any) -> str:
    statuses = [each.status for each in result.results if not each.success]
    return str(statuses[0] if statuses else result.status)


def _result(item: Item, experiments: Sequence[Any], shots: int) -> dict[str, Any]:
    sets = _repeated(experiments, item.shape)
    result = {
        "shape": list(item.shape),
        "shots": shots,
        "registers": item.circuit.registers,
        "counts": [_counts(item, getattr(each.data, "counts", {})) for each in sets],
    }
    if item.work.options.memory:
        result["memory"] = [
            [_outcome(item, key) for key in getattr(each.data, "memory", ())] for each in sets
        ]
    return result


def _repeated(experiments: Sequence[Any], shape: tuple[int, ...]) -> Sequence[Any]:
    """A shape of none wants none, though one was run."""
    return experiments if 0 not in shape else ()


def _counts(item: Item, counts: Mapping[str, int]) -> Mapping[str, int]:
    if item.circuit.plain:
        return counts
    total: dict[str, int] = {}
    for key, number in counts.items():
        outcome = _outcome(item, key)
        total[outcome] = total.get(outcome, 0) + number
    return total


def _outcome(item: Item, key: str) -> str:
    """An outcome with the bits of the registers in their order, loose bits left out."""
    if item.circuit.plain:
        return key
    positions, value = item.circuit.positions, int(key, 16)
    if positions is None:
        return hex(value)
    return hex(sum(((value >> position) & 1) << bit for bit, position in enumerate(positions)))
