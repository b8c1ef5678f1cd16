"""In a child process: many pubs sampled in as few runs of Aer as possible."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from quanopy.providers.aer.distribution import Distribution
from quanopy.providers.aer.emulator import Emulator
from quanopy.providers.aer.engine import EXACT, experiments, noise_for, simulator
from quanopy.providers.aer.exact import Asked, run_exact
from quanopy.providers.aer.items import Item
from quanopy.providers.circuits import placed


def sample(items: Sequence[Item], emulator: Emulator) -> None:
    """Run these and set their results. Raises :class:`TaskFailed` if Aer fails for any."""
    for item in items:
        item.result = {
            "shape": list(item.shape),
            "shots": _shots(item),
            "registers": item.circuit.registers,
        }
        if not item.sets:
            # Aer dies of a circuit that is bound to nothing at all.
            _set_outcomes(item, ())
    some = [item for item in items if item.sets]
    _draw([(i, d) for i in some if (d := _distribution(i, emulator)) is not None], emulator)
    shot = [item for item in some if "counts" not in item.result]
    for (shots, memory, *_), group in _grouped(i for i in shot if i.work.options.seed is None):
        _shoot(list(group), emulator, shots, memory)
    for item in shot:
        if item.work.options.seed is not None:
            _shoot_seeded(item, emulator)


def _shots(item: Item) -> int:
    return item.pub.shots or 1


def _distribution(item: Item, emulator: Emulator) -> Distribution | None:
    noisy = emulator.noisy or item.work.noise is not None
    if noisy or emulator.method not in EXACT or item.work.options.memory:
        return None
    template, _ = item.circuit.exact
    return template.distribution


def _draw(items: Sequence[tuple[Item, Distribution]], emulator: Emulator) -> None:
    """Draw outcomes from probabilities: one run serves all, seeded or not, of whatever shots."""
    asked = []
    for item, found in items:
        template, values = item.exact
        asked.append(Asked(circuit=found.circuit, template=template, values=values))
    unseeded = np.random.default_rng()
    for (item, found), saved in zip(items, run_exact(asked, emulator), strict=True):
        item.result["counts"] = [
            found.draw(each, _shots(item), _generator(item, at) or unseeded)
            for at, each in enumerate(_repeated(saved, item.shape))
        ]


def _generator(item: Item, at: int) -> np.random.Generator | None:
    seed = item.seed(at)
    return None if seed is None else np.random.default_rng(seed)


def _grouped(
    items: Iterable[Item],
) -> Iterator[tuple[tuple[int, bool, bool, bytes], Iterator[Item]]]:
    def key(item: Item) -> tuple[int, bool, bool, bytes]:
        bound = item.values is not None
        return (_shots(item), item.work.options.memory, bound, item.work.noise or b"")

    return groupby(sorted(items, key=key), key)


def _shoot(items: Sequence[Item], emulator: Emulator, shots: int, memory: bool) -> None:
    """Have Aer run every shot of items that are alike."""
    together = [item.circuit for item in items]
    options = noise_for(emulator, together, items[0].work.noise) | _binds(items)
    circuits = [item.circuit.circuit for item in items]
    found = iter(experiments(simulator(emulator), circuits, shots=shots, memory=memory, **options))
    for item in items:
        _set_outcomes(item, [next(found) for _ in range(item.sets)])


def _shoot_seeded(item: Item, emulator: Emulator) -> None:
    """A seed in one run of Aer is spread by position, so each parameter set is run by itself."""
    found = []
    for at in range(item.sets):
        options = noise_for(emulator, [item.circuit], item.work.noise)
        options["seed_simulator"] = item.seed(at)
        if item.values is not None:
            options["parameter_binds"] = [item.circuit.binds(item.values[at : at + 1])]
        options |= {"shots": _shots(item), "memory": item.work.options.memory}
        found += experiments(simulator(emulator), [item.circuit.circuit], **options)
    _set_outcomes(item, found)


def _binds(items: Sequence[Item]) -> dict[str, Any]:
    """Parameter sets of items of which all have some, or none has."""
    bound = [item.circuit.binds(item.values) for item in items if item.values is not None]
    return {"parameter_binds": bound} if bound else {}


def _set_outcomes(item: Item, found: Sequence[Any]) -> None:
    sets = _repeated(found, item.shape)
    item.result["counts"] = [_counts(item, getattr(each.data, "counts", {})) for each in sets]
    if item.work.options.memory:
        item.result["memory"] = [
            [_outcome(item, key) for key in getattr(each.data, "memory", ())] for each in sets
        ]


def _repeated(found: Sequence[Any], shape: tuple[int, ...]) -> Sequence[Any]:
    """A shape of none wants none, though one was run."""
    return found if 0 not in shape else ()


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
    return hex(placed(int(key, 16), item.circuit.positions))
