"""Reading jobs: pages of them, newest first, each filter along an index of its own."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnCollection,
    ColumnElement,
    Connection,
    Select,
    and_,
    func,
    literal,
    select,
    tuple_,
)

from quanopy.domain.jobs import Job
from quanopy.ports.store import JobQuery
from quanopy.storage.mapping import job_of, stamp
from quanopy.storage.schema import job_states, job_tags, jobs

Columns = ColumnCollection[str, Any]


_AFTER_ALL = "\U0010ffff"
_FEW = 1_000
"""So many jobs of a prefix are sorted; where there are more, walking the newest finds a page."""


def list_jobs(connection: Connection, query: JobQuery) -> list[Job]:
    """A page of jobs, newest first."""
    if query.account is not None and len(query.states) > 1:
        # One walk a state, each along the index, rather than one past all the others.
        pages = [_page(connection, replace(query, states=(state,))) for state in query.states]
        newest = sorted((job for page in pages for job in page), key=_age, reverse=True)
        return newest[: query.limit]
    return _page(connection, query)


def _age(job: Job) -> tuple[datetime, str]:
    return job.created_at, job.id


def _page(connection: Connection, query: JobQuery) -> list[Job]:
    statement = _statement(query)
    if query.name_prefix is not None:
        statement = statement.where(_prefix(connection, query, query.name_prefix))
    return [job_of(row) for row in connection.execute(statement)]


def _prefix(connection: Connection, query: JobQuery, prefix: str) -> ColumnElement[bool]:
    """The jobs whose names begin so: as a range of an index where they are few, else as what an
    index cannot answer, so that the newest jobs are walked."""
    within = and_(jobs.c.name >= prefix, jobs.c.name < prefix + _AFTER_ALL)
    some = select(jobs.c.id).where(jobs.c.account == query.account, within).limit(_FEW).subquery()
    if (
        query.account is not None
        and (connection.scalar(select(func.count()).select_from(some)) or 0) < _FEW
    ):
        return within
    return func.substr(jobs.c.name, 1, len(prefix)) == prefix


def _statement(query: JobQuery) -> Select[Any]:
    chosen, along = _along(query)
    chosen = _filtered(chosen, query, along)
    if query.before is not None:
        made = select(jobs.c.created_at).where(jobs.c.id == query.before).scalar_subquery()
        place = tuple_(along.created_at, _id(along))
        chosen = chosen.where(place < tuple_(made, literal(query.before)))
    return chosen.order_by(along.created_at.desc(), _id(along).desc()).limit(query.limit)


def _along(query: JobQuery) -> tuple[Select[Any], Columns]:
    """The rows to walk, in order, until enough of them fit: by tag or state where one is asked
    for, else the jobs themselves."""
    if query.tag is not None:
        found = select(jobs).join(job_tags, job_tags.c.job_id == jobs.c.id)
        return found.where(job_tags.c.tag == query.tag), job_tags.c
    if len(query.states) == 1 and query.account is not None:
        found = select(jobs).join(job_states, job_states.c.job_id == jobs.c.id)
        return found.where(job_states.c.state == query.states[0].value), job_states.c
    return select(jobs), jobs.c


def _id(columns: Columns) -> ColumnElement[str]:
    found: ColumnElement[str] = columns["id" if "id" in columns else "job_id"]
    return found


def _filtered(chosen: Select[Any], query: JobQuery, along: Columns) -> Select[Any]:
    if query.account is not None:
        chosen = chosen.where(along.account == query.account)
    for name in ("resource", "kind", "name"):
        value = getattr(query, name)
        if value is not None:
            chosen = chosen.where(jobs.c[name] == value)
    if query.states:
        chosen = chosen.where(jobs.c.state.in_([state.value for state in query.states]))
    if query.created_from is not None:
        chosen = chosen.where(along.created_at >= stamp(query.created_from))
    if query.created_to is not None:
        chosen = chosen.where(along.created_at < stamp(query.created_to))
    return chosen
