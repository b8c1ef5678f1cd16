"""Waits: what keeps a queued job from running."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Awaited(StrEnum):
    """What is waited for."""

    RELEASE = "release"
    """It was restored from the archive: somebody is to say that it may run."""
    GROUP = "group"
    """Its place in its group."""
    JOBS = "jobs"
    """Those that it comes after."""
    CALIBRATION = "calibration"
    """One that is young enough."""
    TIME = "time"
    """It is tried again then."""
    RESOURCE = "resource"
    """Its resource is in maintenance or offline, or gone."""
    WORKER = "worker"
    """One that serves its resource."""
    TURN = "turn"
    """Nothing but its turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """One thing that queued tasks of a job wait for; what does not apply is ``None``."""

    awaited: Awaited
    message: str
    until: datetime | None = None
    """When it is over, or the job fails of it."""
    max_age_s: float | None = None
    """How old a calibration may be that it asks for."""
    age_s: float | None = None
    """How old the one is that was seen last."""
    queued: int | None = None
    """Tasks that wait for the resource, these included."""
    active: int | None = None
    """Tasks that it works on."""
