"""In a child process: the noise that a snapshot of a calibration tells of, for what is run alone.

The numbers came from a vendor: what is out of its range, or of no gate, makes no noise. Known are
what IBM's properties and IQM's observations say of qubits and gates.
"""

import math
from collections.abc import Iterable, Mapping
from functools import lru_cache

from qiskit.circuit.library import Measure, get_standard_gate_name_mapping
from qiskit.transpiler import InstructionProperties, QubitProperties, Target
from qiskit_aer.noise import NoiseModel

from quanopy.codecs.calibrations import decode_metrics
from quanopy.domain.errors import ResourceMismatch
from quanopy.providers.aer.noise import backend_of

_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0}
_TIMES = {"T1": "T1", "T2": "T2", "t1_time": "T1", "t2_time": "T2", "t2_echo_time": "T2"}
_READOUT = {"readout_error": "error", "readout_length": "duration"}
_GATES = {"prx": "r", "measure_ssro": "measure", "ssro": "measure", "readout": "measure"}
_MOST_ERROR = {1: 2 / 3, 2: 4 / 5}
"""Of a gate on so many qubits: beyond, no depolarisation explains it."""
_LONGEST_S = 1.0

Known = Mapping[tuple[str, str, tuple[int, ...]], float]


@lru_cache(maxsize=32)
def noise_of(numbers: bytes, qubits: frozenset[int], names: frozenset[str]) -> NoiseModel:
    """The noise model of these instructions on these qubits.

    Raises:
        ResourceMismatch: the snapshot tells nothing of any of them.
    """
    known = _known(numbers)
    part = Target(num_qubits=1 + max(qubits, default=0), qubit_properties=_qubits(known, qubits))
    gates = get_standard_gate_name_mapping()
    told = any(kind in ("T1", "T2") and place[0] in qubits for kind, _, place in known)
    for name in sorted(names):
        operation = Measure() if name == "measure" else gates.get(name)
        if operation is None:
            continue
        places = {place for gate, _, place in known if gate == name and qubits.issuperset(place)}
        places = {place for place in places if len(place) == operation.num_qubits}
        if name == "measure":
            places |= {(qubit,) for qubit in qubits}
        told = told or any((name, "error", place) in known for place in places)
        if places:
            part.add_instruction(
                operation, {place: _properties(known, name, place) for place in places}, name=name
            )
    if not told:
        raise ResourceMismatch(
            "the snapshot tells nothing of what this circuit does",
            hint="Its circuits must be those that ran on the resource it is of.",
        )
    return NoiseModel.from_backend(backend_of(part))


@lru_cache(maxsize=8)
def _known(numbers: bytes) -> Known:
    """What is known: by gate (or ``T1``, ``T2``), kind and qubits."""
    found: dict[tuple[str, str, tuple[int, ...]], float] = {}
    for metric in decode_metrics(numbers):
        named = _named(metric.name)
        if named is None or not metric.targets:
            continue
        gate, kind, complement = named
        value = 1 - metric.value if complement else metric.value
        if kind in ("duration", "time"):
            value *= _SECONDS.get(metric.unit, math.nan)
        if _is_sane(kind, value, len(metric.targets)):
            found.setdefault((gate, kind, metric.targets), value)
    return found


def _named(name: str) -> tuple[str, str, bool] | None:
    """The gate, the kind of number, and whether it is one less the error; ``None``: no noise."""
    if name in _TIMES:
        return _TIMES[name], "time", False
    if name in _READOUT:
        return "measure", _READOUT[name], False
    gate, _, kind = name.partition(".")
    gate = _GATES.get(gate, gate)
    match kind:
        case "error" | "gate_error":
            return gate, "error", False
        case "fidelity":
            return gate, "error", True
        case "duration" | "length" | "gate_length":
            return gate, "duration", False
    return None


def _is_sane(kind: str, value: float, width: int) -> bool:
    if kind == "error":
        return 0 <= value <= _MOST_ERROR.get(width, 0.0)
    return 0 < value <= _LONGEST_S or (kind == "duration" and value == 0)


def _qubits(known: Known, qubits: Iterable[int]) -> list[QubitProperties]:
    most = max(qubits, default=0)
    return [_qubit(known, qubit) for qubit in range(1 + most)]


def _qubit(known: Known, qubit: int) -> QubitProperties:
    t1, t2 = (known.get((name, "time", (qubit,))) for name in ("T1", "T2"))
    # Calibrations have T2 a little above twice T1, which no qubit can have.
    return QubitProperties(t1=t1, t2=t2 if t1 is None or t2 is None else min(t2, 2 * t1))


def _properties(known: Known, name: str, place: tuple[int, ...]) -> InstructionProperties:
    error = known.get((name, "error", place))
    # Aer knows no readout of which nothing is known.
    error = 0.0 if error is None and name == "measure" else error
    return InstructionProperties(error=error, duration=known.get((name, "duration", place)))
