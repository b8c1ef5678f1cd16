"""Jobs as the broker lists them, page by page."""

from collections.abc import Iterator, Mapping
from typing import Any

from quanopy.client.http import Http
from quanopy.domain.errors import Invalid
from quanopy.wire.jobs import JobOut, JobPage

_PAGE = 100
FILTERS = frozenset(
    {
        *("state", "resource", "kind", "tag", "name", "name_prefix"),
        *("account", "created_from", "created_to", "group"),
    }
)


def listed(http: Http, filters: Mapping[str, Any], limit: int | None) -> Iterator[JobOut]:
    """Jobs that pass the filters, newest first, each page asked for once it is needed.

    Raises :class:`Invalid` for a filter that there is not.
    """
    given: object = limit
    if given is not None and (not isinstance(given, int) or isinstance(given, bool)):
        raise Invalid(f"{str(given)[:60]!r} is no number of jobs", where="limit")
    params = _params(filters)
    left, cursor = limit, None
    while left is None or left > 0:
        size = _PAGE if left is None else min(left, _PAGE)
        page = http.get(JobPage, "/jobs", params=params | {"limit": size, "cursor": cursor})
        yield from page.jobs
        left = None if left is None else left - len(page.jobs)
        cursor = page.next
        if cursor is None:
            return


def _params(filters: Mapping[str, Any]) -> dict[str, Any]:
    if unknown := filters.keys() - FILTERS:
        raise Invalid(f"there is no filter {min(unknown)}", hint=f"Known: {sorted(FILTERS)}.")
    return {
        name: value.isoformat() if hasattr(value, "isoformat") else value
        for name, value in filters.items()
        if value is not None
    }
