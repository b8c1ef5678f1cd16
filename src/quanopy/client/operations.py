"""What operators ask of a broker: stranded executions, vendors' jobs taken over, tokens."""

import time
from collections.abc import Iterable
from urllib.parse import quote

from quanopy.client.choices import chosen
from quanopy.client.http import Http
from quanopy.client.polling import ends_at
from quanopy.domain.errors import Conflict, NotReady, Rejected
from quanopy.domain.states import WayOut
from quanopy.wire.refusals import checked
from quanopy.wire.service import (
    AdoptIn,
    AdoptionOut,
    StrandedListOut,
    StrandedOut,
    TokenIn,
    TokenOut,
    TokensOut,
    WayOutIn,
)

_ADOPTING_S = 0.25


class Operations:
    """The operator's side of a broker; each method answers for the one of
    :class:`~quanopy.client.Client` with the same name, and raises what that raises."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def stranded(self) -> list[StrandedOut]:
        """Executions that nobody can tell of, the oldest first."""
        return self._http.get(StrandedListOut, "/stranded", params={"limit": 500}).executions

    def settle(
        self, id: str, way: WayOut | str, reason: str, provider_job_id: str | None
    ) -> StrandedOut:
        """Say what became of one."""
        asked = {
            "way": chosen(WayOut, way, "way"),
            "reason": reason,
            "provider_job_id": provider_job_id,
        }
        path = f"/stranded/{quote(id, safe='')}"
        return self._http.post(StrandedOut, path, checked(WayOutIn, asked), repeatable=False)

    def adopt(
        self,
        provider: str,
        id: str,
        name: str | None,
        tags: Iterable[str],
        account: str | None,
        timeout: float | None,
    ) -> str:
        """Take over a vendor's job; the id of the job here."""
        end = ends_at(timeout)
        asked = {"provider": provider, "id": id, "name": name, "tags": list(tags)}
        body = checked(AdoptIn, {**asked, "account": account})
        found = self._http.post(AdoptionOut, "/adoptions", body)
        while found.job_id is None and found.problem is None:
            if time.monotonic() > end:
                raise NotReady(
                    f"{provider} has not been asked for {id} yet",
                    hint="Adopt it again to see what became of it.",
                )
            time.sleep(_ADOPTING_S)  # A worker asks a vendor meanwhile.
            params = {"provider": provider, "id": id}
            found = self._http.get(AdoptionOut, "/adoptions", params=params)
        if found.problem is not None:
            kind = Conflict if found.problem.type == "Conflict" else Rejected
            raise kind(found.problem.message, where=id, hint=found.problem.hint)
        return found.job_id or ""

    def create_token(self, token: TokenIn) -> TokenOut:
        """Make a token."""
        return self._http.post(TokenOut, "/tokens", token, repeatable=False)

    def tokens(self) -> list[TokenOut]:
        """All tokens, without their secrets."""
        return self._http.get(TokensOut, "/tokens").tokens

    def revoke_token(self, id: str) -> None:
        """Make a token worthless."""
        self._http.request("DELETE", f"/tokens/{quote(id, safe='')}")
