"""Devices of Pasqal as they describe themselves (Pulser's abstract representation)."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from quanopy.domain.calibration import Metric, Snapshot
from quanopy.domain.jobs import JobKind
from quanopy.domain.programs import PULSER
from quanopy.domain.resources import Capabilities, Limits, Resource
from quanopy.domain.texts import is_showable

FORMAT = "pulser-device/1"
"""A snapshot: the device's abstract representation."""
PUBS = 25
"""Of one task: four tasks share a batch, whose jobs then come in one page."""
UNITS = {
    "min_atom_distance": (1e-6, "m"),
    "max_radial_distance": (1e-6, "m"),
    "max_sequence_duration": (1e-9, "s"),
    "max_abs_detuning": (1e6, "rad/s"),
    "max_amp": (1e6, "rad/s"),
    "mod_bandwidth": (1e6, "Hz"),
    "temperature": (1e-6, "K"),
    "laser_waist": (1e-6, "m"),
    "relaxation_rate": (1e6, "1/s"),
    "dephasing_rate": (1e6, "1/s"),
    "hyperfine_dephasing_rate": (1e6, "1/s"),
    "depolarizing_rate": (1e6, "1/s"),
}
"""Pulser's units, in SI: it counts in µm, ns, µs and rad/µs."""
_EMULATORS = "EMU"


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A device as it was last seen."""

    name: str
    """There: ``FRESNEL``, ``EMU_MPS`` …"""
    specs: Mapping[str, Any]

    @property
    def atoms(self) -> int | None:
        """The most atoms of a register."""
        return _positive(self.specs.get("max_atom_num"))

    @property
    def runs(self) -> int | None:
        """The most runs of a sequence in one job."""
        return _positive(self.specs.get("max_runs"))


def slug(device: str) -> str:
    """A device's name as a resource's: ``emu-mps``."""
    return re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-")


def devices_of(answer: Any) -> dict[str, Device]:
    """Devices by their names as resources; raises ``ValueError`` or ``TypeError`` for an answer
    that has none."""
    if not isinstance(answer, dict):
        raise TypeError("devices that are no object")
    found = {}
    for name, text in answer.items():
        specs = json.loads(text, parse_constant=_no_number)
        if not isinstance(specs, dict) or not slug(name):
            raise ValueError("a device that is none")
        found[slug(name)] = Device(name=name, specs=specs)
    return found


def resource_of(device: Device, *, provider: str) -> Resource:
    """A device as a resource."""
    virtual = device.name.upper().startswith(_EMULATORS) or device.specs.get("is_virtual") is True
    return Resource(
        name=slug(device.name),
        provider=provider,
        description=f"{device.name[:100]} of Pasqal",
        capabilities=Capabilities(
            kinds=(JobKind.RUN,),
            formats=(PULSER,),
            technology="neutral-atom",
            simulator=virtual,
            limits=Limits(qubits=device.atoms, pubs=PUBS, shots=device.runs),
            default_shots=min(500, device.runs or 500),
        ),
    )


def snapshot_of(device: Device) -> Snapshot:
    """What it says of itself now: it gives no time of its own."""
    return Snapshot(
        resource=slug(device.name),
        format=FORMAT,
        raw=json.dumps(device.specs, sort_keys=True, separators=(",", ":")).encode(),
        metrics=tuple(_metrics(device.specs)),
        calibrated_at=None,
        fetched_at=datetime.now(UTC),
    )


def _metrics(specs: Mapping[str, Any]) -> Iterator[Metric]:
    """Its own numbers, those of its noise and those of each of its channels."""
    yield from _numbers("", specs)
    noise = specs.get("default_noise_model")
    if isinstance(noise, dict):
        yield from _numbers("noise.", noise)
    channels = specs.get("channels")
    for channel in channels if isinstance(channels, list) else ():
        if isinstance(channel, dict) and isinstance(channel.get("id"), str):
            yield from _numbers(f"{channel['id'][:90]}.", channel)


def _numbers(prefix: str, values: Mapping[str, Any]) -> Iterator[Metric]:
    for name, value in sorted(values.items()):
        known = isinstance(value, int | float) and not isinstance(value, bool)
        if known and abs(value) < 1e300 and name and is_showable(prefix + name):
            scale, unit = UNITS.get(name, (1.0, ""))
            yield Metric(name=f"{prefix}{name[:100]}", value=value * scale, unit=unit)


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _positive(value: Any) -> int | None:
    known = isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**31
    return value if known else None
