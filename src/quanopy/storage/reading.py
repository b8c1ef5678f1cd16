"""Reading jobs, their tasks and their executions by id."""

from collections.abc import Collection

from sqlalchemy import bindparam, select
from sqlalchemy.types import Text

from quanopy.domain.jobs import Execution, Job, Task
from quanopy.storage import schema
from quanopy.storage.job_rows import execution_of, job_of, task_of
from quanopy.storage.rows import id_rows
from quanopy.storage.statements import EXECUTIONS, JOBS, by_ids, with_spec
from quanopy.storage.transaction import Transaction

_jobs = id_rows()
_TASKS = with_spec(
    select(schema.tasks)
    .select_from(_jobs.join(schema.tasks, schema.tasks.c.job_id == _jobs.c.id))
    .where(~schema.tasks.c.superseded)
).order_by(
    schema.tasks.c.job_id, schema.tasks.c.first, schema.tasks.c.shots_from, schema.tasks.c.id
)
_EXECUTIONS = (
    select(schema.executions)
    .where(
        schema.executions.c.id.in_(
            select(schema.tasks.c.execution_id).where(
                schema.tasks.c.job_id == bindparam("job", type_=Text)
            )
        )
    )
    .order_by(schema.executions.c.id)
)


def jobs(connection: Transaction, ids: Collection[str], account: str | None) -> list[Job]:
    """Those of these jobs that there are, of one account or of any."""
    found = (job_of(row) for row in connection.last(*by_ids(JOBS, ids)))
    return [job for job in found if account is None or job.account == account]


def tasks(connection: Transaction, job_ids: Collection[str]) -> list[Task]:
    """The tasks of jobs, by job and slice."""
    return [task_of(row) for row in connection.last(*by_ids(_TASKS, job_ids))]


def jobs_with_tasks(
    connection: Transaction, ids: Collection[str], parts_of: Collection[str]
) -> tuple[list[Job], list[Task]]:
    """Jobs, and the tasks of some of them."""
    if not parts_of:
        return jobs(connection, ids, None), []
    found, parts = connection.lastly(by_ids(JOBS, ids), by_ids(_TASKS, parts_of))
    return list(map(job_of, found)), list(map(task_of, parts))


def executions(connection: Transaction, job_id: str) -> list[Execution]:
    """The executions that stand at a job's tasks, oldest first."""
    return [execution_of(row) for row in connection.last(_EXECUTIONS, {"job": job_id})]


def executions_by_id(connection: Transaction, ids: Collection[str]) -> list[Execution]:
    """These executions, oldest first."""
    return [execution_of(row) for row in connection.last(*by_ids(EXECUTIONS, ids))]
