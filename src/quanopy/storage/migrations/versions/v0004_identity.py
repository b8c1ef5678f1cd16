"""What an execution ran: the account at the vendor, the target, the compiled programs."""

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add what is new."""
