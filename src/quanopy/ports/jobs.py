"""Jobs, their tasks and what became of them, as the catalogue shows them."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from quanopy.domain.jobs import Execution, Job, JobKind, Task
from quanopy.domain.states import JobState


@dataclass(frozen=True, slots=True, kw_only=True)
class JobQuery:
    """Filters of a listing, newest first; ``None`` or empty: any."""

    account: str | None = None
    states: tuple[JobState, ...] = ()
    resource: str | None = None
    kind: JobKind | None = None
    tag: str | None = None
    name: str | None = None
    name_prefix: str | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None
    group_id: str | None = None
    before: str | None = None
    """Only jobs whose id sorts before this one (the cursor)."""
    limit: int = 50


class JobStore(Protocol):
    """Jobs in the catalogue, and what their owners ask of them."""

    def jobs(self, ids: Collection[str], *, account: str | None = None) -> list[Job]:
        """Those of these jobs that exist and belong to the account (``None``: anybody's)."""

    def list_jobs(self, query: JobQuery) -> list[Job]:
        """A page of jobs, newest first."""

    def tasks(self, job_ids: Collection[str]) -> list[Task]:
        """The tasks of jobs, by job and slice; tasks that a retry replaced are left out."""

    def jobs_with_tasks(
        self, ids: Collection[str], parts_of: Collection[str]
    ) -> tuple[list[Job], list[Task]]:
        """:meth:`jobs`, and the :meth:`tasks` of some of them, as one snapshot shows them."""

    def awaited_jobs(self, job_id: str) -> list[Job]:
        """Those that a job comes after and that have not ended, the oldest first."""

    def executions(self, job_id: str) -> list[Execution]:
        """Every execution that a job's tasks have had and that still stands at one of them."""

    def executions_by_id(self, ids: Collection[str]) -> list[Execution]:
        """Those of these executions that there are, the oldest first."""

    def cancel(self, job_ids: Collection[str], *, actor: str) -> list[Job]:
        """Cancel what is queued, request it of what is claimed or executing; the jobs after."""

    def retry(self, job_ids: Collection[str], *, actor: str) -> list[Job]:
        """Queue the failed and cancelled parts of these jobs again, as new tasks; the jobs after.
        Also releases jobs that a rebuild held."""
