"""Platforms of Quandela's cloud: what they say of themselves, as resources and calibrations.

Their answers are read as the JSON they are; nothing that is serialised in them is opened here.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from quanopy.domain.calibration import Metric, Snapshot
from quanopy.domain.jobs import JobKind
from quanopy.domain.programs import PERCEVAL
from quanopy.domain.resources import Capabilities, Limits, Resource
from quanopy.domain.states import ResourceState
from quanopy.domain.texts import is_showable

FORMAT = "perceval-platform/1"
"""A snapshot: ``{"name", "type", "perfs", "specs"}`` of a platform."""
COMMANDS = ("sample_count", "samples", "probs")
_ONLINE = ("available", "online", "busy", "running")
_NAMED = re.compile(r"(?P<name>.*?)\s*\((?P<unit>[^()]*)\)")
_SCALES = {"%": (0.01, ""), "MHz": (1e6, "Hz"), "kHz": (1e3, "Hz"), "ns": (1e-9, "s")}
_LONGEST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """A platform as it was last seen."""

    name: str
    """There: ``qpu:belenos``."""
    kind: str
    """``simulator`` or ``physical``."""
    status: str
    specs: Mapping[str, Any]
    performance: Mapping[str, Any]

    @property
    def commands(self) -> tuple[str, ...]:
        """What it can be asked for, of what is asked for here."""
        told = self.specs.get("available_commands")
        able = tuple(one for one in COMMANDS if isinstance(told, list) and one in told)
        return able or COMMANDS[:1]

    @property
    def most_shots(self) -> int | None:
        """How many shots a job may have."""
        constraints = self.specs.get("constraints")
        most = constraints.get("max_shots") if isinstance(constraints, Mapping) else None
        return most if isinstance(most, int) and most > 0 else None


def slug(platform: str) -> str:
    """A platform's name as a resource's: ``qpu-belenos``."""
    return re.sub(r"[^a-z0-9]+", "-", platform.lower()).strip("-")


def platform_of(name: str, details: Any) -> Platform:
    """The platform that an answer describes; raises ``ValueError`` where it describes none."""
    if not isinstance(details, dict) or not isinstance(details.get("specs"), dict):
        raise ValueError("a platform without specs")
    perfs = details.get("perfs") or {}
    if not isinstance(perfs, dict):
        raise ValueError("a platform's performance is no object")
    json.dumps([details["specs"], perfs], allow_nan=False)  # what is no JSON is no answer
    return Platform(
        name=name,
        kind=str(details.get("type") or "simulator")[:_LONGEST],
        status=str(details.get("status") or "")[:_LONGEST],
        specs=details["specs"],
        performance=perfs,
    )


def resource_of(
    platform: Platform | None, *, name: str, provider: str, problem: str | None, spent: float
) -> Resource:
    """A platform as a resource; ``None`` for one that never answered. ``spent``: shots a sample."""
    if platform is None:
        return Resource(
            name=slug(name),
            provider=provider,
            description=f"{name} of Quandela",
            state=ResourceState.OFFLINE,
            reason=problem,
            capabilities=_capabilities(None, spent),
        )
    state, reason = _state(platform.status)
    if problem is not None:
        state, reason = ResourceState.OFFLINE, problem
    said = platform.specs.get("description")
    words = said if isinstance(said, str) and is_showable(said) else ""
    return Resource(
        name=slug(name),
        provider=provider,
        description=(words or f"{name} of Quandela")[:_LONGEST],
        state=state,
        reason=reason,
        capabilities=_capabilities(platform, spent),
    )


def _capabilities(platform: Platform | None, spent: float) -> Capabilities:
    most = platform.most_shots if platform is not None else None
    return Capabilities(
        kinds=(JobKind.RUN,),
        formats=(PERCEVAL,),
        technology="photonic",
        simulator=platform is not None and platform.kind.lower() == "simulator",
        limits=Limits(pubs=1, shots=None if most is None else max(1, int(most / spent))),
        coalesce=False,
    )


def _state(status: str) -> tuple[ResourceState, str | None]:
    if not status or status.lower() in _ONLINE:
        return ResourceState.ONLINE, None
    state = ResourceState.MAINTENANCE if "maint" in status.lower() else ResourceState.OFFLINE
    return state, f"Quandela says it is {status if is_showable(status) else repr(status)}"


def snapshot_of(platform: Platform) -> Snapshot:
    """Its performance and specs now: it gives no time of theirs."""
    document = {
        "name": platform.name,
        "type": platform.kind,
        "perfs": platform.performance,
        "specs": platform.specs,
    }
    return Snapshot(
        resource=slug(platform.name),
        format=FORMAT,
        raw=json.dumps(document, sort_keys=True, separators=(",", ":")).encode(),
        metrics=tuple(_metrics(platform.performance)),
        calibrated_at=None,
        fetched_at=datetime.now(UTC),
    )


def _metrics(performance: Mapping[str, Any]) -> Iterator[Metric]:
    """Numbers, of the platform or one a mode: ``HOM (%)`` of 92 is ``HOM`` of 0.92."""
    for called, value in sorted(performance.items()):
        named = _NAMED.fullmatch(called)
        name, unit = (named["name"], named["unit"]) if named else (called, "")
        scale, known = _SCALES.get(unit, (1.0, unit[:_LONGEST]))
        if name and is_showable(called):
            yield from _numbers(name[:_LONGEST], scale, known, value)


def _numbers(name: str, scale: float, unit: str, value: Any) -> Iterator[Metric]:
    if isinstance(value, dict):
        for part, one in sorted(value.items()):
            if not isinstance(one, dict) and is_showable(part):
                yield from _numbers(f"{name}.{part}"[:_LONGEST], scale, unit, one)
    elif isinstance(value, list):
        for mode, one in enumerate(value):
            if _is_number(one):
                yield Metric(name=name, targets=(mode,), value=one * scale, unit=unit)
    elif _is_number(value):
        yield Metric(name=name, value=value * scale, unit=unit)


def _is_number(value: Any) -> bool:
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return known and -1e300 < value < 1e300
