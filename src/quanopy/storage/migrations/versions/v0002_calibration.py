"""Snapshots, and what an execution ran under."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add what is new."""
    op.create_table(
        "calibrations",
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=True),
        sa.Column("published", sa.Boolean(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("due_in", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("resource", name="pk_calibrations"),
    )
    op.create_table(
        "sightings",
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("seen_from", sa.BigInteger(), nullable=False),
        sa.Column("seen_until", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("metrics", sa.BigInteger(), nullable=False),
        sa.Column("calibrated_at", sa.BigInteger(), nullable=True),
        sa.Column("vendor_id", sa.Text(), nullable=True),
        sa.Column("pack", sa.Text(), nullable=False),
        sa.Column("raw_offset", sa.BigInteger(), nullable=False),
        sa.Column("raw_length", sa.BigInteger(), nullable=False),
        sa.Column("normal_offset", sa.BigInteger(), nullable=False),
        sa.Column("normal_length", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("resource", "seen_from", name="pk_sightings"),
    )
    op.create_index("ix_sightings_digest", "sightings", ["digest"], unique=False)
    op.create_index("ix_sightings_pack", "sightings", ["pack"], unique=False)
    op.create_table(
        "calibration_waits",
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("most_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("task_id", name="pk_calibration_waits"),
    )
    op.create_index("ix_calibration_waits_resource", "calibration_waits", ["resource"])
    op.add_column("executions", sa.Column("calibration", sa.Text(), nullable=True))
