"""What a receipt tells of another broker's jobs, put beside what was seen here."""

from collections.abc import Sequence
from dataclasses import replace

from quanopy.domain.errors import Conflict
from quanopy.domain.jobs import Execution, Job
from quanopy.domain.sightings import Sighting
from quanopy.ports.archive import Told, ToldGroup
from quanopy.storage import schema, told_groups, told_snapshots
from quanopy.storage.events import History, write_told
from quanopy.storage.executions import devices_of
from quanopy.storage.job_rows import execution_of, execution_row
from quanopy.storage.statements import EXECUTIONS, JOBS, insert_rows, read_ids
from quanopy.storage.submissions import insert_jobs
from quanopy.storage.told_groups import line_of, said_of
from quanopy.storage.transaction import Transaction
from quanopy.storage.values import Values


def tell(
    connection: Transaction,
    told: Sequence[Told],
    snapshots: Sequence[Sighting],
    group: ToldGroup | None,
    now: int,
) -> set[str]:
    """Insert the jobs that are not there, with all that belongs to them; their ids."""
    if group is not None:
        told_groups.tell(connection, group, now)
    there = {row.id for row in read_ids(connection, JOBS, [one.job.id for one in told])}
    new = [one for one in told if one.job.id not in there]
    told_snapshots.keep(connection, snapshots)
    if not new:
        return set()
    _insert_executions(connection, [e for one in new for e in one.executions])
    tasks = [task for one in new for task in one.tasks]
    insert_jobs(connection, [one.job for one in new], tasks, now=now)
    write_told(connection, [line for one in new for line in _lines(one)])
    _say(connection, [one.job for one in new], now)
    return {one.job.id for one in new}


def _insert_executions(connection: Transaction, given: Sequence[Execution]) -> None:
    """Several jobs may tell of the same one: the same, or it is another's.

    Raises:
        Conflict: one with this id is there and says something else.
    """
    unique: dict[str, Execution] = {}
    known = {
        row.id: execution_of(row)
        for row in read_ids(connection, EXECUTIONS, {one.id for one in given})
    }
    for one in given:
        other = known.get(one.id) or unique.setdefault(one.id, one)
        if _said(one) != _said(other):
            raise Conflict(
                f"{one.id} is there already, and is something else",
                hint="The receipt was changed, or one of its jobs is another broker's by mistake.",
            )
    new = [one for id_, one in unique.items() if id_ not in known]
    devices = devices_of(connection, {one.resource for one in new}) if new else {}
    insert_rows(
        connection,
        schema.executions,
        [execution_row(one, device=devices[one.resource]) for one in new],
    )


def _said(one: Execution) -> Execution:
    """What a receipt says of an execution: nothing of who asked for it here."""
    return replace(one, account="", tasks=(), record=None, due_at=None)


def _lines(one: Told) -> list[Values]:
    job = one.job
    receipt = "" if job.imported is None else job.imported.receipt
    return [line_of(event, job.account, job.id, receipt) for event in one.events]


def _say(connection: Transaction, jobs: Sequence[Job], now: int) -> None:
    """Write down of each of these who imported it."""
    histories: dict[str, History] = {}
    for job in jobs:
        if job.imported is None:
            continue
        by = job.imported.by
        histories.setdefault(by, History(by, now)).add(
            job.id,
            "job.imported",
            account=job.account,
            job_id=job.id,
            after=job.state.value,
            data=said_of(job.imported),
        )
    for history in histories.values():
        history.write(connection)
