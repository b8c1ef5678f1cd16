"""Which resources a caller may see: those that serve its account; operators see all."""

from quanopy.domain.accounts import Identity
from quanopy.domain.resources import ResourceStatus
from quanopy.server.auth import is_operator
from quanopy.server.web import Web
from quanopy.services.catalogue import no_resource


def visible(web: Web, identity: Identity) -> list[ResourceStatus]:
    """The resources that a caller may see."""
    everything = is_operator(identity)
    found = web.store.resources()
    return [one for one in found if everything or one.resource.serves(identity.account)]


def status_of(web: Web, identity: Identity, name: str) -> ResourceStatus:
    """A resource that a caller may see; raises ``NotFound``, as for one that is not there."""
    known = {status.resource.name: status for status in visible(web, identity)}
    if name not in known:
        raise no_resource(name, known, where="name")
    return known[name]
