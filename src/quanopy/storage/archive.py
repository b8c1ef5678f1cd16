"""What the archive asks of the catalogue: which objects it names, and to take back what is lost."""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, exists, or_, select

from quanopy.domain.jobs import Execution, Job, Task
from quanopy.storage import schema
from quanopy.storage.events import History
from quanopy.storage.executions import devices_of
from quanopy.storage.mapping import execution_row
from quanopy.storage.rows import id_rows, ids_document
from quanopy.storage.statements import EXECUTIONS, JOBS, insert_rows, read_ids
from quanopy.storage.submissions import insert_jobs

_keys = id_rows()
_NAMED = select(_keys.c.id).where(
    or_(
        exists().where(schema.jobs.c.spec_key == _keys.c.id),
        exists().where(schema.tasks.c.result_key == _keys.c.id),
    )
)


def referenced(connection: Connection, keys: Collection[str]) -> set[str]:
    """Those of these object keys that a job or a task names."""
    return set(connection.scalars(_NAMED, {"r": ids_document(sorted(keys))}))


def restore(
    connection: Connection,
    jobs: Sequence[Job],
    tasks: Sequence[Task],
    executions: Sequence[Execution],
    *,
    now: int,
) -> int:
    """Insert what is not there; how many jobs were new."""
    there = {row.id for row in read_ids(connection, JOBS, [job.id for job in jobs])}
    new = [job for job in jobs if job.id not in there]
    ids = {job.id for job in new}
    insert_jobs(connection, new, [task for task in tasks if task.job_id in ids])
    _restore_executions(connection, executions)
    history = History("rebuild", now)
    for job in new:
        history.add(
            job.id, "job.restored", account=job.account, job_id=job.id, after=job.state.value
        )
    history.write(connection)
    return len(new)


def _restore_executions(connection: Connection, executions: Sequence[Execution]) -> None:
    there = {row.id for row in read_ids(connection, EXECUTIONS, [e.id for e in executions])}
    new = [execution for execution in executions if execution.id not in there]
    devices = devices_of(connection, {e.resource for e in new}) if new else {}
    rows = [execution_row(e, device=devices[e.resource]) | {"claim_id": None} for e in new]
    insert_rows(connection, schema.executions, rows)
