"""What a virtual QPU says of itself: untrusted, checked, kept as a resource."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from quanopy.codecs.targets import checked_target, decode_target, encode_target
from quanopy.codecs.vqpu import LANES_FOR_EACH, MOST_SHOTS, NOT_GATES, SHOTS, known
from quanopy.domain.calibration import Metric, Snapshot
from quanopy.domain.errors import Invalid
from quanopy.domain.jobs import JobKind
from quanopy.domain.resources import Capabilities, Limits, Resource, Target
from quanopy.domain.states import ResourceState

FORMAT = "quanopy-vqpu-noise/1"
_MOST_METRICS = 100_000
_LONGEST = 500
_ANGLES = {"rx": 1, "ry": 1, "rz": 1, "p": 1, "u": 3, "r": 2, "rxx": 1, "ryy": 1, "rzz": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """A vQPU as it was last seen."""

    target: Target
    gates: tuple[str, ...]
    qubits: int
    lanes: int
    circuits: int
    """How many one submission takes."""
    shots: int
    description: str = ""
    calibration: Mapping[str, Any] | None = None

    def resource(
        self,
        name: str,
        provider: str,
        *,
        reason: str | None,
        owner: str | None = None,
        accounts: tuple[str, ...] | None = None,
    ) -> Resource:
        """As a resource; ``reason`` says why it is offline."""
        instructions = decode_target(self.target)["instructions"]
        anywhere = all(entry.get("qubits") is None for entry in instructions.values())
        return Resource(
            name=name,
            provider=provider,
            description=self.description,
            lanes=LANES_FOR_EACH * self.lanes,
            state=ResourceState.ONLINE if reason is None else ResourceState.OFFLINE,
            reason=reason,
            capabilities=capabilities(
                self.qubits, self.gates if anywhere else None, self.circuits, self.shots
            ),
            owner=owner,
            accounts=accounts,
        )


def capabilities(
    qubits: int | None, gates: tuple[str, ...] | None, circuits: int, shots: int
) -> Capabilities:
    """What a vQPU can do."""
    return Capabilities(
        kinds=(JobKind.SAMPLE, JobKind.ESTIMATE, JobKind.RUN),
        limits=Limits(
            qubits=qubits,
            pubs=circuits,
            evaluations=circuits,
            shots=shots,
            job_shots=MOST_SHOTS,
        ),
        simulator=True,
        gates=gates,
    )


def described(document: object) -> Description:
    """From a vQPU's own document; raises :class:`Invalid` naming what is wrong with it."""
    if not isinstance(document, dict):
        raise Invalid("no description of a device")
    target = checked_target(document.get("target"))
    limits = document.get("limits")
    calibration = document.get("calibration")
    text = document.get("description")
    return of_target(
        target,
        lanes=_whole(document.get("lanes"), 1, 256, "lanes"),
        circuits=_whole(limits.get("circuits"), 1, 10_000, "limits.circuits")
        if isinstance(limits, dict)
        else 1,
        shots=_whole(limits.get("shots"), 1, 10**9, "limits.shots")
        if isinstance(limits, dict)
        else SHOTS,
        description=" ".join(text.split())[:_LONGEST] if isinstance(text, str) else "",
        calibration=calibration if isinstance(calibration, dict) else None,
    )


def of_target(
    target: Target,
    *,
    lanes: int,
    circuits: int,
    shots: int,
    description: str = "",
    calibration: Mapping[str, Any] | None = None,
) -> Description:
    """Of a target that has been checked."""
    found = decode_target(target)
    return Description(
        target=target,
        gates=tuple(sorted(set(found["instructions"]) - NOT_GATES)),
        qubits=found["qubits"],
        lanes=lanes,
        circuits=circuits,
        shots=shots,
        description=description,
        calibration=calibration,
    )


def plain(native: object, *, qubits: int, lanes: int) -> Description:
    """Of a vQPU that only lists its native gates: all of them on all qubits, a circuit at once."""
    if not isinstance(native, list) or not all(isinstance(one, str) for one in native[:500]):
        raise Invalid("no list of native gates")
    names = sorted({known(one) for one in native[:500]})
    instructions = {
        name: {"parameters": _ANGLES.get(name, 0), "qubits": None} for name in (*names, "measure")
    }
    target = checked_target(
        json.loads(encode_target(qubits=qubits, instructions=instructions).data)
    )
    return of_target(target, lanes=lanes, circuits=1, shots=SHOTS)


def snapshot(resource: str, document: Mapping[str, Any] | None) -> Snapshot | None:
    """A vQPU's noise as its calibration; ``None`` where it has none. Raises :class:`Invalid`."""
    rows = document.get("metrics") if document is not None else None
    if document is None or not rows:
        return None
    if not isinstance(rows, list) or len(rows) > _MOST_METRICS:
        raise Invalid("no calibration")
    metrics = [_metric(row) for row in rows]
    raw = {"metrics": rows, "calibrated_at": document.get("calibrated_at")}
    return Snapshot(
        resource=resource,
        format=FORMAT,
        raw=json.dumps(raw, sort_keys=True, separators=(",", ":")).encode(),
        metrics=metrics,
        calibrated_at=moment(document.get("calibrated_at")),
        fetched_at=datetime.now(UTC),
    )


def _metric(row: object) -> Metric:
    if not isinstance(row, dict):
        raise Invalid("no metric")
    name, value, unit = row.get("name"), row.get("value"), row.get("unit", "")
    targets: Sequence[object] = row.get("targets") or ()
    if not isinstance(name, str) or not 0 < len(name) <= 100 or not isinstance(unit, str):
        raise Invalid("no metric")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Invalid("no metric")
    if not math.isfinite(value) or not isinstance(targets, list | tuple) or len(targets) > 64:
        raise Invalid(f"no metric {name[:100]!r}")
    places = tuple(_whole(one, 0, 10_000, "targets") for one in targets)
    return Metric(name=name, targets=places, value=float(value), unit=unit[:20])


def moment(text: object) -> datetime | None:
    """A vQPU's time; ``None`` where it gives none that can be read."""
    try:
        found = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return found if found is not None and found.utcoffset() is not None else None


def _whole(value: object, least: int, most: int, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise Invalid(f"{str(value)[:40]} is no whole number from {least} to {most}", where=where)
    return value
