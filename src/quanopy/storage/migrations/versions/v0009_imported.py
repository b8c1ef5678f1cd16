"""Jobs that were imported from a receipt, and the snapshots that they tell of."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add what is new."""
    op.add_column("jobs", sa.Column("imported", sa.Text(), nullable=True))
    op.create_table(
        "told_snapshots",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("seen_from", sa.BigInteger(), nullable=False),
        sa.Column("seen_until", sa.BigInteger(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("metrics", sa.BigInteger(), nullable=False),
        sa.Column("calibrated_at", sa.BigInteger(), nullable=True),
        sa.Column("vendor_id", sa.Text(), nullable=True),
        sa.Column("pack", sa.Text(), nullable=False),
        sa.Column("raw_offset", sa.BigInteger(), nullable=False),
        sa.Column("raw_length", sa.BigInteger(), nullable=False),
        sa.Column("normal_offset", sa.BigInteger(), nullable=False),
        sa.Column("normal_length", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("digest", name="pk_told_snapshots"),
    )
    op.create_index("ix_told_snapshots_pack", "told_snapshots", ["pack"])
