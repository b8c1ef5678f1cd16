"""Reading jobs: pages of them, newest first, each filter along an index of its own."""

from typing import Any

from sqlalchemy import Connection, Select, func, literal, select, tuple_

from quanopy.domain.jobs import Job
from quanopy.ports.store import JobQuery
from quanopy.storage.mapping import job_of, stamp
from quanopy.storage.schema import job_tags, jobs


def list_jobs(connection: Connection, query: JobQuery) -> list[Job]:
    """A page of jobs, newest first."""
    return [job_of(row) for row in connection.execute(_statement(query))]


def _statement(query: JobQuery) -> Select[Any]:
    chosen = _paged(_filtered(select(jobs), query), query)
    if query.tag is None:
        newest = (jobs.c.created_at.desc(), jobs.c.id.desc())
    else:
        chosen = chosen.join(job_tags, job_tags.c.job_id == jobs.c.id).where(
            job_tags.c.tag == query.tag, job_tags.c.account == jobs.c.account
        )
        if query.account is not None:
            chosen = chosen.where(job_tags.c.account == query.account)
        newest = (job_tags.c.created_at.desc(), job_tags.c.job_id.desc())
    return chosen.order_by(*newest).limit(query.limit)


def _filtered(chosen: Select[Any], query: JobQuery) -> Select[Any]:
    for name in ("account", "resource", "kind", "name"):
        value = getattr(query, name)
        if value is not None:
            chosen = chosen.where(jobs.c[name] == value)
    if query.states:
        chosen = chosen.where(jobs.c.state.in_([state.value for state in query.states]))
    if query.name_prefix is not None:
        chosen = chosen.where(
            func.substr(jobs.c.name, 1, len(query.name_prefix)) == query.name_prefix
        )
    if query.created_from is not None:
        chosen = chosen.where(jobs.c.created_at >= stamp(query.created_from))
    if query.created_to is not None:
        chosen = chosen.where(jobs.c.created_at < stamp(query.created_to))
    return chosen


def _paged(chosen: Select[Any], query: JobQuery) -> Select[Any]:
    if query.before is None:
        return chosen
    made = select(jobs.c.created_at).where(jobs.c.id == query.before).scalar_subquery()
    return chosen.where(tuple_(jobs.c.created_at, jobs.c.id) < tuple_(made, literal(query.before)))
