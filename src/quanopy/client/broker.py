"""``Broker``: what a broker has and shows of itself, and what operators ask of it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel

from quanopy.client import settings
from quanopy.client.adopting import adopted
from quanopy.client.calibrations import Calibration
from quanopy.client.choices import chosen, several
from quanopy.client.handles import Job
from quanopy.client.http import Http, part
from quanopy.client.webhooks import Webhooks
from quanopy.domain.errors import Invalid
from quanopy.domain.jobs import JobKind
from quanopy.domain.resources import Target
from quanopy.domain.states import ResourceState, WayOut
from quanopy.wire.calibrations import CalibrationOut, SnapshotOut, SnapshotsOut
from quanopy.wire.matching import MatchIn, MatchOut, RequirementsIn
from quanopy.wire.refusals import checked
from quanopy.wire.service import (
    AccessIn,
    AdoptIn,
    HealthOut,
    HeartbeatIn,
    RegistrationIn,
    RegistrationOut,
    ResourceOut,
    ResourcesOut,
    ResourceStateIn,
    StrandedListOut,
    StrandedOut,
    TokenIn,
    TokenOut,
    TokensOut,
    WayOutIn,
)


class Broker:
    """A broker and its resources; :class:`~quanopy.client.Client` is that, and submits to it."""

    def __init__(self, url: str | None = None, token: str | None = None) -> None:
        """Find the broker; nothing is sent yet.

        Raises:
            Unavailable: no broker is named anywhere and none runs here.
            Denied: a file with a token could be read by others.
        """
        self.settings = settings.find(url, token)
        self._http = Http(self.settings)
        self.webhooks = Webhooks(self._http)
        """Where the broker sends what happens."""

    def health(self) -> HealthOut:
        """Whether the broker stands, and its version."""
        return self._http.get(HealthOut, "/health")

    # -- resources ----------------------------------------------------------------------------
    def resources(self) -> list[ResourceOut]:
        """Every resource, and how busy it is."""
        return self._http.get(ResourcesOut, "/resources").resources

    def resource(self, name: str) -> ResourceOut:
        """One resource; raises :class:`NotFound`."""
        return self._http.get(ResourceOut, _resource(name))

    def match(
        self,
        requires: Mapping[str, Any] | None = None,
        *,
        kind: JobKind | str | None = None,
        formats: Sequence[str] = (),
        shots: int | None = None,
    ) -> MatchOut:
        """All resources, those that fit ``requires`` first, the best before all; the others with
        the reasons why they do not. The fields are those of
        :class:`~quanopy.wire.matching.RequirementsIn`; ``shots`` are of all pubs, for the cost.
        """
        asked = {
            "requires": checked(RequirementsIn, requires or {}, within="requires"),
            "kind": chosen(JobKind, kind, "kind") if kind else None,
            "formats": several(formats),
            "shots": shots,
        }
        return self._http.post(MatchOut, "/match", checked(MatchIn, asked))

    def target(self, name: str) -> Target:
        """The machine that programs are compiled for on a resource, to be read with
        ``quanopy.codecs.targets.decode_target``; raises :class:`NotFound` where the broker
        cannot tell."""
        return Target(data=self._http.request("GET", _resource(name, "/target")))

    def calibration(self, resource: str) -> Calibration | None:
        """How a resource is calibrated, as it was seen last; ``None`` where it publishes nothing,
        or nothing was seen yet. Raises :class:`NotFound`."""
        found = self.calibration_of(resource).snapshot
        return None if found is None else Calibration(self._http, found.digest, found)

    def calibration_of(self, resource: str, *, metrics: Sequence[str] = ()) -> CalibrationOut:
        """How a resource's calibration stands: when it was asked for, why there is none, and the
        snapshot with these ``metrics`` (by default all)."""
        params = {"metric": several(metrics)}
        return self._http.get(CalibrationOut, _resource(resource, "/calibration"), params=params)

    def calibrations(
        self,
        resource: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        metrics: Sequence[str] = (),
        limit: int = 100,
    ) -> list[SnapshotOut]:
        """Snapshots of a resource that were seen in a time (aware datetimes), newest first, with
        these ``metrics``; at most 1000."""
        params = {
            "since": _moment(since, "since"),
            "until": _moment(until, "until"),
            "metric": several(metrics),
            "limit": limit,
        }
        path = _resource(resource, "/calibrations")
        return self._http.get(SnapshotsOut, path, params=params).snapshots

    def snapshot(self, digest: str) -> Calibration:
        """A snapshot by its digest; nothing is asked yet."""
        return Calibration(self._http, digest)

    def set_resource_state(
        self, name: str, state: ResourceState | str, reason: str | None = None
    ) -> ResourceOut:
        """Take a resource in or out of service; needs the operator's scope."""
        asked = {"state": chosen(ResourceState, state, "state"), "reason": reason}
        return self._put(_resource(name, "/state"), checked(ResourceStateIn, asked))

    def register_resource(
        self,
        name: str,
        url: str,
        target: Target,
        *,
        description: str = "",
        lanes: int = 1,
    ) -> RegistrationOut:
        """Put a virtual QPU that answers at ``url`` into the broker's catalogue, for this account;
        raises :class:`Conflict` where the name is another's, :class:`Forbidden` where the url is
        neither this machine's nor one the operator allows."""
        asked = {
            "name": name,
            "url": url,
            "target": json.loads(target.data),
            "description": description,
            "lanes": lanes,
        }
        return self._http.post(RegistrationOut, "/resources", checked(RegistrationIn, asked))

    def heartbeat(self, name: str, registration_id: str, *, leaving: bool = False) -> ResourceOut:
        """Say that a registered resource lives; ``leaving``: and takes no new work. Raises
        :class:`NotFound` once the registration does not stand any more."""
        body = checked(HeartbeatIn, {"id": registration_id, "leaving": leaving})
        return self._put(_resource(name, "/heartbeat"), body)

    def remove_resource(self, name: str, registration_id: str | None = None) -> None:
        """Take a resource that registered itself out of the catalogue (only this registration of
        it, if one is given): one's own, or anybody's with the operator's scope."""
        params = {"id": registration_id} if registration_id is not None else None
        self._http.request("DELETE", _resource(name), params=params)

    def open_resource(self, name: str, accounts: Sequence[str] | None) -> ResourceOut:
        """Have a resource serve these accounts and its owner (``None``: everybody); needs the
        operator's scope."""
        body = checked(AccessIn, {"accounts": None if accounts is None else several(accounts)})
        return self._put(_resource(name, "/accounts"), body)

    def _put(self, path: str, body: BaseModel) -> ResourceOut:
        return self._http.read(ResourceOut, self._http.request("PUT", path, body=body))

    # -- operating ----------------------------------------------------------------------------
    def stranded(self) -> list[StrandedOut]:
        """Executions of all accounts that may have been billed and nobody can tell of, the oldest
        first; needs the operator's scope."""
        return self._http.get(StrandedListOut, "/stranded", params={"limit": 500}).executions

    def settle(
        self, id: str, way: WayOut | str, reason: str, *, provider_job_id: str | None = None
    ) -> StrandedOut:
        """Say what became of a stranded execution: ``found`` (at the provider, perhaps under
        ``provider_job_id``), ``resend`` (only where the provider never had it), ``give-up``, or
        ``look`` (have a worker ask the provider once more). Needs the operator's scope."""
        asked = {
            "way": chosen(WayOut, way, "way"),
            "reason": reason,
            "provider_job_id": provider_job_id,
        }
        path = f"/stranded/{part(id)}"
        return self._http.post(StrandedOut, path, checked(WayOutIn, asked), repeatable=False)

    def adopt(
        self,
        provider: str,
        id: str,
        *,
        name: str | None = None,
        tags: Iterable[str] = (),
        account: str | None = None,
        timeout: float | None = 60.0,
    ) -> Job:
        """Take over a vendor's job that was made elsewhere: a job here, which is followed to its
        end and whose result is kept. The same one is taken over once. Needs the operator's scope.

        Raises:
            Conflict: it was sent from here; the message names its job.
            Rejected: the vendor does not have it, or does not give it away.
            NotReady: no worker has asked the vendor within ``timeout`` seconds.
        """
        who = {"provider": provider, "id": id, "account": account}
        asked = {**who, "name": name, "tags": several(tags)}
        return Job(self._http, adopted(self._http, checked(AdoptIn, asked), timeout))

    def create_token(self, token: TokenIn | Mapping[str, Any]) -> TokenOut:
        """Make a token, of these fields; its ``secret`` is shown this once. Needs the admin's
        scope."""
        return self._http.post(TokenOut, "/tokens", checked(TokenIn, token), repeatable=False)

    def tokens(self) -> list[TokenOut]:
        """All tokens, without their secrets; needs the admin's scope."""
        return self._http.get(TokensOut, "/tokens").tokens

    def revoke_token(self, id: str) -> None:
        """Make a token worthless from now on; needs the admin's scope."""
        self._http.request("DELETE", f"/tokens/{part(id)}")

    def close(self) -> None:
        """Close the connections; handles of this client are of no use afterwards."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.settings.url!r})"


def _moment(when: datetime | None, where: str) -> str | None:
    if when is not None and not isinstance(when, datetime):
        raise Invalid(f"{str(when)[:60]!r} is no datetime", where=where)
    return None if when is None else when.isoformat()


def _resource(name: str, below: str = "") -> str:
    return f"/resources/{part(name)}{below}"
