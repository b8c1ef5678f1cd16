"""Imports: jobs that another broker saw, and tells of in a receipt."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class ImportStep(StrEnum):
    """What is done with the jobs of a receipt that is imported, one after the other."""

    CHECK = "check"
    """Each is held against what a job can be; nothing is kept before all have been."""
    READ = "read"
    """Their circuits are read where they can harm nobody."""
    KEEP = "keep"


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """Where a job that was imported comes from: what is known of it was told, not seen here."""

    receipt: str
    """The receipt's own digest."""
    broker: str
    """Who made it, as the receipt says."""
    account: str
    """Whose job it was there."""
    exported_at: datetime
    """When it was made, as the receipt says."""
    imported_at: datetime
    by: str
    """The account that imported it."""
