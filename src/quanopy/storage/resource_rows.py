"""Resources and devices as rows."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from quanopy.domain.jobs import JobKind
from quanopy.domain.resources import Capabilities, Limits, Resource
from quanopy.domain.states import ResourceState
from quanopy.storage.compiled import Row
from quanopy.storage.values import Values, compact


def resource_row(resource: Resource) -> Values:
    """A resource as a row."""
    return {
        "name": resource.name,
        "provider": resource.provider,
        "description": resource.description,
        "lanes": resource.lanes,
        "device": resource.device,
        "part": None if resource.part is None else compact(sorted(set(resource.part))),
        "state": resource.state.value,
        "reason": resource.reason,
        "operated": False,
        "capabilities": compact(asdict(resource.capabilities)),
        "owner": resource.owner,
        "accounts": None if resource.accounts is None else compact(resource.accounts),
    }


def resource_of(row: Row) -> Resource:
    """A resource from its row."""
    return Resource(
        name=row.name,
        provider=row.provider,
        description=row.description,
        lanes=row.lanes,
        device=row.device,
        part=part_of(row.part),
        state=ResourceState(row.state),
        reason=row.reason,
        capabilities=_capabilities(json.loads(row.capabilities)),
        owner=row.owner,
        accounts=accounts_of(row.accounts),
    )


def device_row(name: str) -> Values:
    """A device that nobody has said anything of yet, as a row."""
    return {
        "name": name,
        "parted": False,
        **dict.fromkeys(("wanted_by", "wanted_at", "tried_at")),
    }


def part_of(stored: str | None) -> tuple[str, ...] | None:
    """What of its device a resource takes, as its row has it."""
    return None if stored is None else tuple(json.loads(stored))


def accounts_of(stored: str | None) -> tuple[str, ...] | None:
    """The accounts that a resource serves, as its row has them; ``None``: all."""
    return None if stored is None else tuple(json.loads(stored))


def _capabilities(stored: Mapping[str, Any]) -> Capabilities:
    gates: Sequence[str] | None = stored["gates"]
    return Capabilities(
        **{
            **stored,
            "kinds": tuple(JobKind(kind) for kind in stored["kinds"]),
            "limits": Limits(**stored["limits"]),
            "gates": None if gates is None else tuple(gates),
            "formats": tuple(stored["formats"]),
        }
    )
