"""Snapshots, and what an execution ran under."""

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add what is new."""
