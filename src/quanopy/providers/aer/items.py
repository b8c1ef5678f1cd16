"""In a child process: works taken apart into what is run, and put together again."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quanopy.domain.jobs import Pub
from quanopy.ports.providers import Work
from quanopy.providers.aer.emulator import Emulator
from quanopy.providers.aer.engine import Circuit, check_memory, circuits_in
from quanopy.providers.circuits import parameter_sets


@dataclass(slots=True, kw_only=True, eq=False)
class Item:
    """One pub of one work."""

    owner: int
    """Index of its work in the batch."""
    work: Work
    pub: Pub
    index: int
    """Index of the pub within the job."""
    circuit: Circuit
    values: NDArray[np.float64] | None
    """Parameter sets (sets, parameters); ``None`` for a circuit without parameters."""
    shape: tuple[int, ...]
    result: dict[str, Any] = field(default_factory=dict)

    @property
    def exact(self) -> tuple[Circuit, NDArray[np.float64] | None]:
        """What is run for it where states are exact, and the parameter sets that it is given."""
        template, angles = self.circuit.exact
        return template, self.values if angles is None else np.array([angles])

    @property
    def sets(self) -> int:
        """How many bound circuits it stands for."""
        return 1 if self.values is None else len(self.values)

    def seed(self, at: int = 0) -> int | None:
        """A seed for one parameter set, from the job's own indices alone: the same however the
        job is shared or split."""
        seed = self.work.options.seed
        if seed is None:
            return None
        name = f"{seed}/{self.index}/{at}/{self.work.shots_from}".encode()
        return int.from_bytes(hashlib.sha256(name).digest()[:8], "big") >> 1


def items_of(owner: int, work: Work, emulator: Emulator) -> list[Item]:
    """The pubs of a work; raises :class:`QuanopyError` for one that cannot be run here."""
    return list(_items(owner, work, emulator))


def _items(owner: int, work: Work, emulator: Emulator) -> Iterator[Item]:
    for offset, pub in enumerate(work.pubs):
        index = work.first_pub + offset
        circuit = circuits_in(work.circuits[pub.program])[pub.circuit]
        noisy = emulator.noisy or work.noise is not None
        check_memory(circuit, emulator, f"pubs[{index}]", noisy=noisy)
        values, shape = parameter_sets(pub, index)
        yield Item(
            owner=owner,
            work=work,
            pub=pub,
            index=index,
            circuit=circuit,
            values=values,
            shape=shape,
        )


def results_of(items: Sequence[Item], works: int) -> list[list[dict[str, Any]]]:
    """Results by work, each in the order of its pubs."""
    found: list[list[dict[str, Any]]] = [[] for _ in range(works)]
    for item in items:
        found[item.owner].append(item.result)
    return found
