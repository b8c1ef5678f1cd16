"""Taking over a vendor's job: a worker asks the vendor for it, which takes a while."""

import time

from quanopy.client.http import Http
from quanopy.client.polling import ends_at
from quanopy.domain.errors import Conflict, NotReady, Rejected
from quanopy.wire.service import AdoptIn, AdoptionOut

_LOOK_S = 0.25


def adopted(http: Http, asked: AdoptIn, timeout: float | None) -> str:
    """The id of the job here; raises as :meth:`Client.adopt`."""
    end = ends_at(timeout)
    found = http.post(AdoptionOut, "/adoptions", asked)
    while found.job_id is None and found.problem is None:
        if time.monotonic() > end:
            raise NotReady(
                f"{asked.provider} has not been asked for {asked.id} yet",
                hint="Adopt it again to see what became of it.",
            )
        time.sleep(_LOOK_S)  # A worker asks a vendor meanwhile.
        params = {"provider": asked.provider, "id": asked.id}
        found = http.get(AdoptionOut, "/adoptions", params=params)
    if found.problem is not None:
        kind = Conflict if found.problem.type == "Conflict" else Rejected
        raise kind(found.problem.message, where=asked.id, hint=found.problem.hint)
    return found.job_id or ""
