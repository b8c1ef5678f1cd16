"""Snapshots in the archive, each with how it came to be seen."""

from quanopy.codecs.calibrations import encode_metrics
from quanopy.codecs.packs import CALIBRATIONS, PackBuilder
from quanopy.codecs.records import CALIBRATION, CalibrationRecord, SeenRecord
from quanopy.domain.calibration import Snapshot
from quanopy.domain.sightings import Sighting


def pack_snapshot(
    snapshot: Snapshot,
    *,
    before: Sighting | None = None,
    owner: str | None = None,
    told: bool = False,
) -> tuple[str, bytes, Sighting]:
    """Pack a snapshot that is seen for the first time: the pack's key, its bytes, and the
    sighting that begins with it. ``before``: the one that ends with it;
    ``owner`` has registered the resource; ``told``: another broker saw it."""
    builder = PackBuilder(snapshot.fetched_at)
    record = CalibrationRecord(
        resource=snapshot.resource,
        digest=snapshot.digest,
        raw_format=snapshot.format,
        fetched_at=snapshot.fetched_at,
        calibrated_at=snapshot.calibrated_at,
        vendor_id=snapshot.vendor_id,
        metrics=len({(metric.name, metric.targets) for metric in snapshot.metrics}),
        raw=builder.add("raw.json", snapshot.raw),
        normal=builder.add("metrics.json", encode_metrics(snapshot.metrics)),
        before=None
        if before is None
        else SeenRecord(pack=before.raw.key, seen_until=before.seen_until),
        owner=owner,
        told=told or None,
    )
    builder.add(CALIBRATION, record.line())
    key, data = builder.close(CALIBRATIONS)
    return key, data, sighting_in(record, key)


def sighting_in(record: CalibrationRecord, key: str) -> Sighting:
    """The sighting that a pack's record tells of."""
    return Sighting(
        resource=record.resource,
        digest=record.digest,
        format=record.raw_format,
        metrics=record.metrics,
        calibrated_at=record.calibrated_at,
        vendor_id=record.vendor_id,
        seen_from=record.fetched_at,
        seen_until=record.fetched_at,
        raw=record.raw.within(key),
        normal=record.normal.within(key),
        owner=record.owner,
    )
