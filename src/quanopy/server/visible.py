"""Which resources a caller may see: those that serve its account; operators see all.

Whom else a resource serves is its owner's and operators' to know.
"""

from dataclasses import replace

from quanopy.domain.accounts import Identity
from quanopy.domain.resources import ResourceStatus
from quanopy.server.auth import is_operator
from quanopy.server.web import Web
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
