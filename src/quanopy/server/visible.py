"""Which resources, and which snapshots of theirs, a caller may see: those that serve its account;
operators see all.

Whom else a resource serves is its owner's and operators' to know.
"""

from dataclasses import replace

from quanopy.domain.accounts import Identity
from quanopy.domain.resources import ResourceStatus
from quanopy.domain.sightings import Sighting
from quanopy.ports.jobs import JobQuery
from quanopy.server.auth import is_operator
from quanopy.server.web import Web
from quanopy.services.calibration_reads import no_snapshot
from quanopy.services.catalogue import no_resource


def visible(web: Web, identity: Identity) -> list[ResourceStatus]:
    """The resources that a caller may see."""
    everything = is_operator(identity)
    found = web.store.resources()
    if everything:
        return found
    return [_shown(one, identity) for one in found if one.resource.serves(identity.account)]


def _shown(status: ResourceStatus, identity: Identity) -> ResourceStatus:
    """A resource with those of its accounts that the caller may know: all of its own resource's,
    else the caller's."""
    resource = status.resource
    if resource.accounts is None or resource.owner == identity.account:
        return status
    return replace(status, resource=replace(resource, accounts=(identity.account,)))


def status_of(web: Web, identity: Identity, name: str) -> ResourceStatus:
    """A resource that a caller may see; raises ``NotFound``, as for one that is not there."""
    known = {status.resource.name: status for status in visible(web, identity)}
    if name not in known:
        raise no_resource(name, known, where="name")
    return known[name]


def sighting_of(web: Web, identity: Identity, digest: str) -> Sighting:
    """A snapshot that a caller may see, where it was seen last or else first; raises ``NotFound``,
    as for one that is not there."""
    last = web.calibrations.sighting(digest)
    for one in (last, *web.store.first_sightings([digest])):
        if _may_see(web, identity, one):
            return one
    raise no_snapshot(digest)


def _may_see(web: Web, identity: Identity, one: Sighting) -> bool:
    """Those of a resource that serves the caller, or did: what its jobs ran under stays its own
    to know. Those of a provider's own resource that is gone are everybody's."""
    if is_operator(identity) or one.owner == identity.account:
        return True
    known = {found.resource.name: found.resource for found in web.store.resources()}
    resource = known.get(one.resource)
    if resource is not None and resource.owner == one.owner and resource.serves(identity.account):
        return True
    if resource is None and one.owner is None:
        return True
    had = JobQuery(account=identity.account, resource=one.resource, limit=1)
    return bool(web.store.list_jobs(had))
