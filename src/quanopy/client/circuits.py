"""Qiskit's circuits and pubs as they cross the wire, and back. The one part that needs Qiskit."""

import base64
import io
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit, qpy
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub

from quanopy.domain.errors import Invalid, Unsupported
from quanopy.domain.jobs import JobKind
from quanopy.domain.programs import QPY, Program
from quanopy.wire.jobs import PubIn
from quanopy.wire.refusals import checked

QPY_VERSION = 15
OLDEST_QPY = 13
"""Older QPY may carry pickled objects (CVE-2025-2000)."""
AS_LISTS = 64
"""Up to so many parameters stay readable as lists; more travel as NumPy's own format, and so do
none at all: lists would lose their shape."""
_SHOWN = 10
"""Names of parameters in a message."""


def to_pubs(kind: JobKind, likes: Iterable[Any]) -> list[SamplerPub | EstimatorPub]:
    """Everything that Qiskit's primitives take as a pub; raises :class:`Invalid` with Qiskit's
    own reason for what they do not."""
    coerce = EstimatorPub.coerce if kind is JobKind.ESTIMATE else SamplerPub.coerce
    pubs = []
    for index, like in enumerate(likes):
        try:
            pubs.append(coerce(like))
        except (ValueError, TypeError) as error:
            raise Invalid(str(error), where=f"pubs[{index}]") from error
    return pubs


def pack(pubs: Sequence[SamplerPub | EstimatorPub], program: int) -> tuple[Program, list[PubIn]]:
    """One QPY blob with every circuit once, and pubs that refer to it as program ``program``."""
    places: dict[int, int] = {}
    circuits: list[QuantumCircuit] = []
    encoded = []
    for index, pub in enumerate(pubs):
        place = places.setdefault(id(pub.circuit), len(circuits))
        if place == len(circuits):
            circuits.append(pub.circuit)
        encoded.append(_encode(pub, program, place, f"pubs[{index}]"))
    return pack_circuits(circuits), encoded


def pack_circuits(circuits: Sequence[QuantumCircuit]) -> Program:
    """Circuits as one QPY blob; raises :class:`Invalid` for what is none."""
    for index, circuit in enumerate(circuits):
        if not isinstance(circuit, QuantumCircuit):
            raise Invalid(f"{type(circuit).__name__} is nothing to run", where=f"programs[{index}]")
    blob = io.BytesIO()
    qpy.dump(list(circuits), blob, version=QPY_VERSION)
    return Program(format=QPY, data=blob.getvalue())


def unpack_circuits(data: bytes) -> list[QuantumCircuit]:
    """The circuits of a QPY blob that the broker wrote."""
    if len(data) < 7 or data[6] < OLDEST_QPY:
        raise Unsupported(f"QPY below version {OLDEST_QPY} is not loaded")
    return list(qpy.load(io.BytesIO(data)))


def _encode(pub: SamplerPub | EstimatorPub, program: int, circuit: int, where: str) -> PubIn:
    fields: dict[str, Any] = {"program": program, "circuit": circuit}
    if pub.parameter_values.num_parameters or pub.parameter_values.shape:
        fields["parameters"] = _array(_values(pub, f"{where}.parameters"))
    if isinstance(pub, EstimatorPub):
        fields["observables"] = _plain(pub.observables.tolist())
        fields["precision"] = pub.precision
    else:
        fields["shots"] = pub.shots
    given = {name: value for name, value in fields.items() if value is not None}
    return checked(PubIn, given, within=where)


def _values(pub: SamplerPub | EstimatorPub, where: str) -> NDArray[np.float64]:
    """Parameter sets in the order of the circuit's parameters."""
    try:
        values: NDArray[np.float64] = pub.parameter_values.as_array(pub.circuit.parameters)
    except ValueError as error:
        names = ", ".join(parameter.name for parameter in pub.circuit.parameters[:_SHOWN])
        hint = f"The circuit's parameters: {names or 'none'}."
        raise Invalid(str(error), where=where, hint=hint) from error
    return values


def _array(values: NDArray[np.float64]) -> Any:
    if 0 < values.size <= AS_LISTS:
        return values.tolist()
    blob = io.BytesIO()
    np.save(blob, np.ascontiguousarray(values), allow_pickle=False)
    return {"npy": base64.b64encode(blob.getvalue()).decode()}


def _plain(observables: Any) -> Any:
    """Nested lists of ``{label: coefficient}`` with Python's own floats."""
    if isinstance(observables, list):
        return [_plain(item) for item in observables]
    return {str(label): float(value) for label, value in observables.items()}


def same(one: QuantumCircuit, other: QuantumCircuit) -> bool:
    """Whether two circuits are the same but for their own names and metadata, and the identities
    of their parameters: those are the same that have the same name."""
    ours, theirs = one.parameters, other.parameters
    if [mine.name for mine in ours] != [its.name for its in theirs]:
        return False
    renamed = other.assign_parameters(dict(zip(theirs, ours, strict=True)))
    return bool(one == renamed)
