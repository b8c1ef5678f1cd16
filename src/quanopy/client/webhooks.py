"""Webhooks: where the broker sends what happens."""

import uuid
from collections.abc import Iterable, Sequence

from quanopy.client.choices import several
from quanopy.client.groups import Group
from quanopy.client.handles import Job, checked_id
from quanopy.client.http import Http, part
from quanopy.client.polling import ends_at, rounds
from quanopy.domain.errors import NotReady, Unavailable
from quanopy.domain.webhooks import WebhookState
from quanopy.wire.refusals import checked
from quanopy.wire.webhooks import WebhookIn, WebhookOut, WebhookSecretOut, WebhooksOut


class Webhooks:
    """The account's webhooks: ``client.webhooks``."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def add(
        self,
        url: str,
        *,
        kinds: Iterable[str] | str = (),
        job: Job | str | None = None,
        group: Group | str | None = None,
        label: str = "",
    ) -> WebhookOut:
        """Have events sent to a url from now on: of these ``kinds`` (``job.completed``, ``job.*``,
        ``*``; by default the ends of jobs, and all of groups), of one job, of a group (a handle,
        or its id) and its jobs, or of all.

        The ``secret`` of the answer is what requests are signed with: see
        :func:`quanopy.webhooks.verify`. Raises :class:`Forbidden` for a url where the broker may
        not send anything.
        """
        of_job = job.id if isinstance(job, Job) else job and checked_id(job)
        of_group = group.id if isinstance(group, Group) else group
        asked = {
            "url": url,
            "kinds": several(kinds),
            "job": of_job,
            "group": of_group,
            "label": label,
        }
        key = {"Idempotency-Key": str(uuid.uuid4())}
        return self._http.post(WebhookOut, "/webhooks", checked(WebhookIn, asked), headers=key)

    def list(self, *, account: str | None = None) -> Sequence[WebhookOut]:
        """All of them, the newest first, and how each stands. ``account``: another's, or ``*``,
        for operators."""
        params = {"account": account}
        return self._http.get(WebhooksOut, "/webhooks", params=params).webhooks

    def get(self, id: str) -> WebhookOut:
        """One, and how it stands; raises :class:`NotFound`."""
        return self._http.get(WebhookOut, _path(id))

    def remove(self, id: str) -> None:
        """Send nothing more."""
        self._http.request("DELETE", _path(id))

    def pause(self, id: str) -> WebhookOut:
        """Send nothing until it is resumed."""
        return self._http.post(WebhookOut, _path(id, "/pause"))

    def resume(self, id: str) -> WebhookOut:
        """Go on from where it stood; or try what fails again now."""
        return self._http.post(WebhookOut, _path(id, "/resume"))

    def test(self, id: str, timeout: float | None = 30.0) -> WebhookOut:
        """Send an event ``webhook.ping``, after what is to be sent before it, and wait.

        Raises:
            InvalidTransition: it is paused.
            Unavailable: it could not be delivered; the message says why.
            NotReady: no worker has tried within ``timeout`` seconds.
        """
        ends_at(timeout)
        before = self._http.post(WebhookOut, _path(id, "/test"), repeatable=False)
        for wait_s in rounds(timeout):
            params = {
                "wait": wait_s,
                "attempts": before.attempts,
                "delivered_at": before.delivered_at and before.delivered_at.isoformat(),
            }
            found = self._http.get(WebhookOut, _path(id), params=params, wait_s=wait_s)
            if found.attempts > before.attempts or found.state is WebhookState.PAUSED:
                why = found.problem or found.reason or "it is paused"
                raise Unavailable(why, where=id)
            if found.state is WebhookState.ACTIVE and found.delivered_at != before.delivered_at:
                return found
            before = found
        raise NotReady(
            f"nothing was sent within {timeout or 0:g} s",
            where=id,
            hint="See that a worker runs.",
        )

    def secret(self, id: str, *, rotate: bool = False) -> str:
        """What its requests are signed with; ``rotate``: from now on with a new one, and for a day
        with the one before it too."""
        if rotate:
            path = _path(id, "/secret")
            return self._http.post(WebhookSecretOut, path, repeatable=False).secret
        return self._http.get(WebhookSecretOut, _path(id, "/secret")).secret


def _path(id: str, rest: str = "") -> str:
    return f"/webhooks/{part(id)}{rest}"
