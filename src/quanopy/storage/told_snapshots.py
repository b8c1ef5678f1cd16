"""Snapshots that receipts tell of, by digest: told, not seen here."""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import select

from quanopy.domain.sightings import Sighting
from quanopy.storage import schema
from quanopy.storage.rows import id_rows, ids_document
from quanopy.storage.sighting_rows import sighting_of, sighting_row
from quanopy.storage.statements import keep_rows
from quanopy.storage.transaction import Transaction

_snapshots = schema.told_snapshots
_names = id_rows()
_OF_DIGESTS = select(_snapshots).select_from(
    _names.join(_snapshots, _snapshots.c.digest == _names.c.id)
)


def keep(connection: Transaction, snapshots: Sequence[Sighting]) -> None:
    """Insert those that are not there."""
    keep_rows(connection, _snapshots, [sighting_row(one) for one in snapshots])


def by_digest(connection: Transaction, digests: Collection[str]) -> Mapping[str, Sighting]:
    """Those of these that there are."""
    if not digests:
        return {}
    rows = connection.last(_OF_DIGESTS, {"r": ids_document(sorted(digests))})
    return {row.digest: sighting_of(row) for row in rows}
