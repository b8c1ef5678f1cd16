"""Reading jobs: pages of them, newest first, each filter along an index of its own."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnCollection,
    ColumnElement,
    Select,
    Text,
    and_,
    bindparam,
    func,
    select,
    tuple_,
)

from quanopy.domain.jobs import Job
from quanopy.ports.jobs import JobQuery
from quanopy.storage.job_rows import job_of
from quanopy.storage.rows import id_rows, ids_document
from quanopy.storage.schema import job_states, job_tags, jobs
from quanopy.storage.transaction import Asked, Transaction
from quanopy.storage.values import Values, stamp_or_none

Columns = ColumnCollection[str, Any]


_AFTER_ALL = "\U0010ffff"
_FEW = 1_000
"""So many jobs of a prefix are sorted; where there are more, walking the newest finds a page."""


def list_jobs(connection: Transaction, query: JobQuery) -> list[Job]:
    """A page of jobs, newest first."""
    queries = [query]
    if query.account is not None and len(query.states) > 1:
        # One walk a state, each along the index, rather than one past all the others.
        queries = [replace(query, states=(state,)) for state in query.states]
    pages = connection.lastly(*[_page(connection, one) for one in queries])
    found = [job_of(row) for page in pages for row in page]
    return found if len(pages) == 1 else sorted(found, key=_age, reverse=True)[: query.limit]


def _age(job: Job) -> tuple[datetime, str]:
    return job.created_at, job.id


def _page(connection: Transaction, query: JobQuery) -> Asked:
    given = _given(query)
    within = query.account is not None and _is_rare(connection, query, given)
    asked = frozenset(name for name, value in given.items() if value is not None)
    return _statement(asked, within), given


def _is_rare(connection: Transaction, query: JobQuery, given: Values) -> bool:
    """Whether few jobs' names begin so: those are a range of an index, sorted then; what is
    common is found sooner by walking the newest."""
    return query.name_prefix is not None and connection.scalar(_OF_PREFIX, given) < _FEW


def _given(query: JobQuery) -> Values:
    prefix = query.name_prefix
    return {
        "account": query.account,
        "state": query.states[0].value if len(query.states) == 1 else None,
        "states": ids_document([s.value for s in query.states]) if len(query.states) > 1 else None,
        "resource": query.resource,
        "kind": query.kind and query.kind.value,
        "tag": query.tag,
        "name": query.name,
        "prefix": prefix,
        "past_prefix": None if prefix is None else prefix + _AFTER_ALL,
        "made_from": stamp_or_none(query.created_from),
        "made_to": stamp_or_none(query.created_to),
        "group": query.group_id,
        "before": query.before,
        "most": query.limit,
    }


def _text(name: str) -> BindParameter[str]:
    return bindparam(name, type_=Text)


def _number(name: str) -> BindParameter[int]:
    return bindparam(name, type_=BigInteger)


_WITHIN = and_(jobs.c.name >= _text("prefix"), jobs.c.name < _text("past_prefix"))
_OF_PREFIX = select(func.count()).select_from(
    select(jobs.c.id).where(jobs.c.account == _text("account"), _WITHIN).limit(_FEW).subquery()
)
_states = id_rows("states")


@cache
def _statement(asked: frozenset[str], within: bool) -> Select[Any]:
    """A page of what fits all that is asked; ``within``: names of a prefix are a range."""
    chosen, along = _along(asked)
    conditions: Mapping[str, ColumnElement[bool]] = {
        # Of a group the group's index is walked: no other fits, and what is found is sorted.
        "account": func.coalesce(along.account, "") == _text("account")
        if "group" in asked
        else along.account == _text("account"),
        # Not of both where states are walked: estimated twice, a page would seem not to fill.
        "state": (along if "state" in along else jobs.c).state == _text("state"),
        "states": jobs.c.state.in_(select(_states.c.id)),
        "resource": jobs.c.resource == _text("resource"),
        "kind": jobs.c.kind == _text("kind"),
        "name": jobs.c.name == _text("name"),
        # The second is what no index can answer, so that the newest jobs are walked.
        "prefix": _WITHIN
        if within
        else func.substr(jobs.c.name, 1, func.length(_text("prefix"))) == _text("prefix"),
        "made_from": along.created_at >= _number("made_from"),
        "made_to": along.created_at < _number("made_to"),
        "group": jobs.c.group_id == _text("group"),
        "before": _place(along) < tuple_(_made_before, _text("before")),
    }
    return (
        chosen.where(*(condition for name, condition in conditions.items() if name in asked))
        .order_by(
            (along.created_at + 0 if "group" in asked else along.created_at).desc(),
            _id(along).desc(),
        )
        .limit(_number("most"))
    )


_made_before = select(jobs.c.created_at).where(jobs.c.id == _text("before")).scalar_subquery()


def _along(asked: frozenset[str]) -> tuple[Select[Any], Columns]:
    """The rows to walk, in order, until enough of them fit: by tag or state where one is asked
    for, else the jobs themselves."""
    if "tag" in asked:
        found = select(jobs).join(job_tags, job_tags.c.job_id == jobs.c.id)
        return found.where(job_tags.c.tag == _text("tag")), job_tags.c
    if {"state", "account"} <= asked and "group" not in asked:
        return select(jobs).join(job_states, job_states.c.job_id == jobs.c.id), job_states.c
    return select(jobs), jobs.c


def _place(along: Columns) -> Any:
    return tuple_(along.created_at, _id(along))


def _id(columns: Columns) -> ColumnElement[str]:
    found: ColumnElement[str] = columns["id" if "id" in columns else "job_id"]
    return found
