"""A catalogue that can only be restored, for tests of what restores it."""

from collections.abc import Sequence

from quanopy.domain.jobs import Execution, Job, Task
from quanopy.ports.archive import Member, Restoring
from quanopy.ports.submissions import Submission


class Catalogue:
    """Takes what is restored; what is there already stays."""

    def __init__(self) -> None:
        self.submissions: list[Submission] = []
        self.jobs: dict[str, Job] = {}
        self.tasks: dict[str, Task] = {}
        self.executions: dict[str, Execution] = {}
        self.groups: dict[str, Restoring] = {}
        self.members: list[Member] = []

    def restore(self, submissions: Sequence[Submission], executions: Sequence[Execution]) -> int:
        before = len(self.jobs)
        self.submissions += submissions
        for submission in submissions:
            self.jobs = {**{job.id: job for job in submission.jobs}, **self.jobs}
            self.tasks = {**{task.id: task for task in submission.tasks}, **self.tasks}
        self.executions = {**{one.id: one for one in executions}, **self.executions}
        return len(self.jobs) - before

    def restore_groups(self, groups: Sequence[Restoring], members: Sequence[Member]) -> int:
        before = len(self.groups)
        self.groups = {**{one.group.id: one for one in groups}, **self.groups}
        self.members += members
        return len(self.groups) - before

    def tasks_of(self, job_id: str) -> list[Task]:
        return [task for task in self.tasks.values() if task.job_id == job_id]
