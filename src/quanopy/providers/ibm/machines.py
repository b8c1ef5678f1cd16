"""The machines of an instance: resources, targets and calibrations, remembered for a while."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from threading import Lock
from typing import Any

from quanopy.domain.calibration import Snapshot
from quanopy.domain.errors import NotFound, ProviderError, QuanopyError
from quanopy.domain.resources import Capabilities, Limits, Resource, Target
from quanopy.domain.states import ResourceState
from quanopy.providers.ibm.documents import snapshot_of, target_of
from quanopy.providers.ibm.service import Service

_FRESH_S = 60.0
_STATES = {
    "online": ResourceState.ONLINE,
    "active": ResourceState.ONLINE,
    "maintenance": ResourceState.MAINTENANCE,
    "paused": ResourceState.MAINTENANCE,
}
_DEFAULT_SHOTS = 4096
_LEVEL = 2


@dataclass(slots=True)
class _Machine:
    backend: str
    configuration: Mapping[str, Any]
    target: Target | None = None


class Machines:
    """What is known of the machines; safe from several threads."""

    def __init__(self, provider: str, *, backends: Sequence[str] | None, lanes: int | None) -> None:
        self._provider = provider
        self._wanted = frozenset(backends) if backends is not None else None
        self._lanes = lanes
        self._lock = Lock()
        self._known: dict[str, _Machine] = {}
        self._resources: list[Resource] = []
        self._looked_at = float("-inf")

    def resources(self, service: Service) -> list[Resource]:
        """The vendor's list, at most a minute old. Where it does not answer: what was known
        before, offline; raises only where nothing was."""
        with self._lock:
            if time.monotonic() - self._looked_at < _FRESH_S:
                return list(self._resources)
            try:
                self._resources = self._list(service)
            except QuanopyError as error:
                if not self._resources:
                    raise
                self._resources = [
                    replace(one, state=ResourceState.OFFLINE, reason=str(error)[:300])
                    for one in self._resources
                ]
            self._looked_at = time.monotonic()
            return list(self._resources)

    def backend(self, service: Service, resource: str) -> str:
        """The vendor's name of a resource; :class:`NotFound`."""
        return self._machine(service, resource).backend

    def target(self, service: Service, resource: str) -> Target:
        """What programs are compiled for: that of the calibration fetched last."""
        machine = self._machine(service, resource)
        if machine.target is None:
            properties = service.properties(machine.backend)
            machine.target = target_of(machine.configuration, properties)
        return machine.target

    def calibration(self, service: Service, resource: str) -> Snapshot | None:
        """The calibration as it is now."""
        machine = self._machine(service, resource)
        properties = service.properties(machine.backend)
        machine.target = target_of(machine.configuration, properties)
        if properties is None:
            return None
        return snapshot_of(resource, properties, datetime.now(UTC))

    def _machine(self, service: Service, resource: str) -> _Machine:
        if resource not in self._known:
            self.resources(service)
        found = self._known.get(resource)
        if found is None:
            raise NotFound(f"{self._provider} has no resource {resource}")
        return found

    def _list(self, service: Service) -> list[Resource]:
        listed = [
            (str(one.get("name")), one)
            for one in service.backends()
            if self._wanted is None or one.get("name") in self._wanted
        ]
        return [self._resource(service, name, one) for name, one in listed]

    def _resource(self, service: Service, backend: str, listed: Mapping[str, Any]) -> Resource:
        name = slug(backend)
        if name not in self._known:
            self._known[name] = _Machine(backend, service.configuration(backend))
        configuration = self._known[name].configuration
        state, reason = _state(listed.get("status"))
        return Resource(
            name=name,
            provider=self._provider,
            description=f"IBM Quantum {backend}",
            lanes=self._lanes,
            state=state,
            reason=reason,
            capabilities=Capabilities(
                limits=_limits(configuration),
                simulator=configuration.get("simulator") is True,
                default_shots=_DEFAULT_SHOTS,
                default_level=_LEVEL,
                technology="superconducting",
            ),
        )


def slug(backend: str) -> str:
    """A backend's name as that of a resource."""
    return backend.lower().replace("_", "-")


def _limits(configuration: Mapping[str, Any]) -> Limits:
    return Limits(
        qubits=_count(configuration, "n_qubits"),
        shots=_count(configuration, "max_shots"),
        pubs=_count(configuration, "max_experiments"),
    )


def _count(configuration: Mapping[str, Any], name: str) -> int | None:
    found = configuration.get(name)
    if found is None:
        return None
    if type(found) is not int or found < 1:
        raise ProviderError(f"IBM's configuration says {name} is {str(found)[:40]}")
    return found


def _state(status: Any) -> tuple[ResourceState, str | None]:
    said = status if isinstance(status, dict) else {"name": status}
    state = _STATES.get(str(said.get("name")).lower(), ResourceState.OFFLINE)
    if state is ResourceState.ONLINE:
        return state, None
    return state, f"IBM says {said.get('name')}: {said.get('reason') or 'no reason'}"[:300]
