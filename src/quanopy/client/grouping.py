"""The groups of an account: made, found, listed; and an experiment cut into one."""

import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

from quanopy.client.drafts import Draft
from quanopy.client.groups import Group
from quanopy.client.http import Http
from quanopy.domain.errors import Conflict, Invalid, NotFound, ResourceMismatch
from quanopy.domain.groups import GroupAction, GroupState, no_group
from quanopy.domain.ids import is_id
from quanopy.wire.groups import GroupActionIn, GroupIn, GroupOut, GroupPage, PolicyIn, SegmentsIn
from quanopy.wire.refusals import checked

FILTERS = frozenset({"state", "name_prefix", "account"})


class Groups:
    """The groups of an account."""

    def __init__(self, http: Http, resource: str) -> None:
        self._http = http
        self._resource = resource

    def make(
        self,
        name: str,
        wanted: PolicyIn | None,
        *,
        resource: str | None,
        run: bool,
        override: bool,
    ) -> Group:
        """The group of this name, made if it is not there; raises as :meth:`Client.group`."""
        asked = {"name": name, "policy": wanted, "resource": resource, "run": run}
        fields = {key: value for key, value in asked.items() if value is not None}
        found = self._http.post(GroupOut, "/groups", checked(GroupIn, fields))
        differs = None not in (resource, found.resource) and resource != found.resource
        if differs and not override:
            raise ResourceMismatch(
                f"the group {name!r} is of {found.resource}, not of {resource}",
                where="resource",
                hint="Name that, or attach knowingly with override=True.",
            )
        if run and found.state is GroupState.OPEN:
            self._http.post(
                GroupOut, f"/groups/{found.id}/action", GroupActionIn(action=GroupAction.RUN)
            )
        return self._handle(found, resource)

    def segment(
        self,
        draft: Draft,
        *,
        name: str | None,
        wanted: PolicyIn | None,
        total_shots: int | None,
        shots: int | None,
        count: int | None,
        override: bool,
    ) -> Group:
        """An experiment cut into segments, in a group of its own which begins; raises as
        :meth:`Client.segment`, and has made nothing then."""
        if (count is None) == (total_shots is None) or (shots is None and count is None):
            raise Invalid(
                "it is not said how many segments",
                hint="Give total_shots and shots, or count, with or without shots.",
            )
        cut = {"total_shots": total_shots, "shots": shots, "count": count}
        job = draft.to_wire(draft.resource or self._resource)
        checked(SegmentsIn, {"job": job, **cut})
        called = f"segments-{uuid.uuid4().hex[:12]}" if name is None else name
        checked(GroupIn, {"name": called})
        is_new = name is None or not self._named(name)
        group = self.make(called, wanted, resource=draft.resource, run=True, override=override)
        try:
            # The resource is the group's, whatever is named here.
            group.segment(replace(draft, resource=None) if override else draft, **cut)
        except (Invalid, NotFound, ResourceMismatch):
            if is_new:
                self._forget(group)
            raise
        return group

    def find(self, name: str) -> Group:
        """The group of this name, or of this id; raises :class:`NotFound`."""
        if is_id(name, "group"):
            return self._handle(self._http.get(GroupOut, f"/groups/{name}"))
        groups = self._named(name)
        if not groups:
            raise no_group(str(name))
        return self._handle(groups[0])

    def listing(self, **filters: Any) -> Iterator[GroupOut]:
        """Groups as the broker lists them, newest first; raises :class:`Invalid` for a filter
        that there is not."""
        if unknown := filters.keys() - FILTERS:
            raise Invalid(f"there is no filter {min(unknown)}", hint=f"Known: {sorted(FILTERS)}.")
        cursor: str | None = None
        while True:
            page = self._http.get(GroupPage, "/groups", params={**filters, "cursor": cursor})
            yield from page.groups
            cursor = page.next
            if cursor is None:
                return

    def all(self, **filters: Any) -> Iterator[Group]:
        """Handles on groups, newest first."""
        return (self._handle(found) for found in self.listing(**filters))

    def _named(self, name: str) -> list[GroupOut]:
        return self._http.get(GroupPage, "/groups", params={"name": name}).groups

    def _forget(self, group: Group) -> None:
        """Remove a group that was made for what was refused, so that its name is free; unless
        somebody has put jobs into it, or removed it, meanwhile."""
        with suppress(Conflict, NotFound):
            if group.detail().size == 0:
                group.remove()

    def _handle(self, found: GroupOut, resource: str | None = None) -> Group:
        runs_on = found.resource or resource or self._resource
        group = Group(self._http, found.id, resource=runs_on, named=resource)
        group._see(found)
        return group
