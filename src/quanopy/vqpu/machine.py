"""The device that a virtual QPU pretends to be: its gates and connections, noise and pace."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from quanopy.codecs.targets import decode_target, encode_target
from quanopy.domain.calibration import Metric
from quanopy.domain.errors import Invalid
from quanopy.domain.resources import Target
from quanopy.providers.aer.devices import Device, devices
from quanopy.vqpu.noise import MOST_QUBITS, Parameters, parse_snapshot, read_snapshot

METHODS = (
    "automatic",
    "statevector",
    "density_matrix",
    "matrix_product_state",
    "stabilizer",
    "extended_stabilizer",
)
GATES: Mapping[str, tuple[int, int]] = {
    **dict.fromkeys(["x", "y", "z", "h", "s", "sdg", "t", "tdg", "sx", "sxdg", "id"], (1, 0)),
    **dict.fromkeys(["rx", "ry", "rz", "p"], (1, 1)),
    "r": (1, 2),
    "u": (1, 3),
    **dict.fromkeys(["cx", "cy", "cz", "ch", "swap", "iswap", "ecr"], (2, 0)),
    **dict.fromkeys(["rxx", "ryy", "rzz", "rzx", "cp", "crx", "cry", "crz"], (2, 1)),
    **dict.fromkeys(["ccx", "ccz", "cswap"], (3, 0)),
}
"""Gates that a device may have: on how many qubits each acts, and its number of angles."""
DEFAULT_GATES = ("rx", "ry", "rz", "cz")
DEFAULT_QUBITS = 12
MOST_SHOTS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """QPU-like timing; nothing is slower than it must be by default."""

    shot_s: float = 0.0
    """Seconds a shot: a circuit takes at least its shots times this."""
    warm_up_s: float = 0.0
    """Seconds after the start before the first circuit runs."""
    lanes: int = 1
    """Submissions that run at once."""

    def __post_init__(self) -> None:
        if not 0 <= self.shot_s <= 3600:
            raise Invalid(f"{self.shot_s} seconds a shot", where="shot_s")
        if not 0 <= self.warm_up_s <= 3600:
            raise Invalid(f"{self.warm_up_s} seconds to warm up", where="warm_up_s")
        if not 1 <= self.lanes <= 256:
            raise Invalid(f"{self.lanes} lanes", where="lanes", hint="1 to 256.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Emulated:
    """The device as the processes that emulate it are told."""

    method: str
    gpu: bool
    threads: int
    memory_bytes: int
    target: bytes
    metrics: tuple[Metric, ...]


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A virtual QPU."""

    name: str
    description: str
    target: Target
    metrics: tuple[Metric, ...]
    calibrated_at: datetime
    """When its noise was set: the start of the service."""
    method: str = "automatic"
    gpu: bool = False
    threads: int = 1
    memory_bytes: int = 2**31
    pace: Pace = Pace()
    time_limit_s: float = 3600.0
    """Seconds that one submission may take to emulate."""

    @cached_property
    def qubits(self) -> int:
        """How many it has."""
        return int(decode_target(self.target)["qubits"])

    @cached_property
    def places(self) -> Mapping[str, frozenset[tuple[int, ...]] | None]:
        """Its native gates, as Qiskit calls them, and where each may act; ``None``: anywhere."""
        return {
            name: None if entry.get("qubits") is None else frozenset(map(tuple, entry["qubits"]))
            for name, entry in decode_target(self.target)["instructions"].items()
            if name in GATES
        }

    @cached_property
    def emulated(self) -> Emulated:
        """What its emulation needs to know."""
        return Emulated(
            method=self.method,
            gpu=self.gpu,
            threads=self.threads,
            memory_bytes=self.memory_bytes,
            target=self.target.data,
            metrics=self.metrics,
        )

    def calibration(self) -> dict[str, Any]:
        """Its noise as a snapshot's document."""
        rows = [{k: v for k, v in asdict(m).items() if k != "measured_at"} for m in self.metrics]
        return {"calibrated_at": self.calibrated_at.isoformat(), "metrics": rows}


def build(
    *,
    name: str,
    qubits: int | None = None,
    gates: Sequence[str] = (),
    like: str | None = None,
    snapshot: Path | None = None,
    noise: Parameters | None = None,
    method: str = "automatic",
    gpu: bool = False,
    threads: int = 1,
    memory_bytes: int | None = None,
    pace: Pace | None = None,
) -> Machine:
    """A machine from what was asked for; ``like`` names a fake device of IBM's.

    Raises :class:`Invalid` for what cannot be meant, or does not go together.
    """
    if method not in METHODS:
        raise Invalid(f"no method {method!r}", where="method", hint=f"One of {', '.join(METHODS)}.")
    pace = pace or Pace()
    noise = noise or Parameters()
    sources = [kind for kind, given in (("like", like), ("snapshot", snapshot)) if given]
    if len(sources) > 1 or (sources and noise != Parameters()):
        raise Invalid("noise from more than one source", hint="A device, a file, or parameters.")
    if like is not None:
        target, metrics, about = _like(like)
    else:
        target, metrics, about = _given(qubits, gates, snapshot, noise)
    return Machine(
        name=name,
        description=about,
        target=target,
        metrics=tuple(metrics),
        calibrated_at=datetime.now(UTC),
        method=method,
        gpu=gpu,
        threads=threads,
        memory_bytes=memory_bytes or _share(pace.lanes),
        pace=pace,
    )


def _share(lanes: int) -> int:
    """A lane's share of three quarters of the machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 3 // 4 // lanes


def _like(name: str) -> tuple[Target, list[Metric], str]:
    wanted = name.removeprefix("fake_").replace("-", "_")
    found: Device | None = next((one for one in devices() if one.name == wanted), None)
    if found is None:
        names = ", ".join(one.name for one in devices()) or "none: install quanopy[aer]"
        raise Invalid(f"no fake device {name!r}", where="like", hint=f"Known: {names}.")
    properties = json.loads((found.folder / f"props_{found.name}.json").read_bytes())
    # Its flow control needs a machine that decides within a shot; this one is sent straight lines.
    document = decode_target(found.target())
    instructions = {
        name: entry
        for name, entry in document["instructions"].items()
        if name in GATES or name == "measure"
    }
    target = encode_target(qubits=found.qubits, instructions=instructions, dt=document.get("dt"))
    return target, parse_snapshot(properties), f"emulates fake_{found.name} with its noise"


def _given(
    qubits: int | None, gates: Sequence[str], snapshot: Path | None, noise: Parameters
) -> tuple[Target, list[Metric], str]:
    metrics = read_snapshot(snapshot) if snapshot is not None else []
    places = _places(metrics)
    names = tuple(gates) or tuple(name for name in places if name in GATES) or DEFAULT_GATES
    if unknown := [name for name in names if name not in GATES]:
        raise Invalid(f"no gate {unknown[0]!r}", where="gates", hint=f"Of {', '.join(GATES)}.")
    if snapshot is None:
        metrics = noise.metrics({name: GATES[name][0] for name in names})
    named = max((max(m.targets) + 1 for m in metrics if m.targets), default=0)
    count = qubits or named or DEFAULT_QUBITS
    if not named <= count <= MOST_QUBITS:
        raise Invalid(f"{count} qubits", where="qubits", hint=f"{named or 1} to {MOST_QUBITS}.")
    instructions = {name: _entry(name, places.get(name), metrics) for name in (*names, "measure")}
    about = "emulator with noise" if metrics else "emulator without noise"
    return encode_target(qubits=count, instructions=instructions), metrics, about


def _places(metrics: Sequence[Metric]) -> dict[str, list[tuple[int, ...]]]:
    """Where gates were measured, by gate: there they may act."""
    found: dict[str, dict[tuple[int, ...], None]] = {}
    for metric in metrics:
        gate, dot, _ = metric.name.partition(".")
        if dot and metric.targets:
            found.setdefault(gate, {})[metric.targets] = None
    return {gate: list(places) for gate, places in found.items()}


def _entry(
    gate: str, places: Sequence[tuple[int, ...]] | None, metrics: Sequence[Metric]
) -> dict[str, Any]:
    angles = GATES[gate][1] if gate in GATES else 0
    if gate == "measure" or not places:
        return {"parameters": angles, "qubits": None}
    values = {(m.name, m.targets): m.value for m in metrics}
    return {
        "parameters": angles,
        "qubits": [list(place) for place in places],
        "errors": [values.get((f"{gate}.error", place)) for place in places],
        "durations_s": [values.get((f"{gate}.duration", place)) for place in places],
    }
