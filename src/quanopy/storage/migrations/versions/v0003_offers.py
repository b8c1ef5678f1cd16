"""Whose a resource is, and which part of a device."""

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add what is new."""
