"""Sightings as rows."""

from quanopy.domain.jobs import Extent
from quanopy.domain.sightings import Sighting
from quanopy.storage.compiled import Row
from quanopy.storage.values import Values, moment, moment_or_none, stamp, stamp_or_none


def sighting_row(sighting: Sighting) -> Values:
    """A sighting as a row."""
    return {
        "resource": sighting.resource,
        "seen_from": stamp(sighting.seen_from),
        "seen_until": stamp(sighting.seen_until),
        "digest": sighting.digest,
        "format": sighting.format,
        "metrics": sighting.metrics,
        "calibrated_at": stamp_or_none(sighting.calibrated_at),
        "vendor_id": sighting.vendor_id,
        "pack": sighting.raw.key,
        "raw_offset": sighting.raw.offset,
        "raw_length": sighting.raw.length,
        "normal_offset": sighting.normal.offset,
        "normal_length": sighting.normal.length,
        "owner": sighting.owner,
    }


def sighting_of(row: Row) -> Sighting:
    """A sighting from its row."""
    return Sighting(
        resource=row.resource,
        digest=row.digest,
        format=row.format,
        metrics=row.metrics,
        calibrated_at=moment_or_none(row.calibrated_at),
        vendor_id=row.vendor_id,
        seen_from=moment(row.seen_from),
        seen_until=moment(row.seen_until),
        raw=Extent(key=row.pack, offset=row.raw_offset, length=row.raw_length),
        normal=Extent(key=row.pack, offset=row.normal_offset, length=row.normal_length),
        owner=row.owner,
    )


class _Named:
    """A row of values, by name."""

    def __init__(self, values: Values) -> None:
        self.__dict__.update(values)


def sighting_in(values: Values) -> Sighting:
    """A sighting from the values of its row."""
    return sighting_of(_Named(values))
