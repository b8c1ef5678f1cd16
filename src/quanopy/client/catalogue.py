"""The broker's resources: which there are, their targets and calibrations, and their care."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from quanopy.client.choices import chosen
from quanopy.client.http import Http
from quanopy.domain.jobs import JobKind
from quanopy.domain.resources import Target
from quanopy.domain.states import ResourceState
from quanopy.wire.calibrations import CalibrationOut, SnapshotOut, SnapshotsOut
from quanopy.wire.matching import MatchIn, MatchOut, RequirementsIn
from quanopy.wire.refusals import checked
from quanopy.wire.service import (
    AccessIn,
    HeartbeatIn,
    RegistrationIn,
    RegistrationOut,
    ResourceOut,
    ResourcesOut,
    ResourceStateIn,
)


class Catalogue:
    """The resources of a broker; each method answers for the one of
    :class:`~quanopy.client.Client` with the same purpose, and raises what that raises."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def all(self) -> list[ResourceOut]:
        """Every resource."""
        return self._http.get(ResourcesOut, "/resources").resources

    def one(self, name: str) -> ResourceOut:
        """One resource."""
        return self._http.get(ResourceOut, _path(name))

    def match(
        self,
        requires: Mapping[str, Any] | None,
        kind: JobKind | str | None,
        formats: Sequence[str],
        shots: int | None,
    ) -> MatchOut:
        """All resources, held against requirements."""
        asked = {
            "requires": checked(RequirementsIn, dict(requires or {}), within="requires"),
            "kind": chosen(JobKind, kind, "kind") if kind else None,
            "formats": list(formats),
            "shots": shots,
        }
        return self._http.post(MatchOut, "/match", checked(MatchIn, asked))

    def target(self, name: str) -> Target:
        """What programs are compiled for."""
        return Target(data=self._http.request("GET", _path(name, "/target")))

    def calibration(self, name: str, metrics: Sequence[str]) -> CalibrationOut:
        """How a resource's calibration stands."""
        params = {"metric": list(metrics)}
        return self._http.get(CalibrationOut, _path(name, "/calibration"), params=params)

    def calibrations(
        self,
        name: str,
        since: datetime | None,
        until: datetime | None,
        metrics: Sequence[str],
        limit: int,
    ) -> list[SnapshotOut]:
        """Snapshots that were seen in a time, newest first."""
        params = {
            "since": since and since.isoformat(),
            "until": until and until.isoformat(),
            "metric": list(metrics),
            "limit": limit,
        }
        return self._http.get(SnapshotsOut, _path(name, "/calibrations"), params=params).snapshots

    def set_state(self, name: str, state: ResourceState | str, reason: str | None) -> ResourceOut:
        """Take a resource in or out of service."""
        asked = {"state": chosen(ResourceState, state, "state"), "reason": reason}
        body = checked(ResourceStateIn, asked)
        return self._put(_path(name, "/state"), body)

    def open(self, name: str, accounts: Sequence[str] | None) -> ResourceOut:
        """Have a resource serve these accounts; ``None`` is everybody."""
        body = checked(AccessIn, {"accounts": None if accounts is None else list(accounts)})
        return self._put(_path(name, "/accounts"), body)

    def register(
        self, name: str, url: str, target: Target, description: str, lanes: int
    ) -> RegistrationOut:
        """Put a virtual QPU into the catalogue."""
        asked = {
            "name": name,
            "url": url,
            "target": json.loads(target.data),
            "description": description,
            "lanes": lanes,
        }
        return self._http.post(RegistrationOut, "/resources", checked(RegistrationIn, asked))

    def heartbeat(self, name: str, registration_id: str, leaving: bool) -> ResourceOut:
        """Say that a registered resource lives."""
        body = checked(HeartbeatIn, {"id": registration_id, "leaving": leaving})
        return self._put(_path(name, "/heartbeat"), body)

    def remove(self, name: str, registration_id: str | None) -> None:
        """Take a registered resource out of the catalogue."""
        params = {"id": registration_id} if registration_id is not None else None
        self._http.request("DELETE", _path(name), params=params)

    def _put(self, path: str, body: Any) -> ResourceOut:
        return self._http.read(ResourceOut, self._http.request("PUT", path, body=body))


def _path(name: str, below: str = "") -> str:
    return f"/resources/{quote(name, safe='')}{below}"
