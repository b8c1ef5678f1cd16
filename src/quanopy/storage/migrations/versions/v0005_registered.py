"""Resources that registered themselves, and the accounts that they serve."""

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add what is new."""
