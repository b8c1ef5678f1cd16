"""When the turn of tasks came that had to wait for it."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add what is new."""
    op.add_column("tasks", sa.Column("turn_at", sa.BigInteger(), nullable=True))
