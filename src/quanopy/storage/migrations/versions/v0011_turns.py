"""When the turn of tasks came that had to wait for it, and how many jobs of groups completed."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

_COUNT = """
UPDATE groups SET completed = (
    SELECT count(*) FROM jobs
    WHERE jobs.group_id = groups.id AND jobs.state = 'completed'
    AND NOT EXISTS (SELECT 1 FROM turns WHERE turns.job_id = jobs.id)
)
"""
"""Those whose turn is still to be worked off are counted then."""


def upgrade() -> None:
    """Add what is new, and count what has completed."""
    op.add_column("tasks", sa.Column("turn_at", sa.BigInteger(), nullable=True))
    op.add_column(
        "groups", sa.Column("completed", sa.BigInteger(), server_default="0", nullable=False)
    )
    op.execute(_COUNT)
