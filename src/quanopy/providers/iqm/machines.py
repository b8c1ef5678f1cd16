"""What IQM says of a machine: its architecture as a target, its metrics as a snapshot."""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from quanopy.codecs.targets import encode_target
from quanopy.domain.calibration import Metric, Snapshot
from quanopy.domain.errors import Transient
from quanopy.domain.resources import Target

FORMAT = "iqm-quality-metrics/1"
"""``{"dynamic_quantum_architecture": …, "calibration_set": …, "quality_metrics": …}``, each as IQM
gives it."""
_MOST_COMPONENTS = 4096
_MOST_OBSERVATIONS = 200_000
_NAMES = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")

Locus = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """What is calibrated on a machine now."""

    calibration: str
    """Id of the calibration set."""
    qubits: tuple[str, ...]
    """In the order of their indices here."""
    resonators: tuple[str, ...]
    loci: Mapping[str, Sequence[Locus]]
    """Where each gate is calibrated."""

    @property
    def moves(self) -> bool:
        """Whether qubits meet in resonators, by MOVE gates that are not compiled for here."""
        return "move" in self.loci

    def pairs(self) -> Sequence[tuple[int, int]]:
        """Which qubits a CZ can be done on, directly or by moving the first into a resonator."""
        place = {name: index for index, name in enumerate(self.qubits)}
        own = set(place)
        found = {(place[a], place[b]) for a, b in self._two("cz") if {a, b} <= own}
        for a, resonator in self._two("move"):
            found |= {
                (place[a], place[b])
                for b, at in self._two("cz")
                if at == resonator and b != a and {a, b} <= own
            }
        return sorted(found)

    def directed(self, a: str, b: str) -> Locus:
        """The locus of a CZ in the order in which it is calibrated."""
        return (b, a) if (b, a) in self.loci.get("cz", ()) else (a, b)

    def _two(self, gate: str) -> Iterator[tuple[str, str]]:
        for locus in self.loci.get(gate, ()):
            if len(locus) == 2:
                yield locus[0], locus[1]


def architecture_of(document: Any, who: str) -> Architecture:
    """A dynamic quantum architecture, checked; raises :class:`Transient` for what is none."""
    try:
        found = Architecture(
            calibration=str(document["calibration_set_id"]),
            qubits=_named(document["qubits"]),
            resonators=_named(document["computational_resonators"]),
            loci={str(gate): _loci(told) for gate, told in document["gates"].items()},
        )
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise Transient(
            f"{who} gave an architecture that is none: {type(error).__name__}"
        ) from None
    if not found.qubits:
        raise Transient(f"{who} gave an architecture without qubits")
    return found


def _named(names: Any) -> tuple[str, ...]:
    if not isinstance(names, list) or len(names) > _MOST_COMPONENTS:
        raise ValueError
    if not all(isinstance(name, str) and _NAMES.fullmatch(name) for name in names):
        raise ValueError
    return tuple(dict.fromkeys(names))


def _loci(told: Any) -> list[Locus]:
    found: dict[Locus, None] = {}
    for implementation in told["implementations"].values():
        for locus in implementation["loci"]:
            found[_named(locus)] = None
    return list(found)


def target_of(machine: Architecture, metrics: Sequence[Metric]) -> Target:
    """PRX as Qiskit's ``r``, CZ and measurement, with the errors that were measured of them."""
    errors = _errors(metrics)
    place = {name: index for index, name in enumerate(machine.qubits)}
    pairs = machine.pairs()
    both = sorted({pair for a, b in pairs for pair in ((a, b), (b, a))})
    instructions: dict[str, Any] = {}
    for name, gate, parameters in (
        ("r", "prx", 2),
        ("measure", "measure", 0),
        ("reset", "reset", 0),
    ):
        where = [[place[one]] for (one,) in _single(machine, gate) if one in place]
        if where:
            instructions[name] = _entry(parameters, where, errors.get(gate, {}))
    instructions["cz"] = _entry(0, [list(pair) for pair in both], errors.get("cz", {}))
    everywhere = [[index] for index in range(len(machine.qubits))]
    instructions["id"] = {"parameters": 0, "qubits": everywhere}
    instructions["delay"] = {"parameters": 1, "qubits": everywhere}
    return encode_target(qubits=len(machine.qubits), instructions=instructions)


def _single(machine: Architecture, gate: str) -> list[Locus]:
    return [locus for locus in machine.loci.get(gate, ()) if len(locus) == 1]


def _entry(
    parameters: int, where: list[list[int]], errors: Mapping[frozenset[int], float]
) -> dict[str, Any]:
    entry: dict[str, Any] = {"parameters": parameters, "qubits": where}
    if errors:
        entry["errors"] = [errors.get(frozenset(one)) for one in where]
    return entry


def _errors(metrics: Sequence[Metric]) -> Mapping[str, Mapping[frozenset[int], float]]:
    """Errors by gate and qubits, from fidelities."""
    found: dict[str, dict[frozenset[int], float]] = {}
    for metric in metrics:
        gate, _, quantity = metric.name.partition(".")
        if quantity == "fidelity" and metric.targets and 0.0 <= metric.value <= 1.0:
            found.setdefault(gate, {})[frozenset(metric.targets)] = 1.0 - metric.value
    return found


def snapshot_of(
    resource: str,
    machine: Architecture,
    documents: Mapping[str, Any],
    *,
    fetched_at: datetime,
    who: str,
) -> Snapshot:
    """A machine's calibration: the documents as they are, and their observations as metrics."""
    try:
        metrics = list(_metrics(machine, documents["quality_metrics"]["observations"]))
        times = [
            _time(documents[name].get("created_timestamp"))
            for name in ("quality_metrics", "calibration_set")
        ]
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise Transient(f"{who} gave metrics that are none: {type(error).__name__}") from None
    return Snapshot(
        resource=resource,
        format=FORMAT,
        raw=json.dumps(documents, sort_keys=True, separators=(",", ":")).encode(),
        metrics=metrics,
        calibrated_at=max((at for at in times if at is not None), default=None),
        fetched_at=fetched_at,
        vendor_id=machine.calibration,
    )


def _metrics(machine: Architecture, observations: Any) -> Iterator[Metric]:
    if not isinstance(observations, list) or len(observations) > _MOST_OBSERVATIONS:
        raise ValueError
    place = {name: index for index, name in enumerate(machine.qubits)}
    for one in observations:
        value = one["value"]
        if one.get("invalid") or isinstance(value, bool) or not isinstance(value, int | float):
            continue
        named = _read_name(str(one["dut_field"]), place)
        if named is not None and math.isfinite(value):
            yield Metric(
                name=named[0],
                targets=named[1],
                value=float(value),
                unit=str(one.get("unit") or ""),
                measured_at=_time(one.get("modified_timestamp")),
            )


def _read_name(field: str, place: Mapping[str, int]) -> tuple[str, tuple[int, ...]] | None:
    """The name and qubits of an observation; ``None`` for one of other parts.

    ``characterization.model.QB1.t1_time`` is ``t1_time`` of QB1;
    ``metrics.irb.cz.tgss.QB1__QB3.fidelity:par=d2`` is ``cz.fidelity`` of both;
    ``metrics.ghz_state.QB1__QB2.coherence_lower_bound`` is ``ghz_state.coherence_lower_bound``.
    """
    match field.partition(":")[0].split("."):
        case ["characterization", "model", locus, quantity]:
            name = quantity
        case ["metrics", _, gate, _, locus, quantity]:
            name = f"{gate}.{quantity}"
        case ["metrics", method, locus, quantity]:
            name = f"{method}.{quantity}"
        case _:
            return None
    parts = locus.split("__")
    qubits = tuple(place[part] for part in parts if part in place)
    return (name, qubits) if qubits else None


def _time(text: Any) -> datetime | None:
    if not isinstance(text, str):
        return None
    at = datetime.fromisoformat(text)
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
