"""Binding: from what was seen of a resource's calibration to what an execution ran under."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from quanopy.domain.calibration import Binding, CalibrationLabel
from quanopy.domain.sightings import Sighting


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """When an execution ran."""

    sent_at: datetime
    """By our clock: the calibration at start was seen just before."""
    began_at: datetime
    ended_at: datetime
    by_vendor: bool = False
    """Whether these two are by the vendor's clock."""

    @property
    def middle(self) -> datetime:
        """Half of it is done."""
        return self.began_at + (self.ended_at - self.began_at) / 2


def constant(digest: str) -> Binding:
    """Of a resource whose calibration never changes."""
    return Binding(
        label=CalibrationLabel.EXACT,
        snapshot=digest,
        submitted=digest,
        started=digest,
        ended=digest,
    )


def concluded(
    begun: Binding, run: Run, ended: Sighting | None, named: str | None, seen: Sequence[Sighting]
) -> Binding:
    """What an execution ran under, at its end.

    ``begun`` has what was seen at submission and start, ``ended`` what is seen now, ``named`` what
    the vendor says with the result, ``seen`` all that was seen since submission, newest first.
    """
    known = replace(begun, ended=None if ended is None else ended.digest, named=named)
    told = next((one for one in seen if named is not None and one.vendor_id == named), None)
    if told is not None:
        return replace(known, label=CalibrationLabel.EXACT, snapshot=told.digest)
    if ended is not None and _held(known, run, ended, seen):
        return replace(known, label=CalibrationLabel.EXACT, snapshot=ended.digest)
    if not seen or not (known.submitted or known.started or known.ended):
        return known
    nearest = next((one for one in seen if _from(one, run) <= run.middle), seen[-1])
    return replace(known, label=CalibrationLabel.CLOSEST, snapshot=nearest.digest)


def _held(known: Binding, run: Run, ended: Sighting, seen: Sequence[Sighting]) -> bool:
    """Whether it was the same before and after, and none other was seen between."""
    if known.started != ended.digest:
        return False
    if known.named is not None and ended.vendor_id is not None:
        return False  # The vendor names another.
    return not any(one.digest != ended.digest and one.seen_from >= run.sent_at for one in seen)


def _from(sighting: Sighting, run: Run) -> datetime:
    """Since when it held. By our own clock no later than when it was seen: the vendor's may be
    ahead."""
    return sighting.at if run.by_vendor else min(sighting.at, sighting.seen_from)
