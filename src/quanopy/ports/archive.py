"""The archive and receipts: what the catalogue names of them, and takes in from them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from quanopy.domain.events import Event
from quanopy.domain.groups import Group
from quanopy.domain.imports import Imported
from quanopy.domain.jobs import Execution, Job, OnFailure, Task
from quanopy.domain.sightings import Sighting
from quanopy.ports.submissions import Submission


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A job that another broker saw, final, with its tasks, their executions, and its history."""

    job: Job
    """With ``imported``."""
    tasks: Sequence[Task]
    executions: Sequence[Execution]
    events: Sequence[Event]
    """In order; their positions are the other broker's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldGroup:
    """A group that another broker saw, and that has ended."""

    group: Group
    imported: Imported
    positions: Mapping[str, int]
    """Of its jobs, by id."""
    events: Sequence[Event]
    """Its own, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restoring:
    """A group as the archive tells of it."""

    group: Group
    cancelled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """What the archive tells of a job's turn."""

    job_id: str
    group_id: str | None = None
    after: tuple[str, ...] = ()
    on_failure: OnFailure = OnFailure.SKIP


class ArchiveStore(Protocol):
    """The catalogue beside the archive that it can be rebuilt from, and beside receipts."""

    def referenced(self, keys: Collection[str]) -> set[str]:
        """Those of these object keys that some row names."""

    def restore(self, submissions: Sequence[Submission], executions: Sequence[Execution]) -> int:
        """Insert what a rebuild found, as it is given: states, times, ``held``, idempotency
        keys; how many jobs were new. Tasks that wait come with ``ready_at`` ``None``, stranded
        executions with a ``due_at``; an execution may name tasks that come in another call,
        and is then given there again. Events: ``job.held``, or the state that a job came to.

        What is there already stays, so doing it twice changes nothing; save that a task there
        which waits under no claim (a catalogue from an older copy) takes the given state where
        that is final or ``executing``, and its job is rolled up. A key that stands for other
        jobs already stays theirs.
        """

    def restore_groups(self, groups: Sequence[Restoring], members: Sequence[Member]) -> int:
        """Insert groups that a rebuild found, and put jobs that it restored into their groups'
        order, each at the end of its own, and after the jobs that they come after; how many
        groups were new. Jobs that are not there are left out.

        A group that gets a job which has not ended is paused, unless it is cancelled: the rest
        of it is cancelled then. What is there already stays, so doing it twice changes nothing.
        """

    def restore_sightings(self, found: Sequence[Sighting]) -> None:
        """Insert what a rebuild found; what is there already stays."""

    def tell(
        self,
        told: Sequence[Told],
        snapshots: Sequence[Sighting],
        group: ToldGroup | None = None,
    ) -> set[str]:
        """Insert what a receipt tells of: jobs that are not there, as they are given; snapshots,
        which are found by their digest and are no sign of how a resource stands; a group that is
        not there, which imported jobs of no group join that belong to it. The ids of the jobs
        that were new. What happened is written with its own times, marked as told;
        ``job.imported`` and ``group.imported`` come after it.

        ``Conflict`` where an execution or task is there already and is something else, or where
        the account has another group of that name.
        """
