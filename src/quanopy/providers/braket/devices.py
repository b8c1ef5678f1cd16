"""Braket's devices: what each says of itself, as a resource, a target and a calibration."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from quanopy.codecs.targets import encode_target
from quanopy.domain.calibration import Snapshot
from quanopy.domain.errors import ResourceMismatch, Transient
from quanopy.domain.jobs import MOST_SHOTS, JobKind
from quanopy.domain.programs import BRAKET_AHS, BRAKET_IR, CIRCUITS
from quanopy.domain.resources import Capabilities, Limits, Resource, Target
from quanopy.domain.states import ResourceState
from quanopy.providers.braket.documents import mapping
from quanopy.providers.braket.gates import ANGLES, GATES, NATIVE, PAIRED
from quanopy.providers.braket.metrics import metrics_of

AHS = "braket.ir.ahs.program"
OPENQASM = "braket.ir.openqasm.program"
PROGRAM_SET = "braket.ir.openqasm.program_set"
CALIBRATION_FORMAT = "braket-device-properties/1"
_ESTIMATED_SHOTS = 4096
"""Shots that an evaluation is expected to take: so many of them share a program set."""
_MOST_QUBITS = 100_000

_TECHNOLOGIES = {
    "AQT": "trapped-ion",
    "IQM": "superconducting",
    "IonQ": "trapped-ion",
    "Oxford": "superconducting",
    "Rigetti": "superconducting",
}
"""What gate-model machines are made of, by their maker: Braket does not say."""


def _described(title: str, maker: str) -> str:
    own = maker.startswith("Amazon")
    return f"{title} of {maker}" if own else f"{title} of {maker} on Amazon Braket"


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A device, and the document of its capabilities."""

    arn: str
    title: str
    maker: str
    kind: str
    status: str
    document: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The resource's."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-") or "device"

    @property
    def simulator(self) -> bool:
        """Whether it is no machine."""
        return self.kind == "SIMULATOR"

    @property
    def actions(self) -> Mapping[str, Any]:
        """What it takes, by the name of the program's schema."""
        return mapping(self.document.get("action"))

    @property
    def analog(self) -> bool:
        """Whether it takes programs of atoms."""
        return AHS in self.actions

    @property
    def gates(self) -> bool:
        """Whether it takes circuits."""
        return OPENQASM in self.actions

    @property
    def set_size(self) -> int:
        """Circuits that one task takes; 1 where it takes no program sets."""
        return max(1, _whole(mapping(self.actions.get(PROGRAM_SET)).get("maximumExecutables"), 1))

    @property
    def set_shots(self) -> int:
        """Shots of all circuits of a task together."""
        found = mapping(self.actions.get(PROGRAM_SET)).get("maximumTotalShots")
        return _whole(found, self.most_shots)

    @property
    def most_shots(self) -> int:
        """Shots of one circuit."""
        shots = mapping(self.document.get("service")).get("shotsRange")
        top = shots[1] if isinstance(shots, list) and len(shots) == 2 else None
        return min(_whole(top, MOST_SHOTS), MOST_SHOTS)

    @property
    def exact(self) -> bool:
        """Whether it gives expectation values without counting."""
        kinds = mapping(self.actions.get(OPENQASM)).get("supportedResultTypes")
        return self.simulator and any(
            one.get("name") == "Expectation" and one.get("minShots") == 0
            for one in map(mapping, kinds if isinstance(kinds, list) else [])
        )

    @property
    def paradigm(self) -> Mapping[str, Any]:
        """Its qubits, gates and couplings."""
        return mapping(self.document.get("paradigm"))

    @property
    def qubits(self) -> int:
        """How many it has."""
        return min(_whole(self.paradigm.get("qubitCount"), 1), _MOST_QUBITS)

    @property
    def verbatim(self) -> bool:
        """Whether circuits are compiled here, for its own gates, and left alone by the vendor."""
        native = self.paradigm.get("nativeGateSet")
        names = {str(gate).lower() for gate in native} if isinstance(native, list) else set()
        physical = mapping(self.actions.get(OPENQASM)).get("supportPhysicalQubits")
        return bool(names) and names <= NATIVE and physical is True and bool(self._graph())

    @property
    def labels(self) -> tuple[int, ...]:
        """The vendor's numbers of the target's qubits, in order."""
        if not self.verbatim:
            return tuple(range(self.qubits))
        graph = self._graph()
        return tuple(sorted({*graph, *(one for others in graph.values() for one in others)}))

    def resource(self, provider: str, *, reason: str | None = None) -> Resource:
        """What is exposed; ``reason`` why nothing is known of it now."""
        online = self.status == "ONLINE" and reason is None
        return Resource(
            name=self.name,
            provider=provider,
            description=_described(self.title, self.maker)[:200],
            state=ResourceState.ONLINE if online else ResourceState.OFFLINE,
            reason=None if online else reason or f"Braket says {self.status[:40]}",
            capabilities=self.capabilities(),
        )

    def capabilities(self) -> Capabilities:
        """Circuits and Braket's own programs, or atoms."""
        if self.analog:
            return Capabilities(
                kinds=(JobKind.RUN,),
                limits=Limits(qubits=self.qubits, pubs=1, shots=self.most_shots),
                simulator=self.simulator,
                default_shots=min(100, self.most_shots),
                technology="neutral-atom",
                formats=(BRAKET_AHS,),
                coalesce=False,
            )
        estimates = (JobKind.ESTIMATE,) if self.set_size > 1 or self.exact else ()
        together = min(self.set_size // 2 or 1, max(1, self.set_shots // _ESTIMATED_SHOTS))
        return Capabilities(
            kinds=(JobKind.SAMPLE, *estimates, JobKind.RUN),
            limits=Limits(
                qubits=self.qubits,
                pubs=None if self.set_size > 1 else 1,
                evaluations=together if self.set_size > 1 else 1,
                shots=min(self.most_shots, self.set_shots),
            ),
            simulator=self.simulator,
            default_level=1 if self.simulator else 2,
            gates=None if self.verbatim else tuple(self._gate_names()),
            technology=None if self.simulator else _TECHNOLOGIES.get(self.maker),
            formats=(*CIRCUITS, BRAKET_IR),
            coalesce=False,
        )

    def target(self) -> Target:
        """Its own gates and couplings where circuits are compiled here, else all that Braket
        takes: the vendor then compiles for the machine. ``ResourceMismatch`` for atoms."""
        if not self.gates:
            raise ResourceMismatch(
                f"{self.name} runs programs of atoms: nothing is compiled for it"
            )
        if self.verbatim:
            return encode_target(qubits=len(self.labels), instructions=self._native_instructions())
        return encode_target(
            qubits=self.qubits,
            instructions={
                name: {"parameters": ANGLES.get(name, 0), "qubits": None}
                for name in self._gate_names()
            },
        )

    def snapshot(self, fetched_at: datetime) -> Snapshot | None:
        """Its calibration; a simulator has none."""
        if self.simulator:
            return None
        kept = ("standardized", "provider", "paradigm")
        parts = {name: self.document[name] for name in kept if self.document.get(name)}
        updated = mapping(self.document.get("service")).get("updatedAt")
        raw = {**parts, "service": {"updatedAt": updated}, "deviceArn": self.arn}
        return Snapshot(
            resource=self.name,
            format=CALIBRATION_FORMAT,
            raw=json.dumps(raw, sort_keys=True, separators=(",", ":")).encode(),
            metrics=tuple(metrics_of(self.document)),
            calibrated_at=_time(updated),
            fetched_at=fetched_at,
        )

    def _gate_names(self) -> list[str]:
        gates = mapping(self.actions.get(OPENQASM)).get("supportedOperations")
        names = [GATES.get(str(gate).lower()) for gate in gates] if isinstance(gates, list) else []
        return sorted({name for name in names if name} | {"measure", "barrier"})

    def _graph(self) -> dict[int, list[int]]:
        """Couplings by the vendor's numbers; nothing where all are coupled."""
        connectivity = mapping(self.paradigm.get("connectivity"))
        graph = mapping(connectivity.get("connectivityGraph"))
        if connectivity.get("fullyConnected") is True:
            return {}
        try:
            return {int(one): [int(other) for other in others] for one, others in graph.items()}
        except (TypeError, ValueError):
            raise Transient(f"{self.arn} has couplings that are none") from None

    def _native_instructions(self) -> dict[str, dict[str, Any]]:
        place = {label: at for at, label in enumerate(self.labels)}
        pairs = sorted({(a, b) for a, others in self._graph().items() for b in others})
        errors = {(m.name, m.targets): m.value for m in metrics_of(self.document)}
        found: dict[str, dict[str, Any]] = {}
        for gate in (*self.paradigm["nativeGateSet"], "measure"):
            name = GATES.get(str(gate).lower(), "measure")
            on = pairs if name in PAIRED else [(label,) for label in self.labels]
            metric = name if name in PAIRED or name == "measure" else "1q"
            found[name] = {
                "parameters": ANGLES.get(name, 0),
                "qubits": [[place[label] for label in labels] for labels in on],
                "errors": [
                    errors.get((f"{metric}.error", labels))
                    or errors.get((f"{metric}.error", labels[::-1]))
                    for labels in on
                ],
            }
        return found


def device_of(said: Mapping[str, Any]) -> Device:
    """A device from what ``GetDevice`` answers; :class:`Transient` for what is no device."""
    texts = {name: said.get(name) for name in ("deviceArn", "deviceName", "deviceStatus")}
    try:
        document = json.loads(said.get("deviceCapabilities") or "")
    except (TypeError, ValueError):
        document = None
    if not isinstance(document, dict) or not all(isinstance(text, str) for text in texts.values()):
        raise Transient("braket answered what is no device")
    return Device(
        arn=str(texts["deviceArn"]),
        title=str(texts["deviceName"])[:80],
        maker=str(said.get("providerName"))[:80],
        kind=str(said.get("deviceType")),
        status=str(texts["deviceStatus"]),
        document=document,
    )


def now() -> datetime:
    """Our clock."""
    return datetime.now(UTC)


def _whole(value: Any, otherwise: int) -> int:
    return value if type(value) is int and value >= 0 else otherwise


def _time(value: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
