"""Taking over a vendor's job: a worker asks the vendor for it, which takes a while."""

from quanopy.client.http import Http
from quanopy.client.polling import ends_at, rounds
from quanopy.domain.errors import Conflict, NotReady, Rejected
from quanopy.wire.service import AdoptIn, AdoptionOut


def adopted(http: Http, asked: AdoptIn, timeout: float | None) -> str:
    """The id of the job here; raises as :meth:`Client.adopt`."""
    ends_at(timeout)
    found = http.post(AdoptionOut, "/adoptions", asked)
    waits = rounds(timeout)
    while found.job_id is None and found.problem is None:
        wait_s = next(waits, None)
        if wait_s is None:
            raise NotReady(
                f"{asked.provider} has not been asked for {asked.id} yet",
                hint="Adopt it again to see what became of it.",
            )
        params = {"provider": asked.provider, "id": asked.id, "wait": wait_s}
        found = http.get(AdoptionOut, "/adoptions", params=params, wait_s=wait_s)
    if found.problem is not None:
        kind = Conflict if found.problem.type == "Conflict" else Rejected
        raise kind(found.problem.message, where=asked.id, hint=found.problem.hint)
    return found.job_id or ""
