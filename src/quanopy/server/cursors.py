"""Cursors of listings: where a page ended, bound to the query it belongs to."""

import hashlib
from dataclasses import replace

from quanopy.domain.errors import Invalid
from quanopy.domain.ids import is_id
from quanopy.ports.jobs import JobQuery

_MARK = 16


def cursor_after(query: JobQuery, last: str) -> str:
    """The cursor of the page after the job ``last``."""
    return f"{last.removeprefix('job_')}{_mark(query, last)}"


def position_of(query: JobQuery, cursor: str) -> str:
    """The job id that a cursor stands at; raises :class:`Invalid` for one of another query."""
    last = f"job_{cursor[:-_MARK]}"
    if not is_id(last, "job") or cursor[-_MARK:] != _mark(query, last):
        raise Invalid(
            "this cursor belongs to another query",
            where="cursor",
            hint="Repeat the filters of the page it came from, or begin without a cursor.",
        )
    return last


def _mark(query: JobQuery, last: str) -> str:
    """A digest of all that selects the listing, whatever the size of its pages."""
    selection = repr((replace(query, before=None, limit=0), last))
    return hashlib.sha256(selection.encode()).hexdigest()[:_MARK]
