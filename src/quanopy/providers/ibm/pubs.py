"""Works as the parameters of IBM's sampler and estimator, written as its client writes them.

Circuits are QPY of our own: where a program is one circuit, its bytes are passed on as they are.
"""

import base64
import io
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit, qpy

from quanopy.codecs.arrays import decode_array, to_npy
from quanopy.codecs.qpy import WRITTEN
from quanopy.domain.errors import Invalid
from quanopy.domain.jobs import JobKind, Pub
from quanopy.ports.providers import Work
from quanopy.providers.observables import letters_on, places_in
from quanopy.sandbox.circuits import load_qpy

_COUNT = slice(10, 18)
"""Where a QPY header has its number of programs (after the name and four bytes of versions)."""


def program_of(kind: JobKind) -> str:
    """The vendor's program for a kind of job."""
    return "estimator" if kind is JobKind.ESTIMATE else "sampler"


def parameters_of(works: Sequence[Work]) -> dict[str, Any]:
    """What a job of these works, all of one kind, is submitted with."""
    pubs = [pub for work in works for pub in _pubs(work)]
    return {"pubs": pubs, "version": 2, "support_qiskit": True, "options": {}}


def _pubs(work: Work) -> list[list[Any]]:
    circuits = _Circuits(work.circuits)
    if work.kind is JobKind.ESTIMATE:
        return [_estimated(pub, circuits) for pub in work.pubs]
    return [[circuits.sent(pub), _values(pub), pub.shots] for pub in work.pubs]


def _estimated(pub: Pub, circuits: "_Circuits") -> list[Any]:
    circuit = circuits.loaded(pub.program)[pub.circuit]
    observables = _moved(pub.observables, places_in(circuit), circuit.num_qubits)
    return [circuits.sent(pub), observables, _values(pub), pub.precision]


class _Circuits:
    """The circuits of a work, as they are sent."""

    def __init__(self, programs: Sequence[bytes]) -> None:
        self._programs = programs
        self._loaded: dict[int, list[QuantumCircuit]] = {}
        self._sent: dict[tuple[int, int], Mapping[str, str]] = {}

    def loaded(self, program: int) -> list[QuantumCircuit]:
        """The circuits of a program."""
        if program not in self._loaded:
            self._loaded[program] = load_qpy(self._programs[program])
        return self._loaded[program]

    def sent(self, pub: Pub) -> Mapping[str, str]:
        """A pub's circuit as the service takes it."""
        key = (pub.program, pub.circuit)
        if key not in self._sent:
            self._sent[key] = _typed("QuantumCircuit", self._one(*key))
        return self._sent[key]

    def _one(self, program: int, circuit: int) -> bytes:
        data = self._programs[program]
        if int.from_bytes(data[_COUNT], "big") == 1:
            return data
        written = io.BytesIO()
        qpy.dump(self.loaded(program)[circuit], written, version=WRITTEN)
        return written.getvalue()


def _values(pub: Pub) -> Any:
    array: NDArray[np.float64] = (
        np.zeros(0) if pub.parameters is None else decode_array(pub.parameters)
    )
    return _typed("ndarray", to_npy(array))


def _typed(kind: str, data: bytes) -> dict[str, str]:
    return {"__type__": kind, "__value__": base64.b64encode(zlib.compress(data)).decode()}


def _moved(observables: Any, places: Sequence[int], qubits: int) -> Any:
    """Observables with each letter where its qubit has come to lie on the machine."""
    if not isinstance(observables, Mapping):
        return [_moved(one, places, qubits) for one in observables]
    total: dict[str, float] = {}
    for label, coefficient in observables.items():
        if len(label) != len(places):
            raise Invalid(f"an observable of {len(label)} qubits on a circuit of {len(places)}")
        letters = letters_on(label, places)
        moved = "".join(letters.get(qubit, "I") for qubit in reversed(range(qubits)))
        total[moved] = total.get(moved, 0.0) + coefficient
    return total
