"""Snapshots that receipts tell of, by digest: told, not seen here."""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import select, true
from sqlalchemy.dialects import postgresql, sqlite

from quanopy.domain.sightings import Sighting
from quanopy.storage import schema
from quanopy.storage.mapping import sighting_of, sighting_row
from quanopy.storage.rows import document, id_rows, ids_document, rows_of
from quanopy.storage.transaction import Transaction

_snapshots = schema.told_snapshots
_rows = rows_of(*_snapshots.c)
_COLUMNS = [column.name for column in _snapshots.c]
_SOURCE = select(*(_rows.c[name] for name in _COLUMNS)).where(true())
_KEEP = {
    "sqlite": sqlite.insert(_snapshots).from_select(_COLUMNS, _SOURCE).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(_snapshots)
    .from_select(_COLUMNS, _SOURCE)
    .on_conflict_do_nothing(),
}
_names = id_rows()
_OF_DIGESTS = select(_snapshots).select_from(
    _names.join(_snapshots, _snapshots.c.digest == _names.c.id)
)


def keep(connection: Transaction, snapshots: Sequence[Sighting]) -> None:
    """Insert those that are not there."""
    if snapshots:
        rows = [sighting_row(one) for one in snapshots]
        connection.later(_KEEP[connection.dialect], {"r": document(rows)})


def by_digest(connection: Transaction, digests: Collection[str]) -> Mapping[str, Sighting]:
    """Those of these that there are."""
    if not digests:
        return {}
    rows = connection.last(_OF_DIGESTS, {"r": ids_document(sorted(digests))})
    return {row.digest: sighting_of(row) for row in rows}
