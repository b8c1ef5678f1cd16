"""Groups: their part of the catalogue."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from quanopy.domain.groups import (
    Group,
    GroupAction,
    GroupPolicy,
    GroupState,
    Progress,
    Ruling,
    Turn,
)
from quanopy.domain.jobs import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupQuery:
    """Filters of a listing of groups, newest first; ``None`` or empty: any."""

    account: str | None = None
    states: tuple[GroupState, ...] = ()
    name: str | None = None
    name_prefix: str | None = None
    before: tuple[datetime, str] | None = None
    """Only groups older than this time and id (the cursor)."""
    limit: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupWork:
    """What groups, and jobs that come after others, wait for somebody to do."""

    turns: Sequence[Turn]
    groups: Sequence[Group]
    """Those of the turns, and those that are to be looked at."""
    unarchived: Mapping[int, str]
    """Jobs that steps have cancelled or failed, and of which the archive does not know yet: by
    the number of the line that says so."""
    next_at: datetime | None
    """When the next group is to be looked at."""


@dataclass(slots=True, kw_only=True)
class Stepped:
    """What a step of groups has come to."""

    ready: bool = False
    """Tasks became ready."""
    cancelled: list[str] = field(default_factory=list)
    """Jobs that were cancelled, or failed for what they come after."""


class GroupStore(Protocol):
    """Groups in the catalogue, and the turns of their jobs."""

    def create_group(self, group: Group) -> tuple[Group, bool]:
        """Make a group, unless its account has one of its name; that one, and whether it is
        new."""

    def groups(self, ids: Collection[str]) -> list[Group]:
        """Those of these groups that there are."""

    def list_groups(self, query: GroupQuery) -> list[Group]:
        """A page of groups, newest first."""

    def progress(self, ids: Collection[str]) -> Mapping[str, Progress]:
        """How far these groups are."""

    def group_jobs(self, group_id: str, *, after: int = -1, limit: int) -> list[Job]:
        """The jobs of a group past a position, in order."""

    def act_on_group(self, group_id: str, action: GroupAction, *, actor: str) -> Group:
        """Run, pause or cancel a group, which is no error where it is that already; as it is
        then. ``NotFound``; ``InvalidTransition`` of one that was cancelled. What begins and what
        is cancelled is left to :meth:`step_groups`."""

    def revise_group(
        self, group_id: str, *, name: str | None, policy: GroupPolicy | None, actor: str
    ) -> Group:
        """Give a group another name or policy, from now on; ``NotFound``, ``Conflict`` where the
        account has another of that name."""

    def remove_group(self, group_id: str, *, actor: str) -> Group:
        """Forget a group whose jobs have all ended; they stay. As it was. ``NotFound``,
        ``Conflict``."""

    def rerun_group(self, group_id: str, *, actor: str) -> list[Job]:
        """Give what failed of a group, or was cancelled, its turn again; those jobs. ``NotFound``;
        ``InvalidTransition`` of one that was cancelled or is ending."""

    def group_work(self) -> GroupWork:
        """What groups wait for somebody to do, a batch at a time."""

    def step_groups(
        self,
        turns: Sequence[Turn],
        group_ids: Collection[str],
        rulings: Mapping[str, Ruling],
    ) -> Stepped:
        """Work these turns off and look at these groups: take note of what ended, end or pause
        the groups that are ruled to, and begin what may begin. A turn is worked off once,
        whoever tries. What it cancels or fails is ``unarchived`` work from then on."""

    def archived(self, lines: Collection[int]) -> None:
        """The archive knows now what these lines of ``unarchived`` work say."""
